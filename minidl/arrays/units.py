"""Sizes as they are read: three figures and a unit."""


def bytes_(number: int) -> str:
    """Return a size in memory as text.

    >>> bytes_(512), bytes_(1536), bytes_(5242880)
    ('512 B', '1.5 KiB', '5 MiB')
    """
    size, unit = float(number), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{three(size)} {unit}"


def three(value: float) -> str:
    """Return a number with three significant digits, and never an exponent."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.2f}".rstrip("0").rstrip(".") if value < 10 else f"{value:.3g}"
