"""Figures by matplotlib, in files that are the same bytes for the same data."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from minidl.errors import UsageError

ENDINGS = (".svg", ".png", ".pdf")
UNDATED = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


def check(path: str | None, where: str) -> None:
    """Refuse a path that does not end with one of ENDINGS."""
    if not path or Path(path).suffix.lower() not in ENDINGS:
        raise UsageError(
            f"cannot write '{path}'" if path else "no output file",
            where=where,
            expected=f"a file that ends with {', '.join(ENDINGS)}",
        )


@contextlib.contextmanager
def drawing(path: str, where: str, size: tuple[float, float], font: int, dpi: int) -> Iterator[Any]:
    """Yield a Figure of `size` in inches; the file appears when the block ends.

    Errors: UsageError if matplotlib is not installed.
    """
    import io

    from minidl.storage import files

    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError(
            "the package matplotlib is not installed", where=where, fix="pip install matplotlib"
        ) from None
    style: Any = {"font.size": font, "svg.hashsalt": "minidl", "svg.fonttype": "none"}
    with rc_context(style):
        figure = Figure(figsize=size, layout="constrained")
        yield figure
        ending, file = Path(path).suffix.lower()[1:], io.BytesIO()
        figure.savefig(file, format=ending, dpi=dpi, metadata=UNDATED.get(ending, {}))
    files.write_all(path, [file.getvalue()])
