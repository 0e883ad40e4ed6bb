"""Numbers and tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from minidl.arrays.units import three
from minidl.errors import shortened


def render(header: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """Return columns of text under a header; the first `left` flush left, the others right.

    A row with a single empty cell is a ruler.

    >>> print(render(["name", "n"], [["conv1", "20"], [""], ["total", "20"]]))
    name    n
    ---------
    conv1  20
    ---------
    total  20
    """
    body = [[shortened(cell) for cell in row] for row in rows]
    full = [row for row in [list(header), *body] if row != [""]]
    widths = [max(len(row[i]) for row in full) for i in range(len(header))]
    ruler = "-" * (sum(widths) + 2 * (len(widths) - 1))

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    lines = [line(header), ruler]
    lines += [ruler if row == [""] else line(row) for row in body]
    return "\n".join(lines)


def count(number: float) -> str:
    """Return a large count in three digits and a letter.

    >>> count(431080), count(2293000), count(999), count(0)
    ('431 k', '2.29 M', '999', '0')
    """
    for factor, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= factor:
            return f"{three(number / factor)} {letter}"
    return f"{number:g}"


def plural(number: int, what: str) -> str:
    """Return a number of things.

    >>> plural(1, "layer"), plural(2000, "layer")
    ('1 layer', '2,000 layers')
    """
    return f"{number:,} {what}{'s' if number != 1 else ''}"


def shape(dims: Sequence[int]) -> str:
    """Return a shape as Caffe's log shows it.

    >>> shape((64, 20, 24, 24)), shape(())
    ('64 20 24 24', '()')
    """
    return " ".join(map(str, dims)) or "()"
