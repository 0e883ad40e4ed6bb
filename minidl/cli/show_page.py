"""The page that `minidl show` draws: planes in a grid next to histograms of their values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl.cli import figure, table
from minidl.errors import UsageError, escaped

WIDTH, LEAST, MOST = 7.5, 1.4, 5.0  # inches: of the page, and heights of a row
SPREAD = 2.0  # of the histogram


def draw(arrays: Sequence[Any], path: str) -> None:
    """Write the page of these arrays, each with name, values, planes and columns."""
    from minidl.draw import tiles

    if not arrays:
        raise UsageError(
            "there is nothing to draw: no filter or blob has height and width",
            where="minidl show --out",
            fix="leave out --out, or --layers",
        )
    grids = [tiles.grid(each.planes, each.columns) for each in arrays]
    heights = [_height(grid) for grid in grids]
    size = WIDTH, sum(heights)
    with figure.drawing(path, "minidl show --out", size, font=8, dpi=150) as page:
        axes = page.subplots(
            len(arrays),
            2,
            squeeze=False,
            gridspec_kw={"width_ratios": [WIDTH - SPREAD, SPREAD], "height_ratios": heights},
        )
        for (left, right), each, grid in zip(axes, arrays, grids, strict=True):
            title = escaped(f"{each.name}  {table.shape(each.values.shape)}").replace("$", r"\$")
            left.imshow(grid, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            left.set_title(title, loc="left", fontsize=8)
            left.set_axis_off()
            _spread(right, each.values)


def _height(grid: Any) -> float:
    """Return the inches of a row whose grid fills the width, within bounds."""
    rows, columns = grid.shape[:2]
    return float(min(MOST, max(LEAST, 0.3 + (WIDTH - SPREAD) * rows / columns)))


def _spread(axes: Any, values: Any) -> None:
    from minidl.arrays import facts

    counts, edges = facts.histogram(values)
    axes.stairs(counts, edges, fill=True, color="#3d74b0")
    if counts.any():
        axes.set_yscale("log")
    axes.tick_params(labelsize=6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
