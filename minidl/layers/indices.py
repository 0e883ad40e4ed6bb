"""Row numbers stored as floats, checked in every forward pass: for `Embed` and `BatchReindex`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.arrays.blob import Shape
from minidl.errors import LabelError
from minidl.layers.base import Buffer, Layer, saved, scratch


class Indexed(Layer):
    """A layer with a bottom of row numbers: whole numbers, from 0 to one less than the rows.

    A subclass sets `labels_bottom`, adds `index_buffers` to its own, and calls `read_indices`
    first in forward. Then `self.row` holds the numbers as integers, in one axis.

    A number that names no row is refused on the CPU. On a GPU nobody waits to see it: it counts as
    the row nearest to it, and `spoil` makes the result NaN, which the net finds when it next shows
    one.
    """

    labels_bottom: int
    row: Any
    numbers: Any
    no_row: Any
    any_wrong: Any
    place: Any

    def rows(self, shape: Shape) -> int:
        """Return the number of rows for a bottom[0] of this shape."""
        raise NotImplementedError

    def index_buffers(self, indices: Shape, width: int) -> dict[str, Buffer]:
        """Return the buffers that the methods below need, for rows of `width` elements."""
        count = math.prod(indices)
        return {
            "row": saved((count,), np.intp),
            "numbers": scratch((count,)),
            "no_row": scratch((count,), np.bool_),
            "any_wrong": scratch((), np.bool_),
            "place": scratch((count, width), np.intp),
        }

    def read_indices(self, indices: Any, rows: int) -> None:
        """Fill `row`; on the CPU, refuse a number that names none of the `rows` rows."""
        xp, nearest, row = self.xp, self.numbers, self.row
        xp.fmax(indices.reshape(-1), 0, out=nearest)  # 0 for a NaN too
        xp.fmin(nearest, rows - 1, out=nearest)
        row[...] = nearest  # without the fraction
        xp.not_equal(row, indices.reshape(-1), out=self.no_row)  # those that were bounded or cut
        xp.any(self.no_row, out=self.any_wrong)
        if self.ctx.device.kind == "cpu" and self.any_wrong:
            self._refuse(indices, rows)

    def spoil(self, result: Any) -> None:
        """Make `result` NaN if a number named no row. (The CPU has refused it by then.)"""
        if self.ctx.device.kind != "cpu":
            self.xp.copyto(result, math.nan, where=self.any_wrong)

    def add_rows(self, table: Any, values: Any) -> None:
        """Add each row of `values` to the row of `table` that has its number.

        Element by element: for whole rows NumPy's add.at takes three times as long. On a GPU the
        sums are in no order, and may differ in their last bits from run to run.
        """
        width = table.shape[1]
        # Of every element in the table: row * width + column.
        self.place[...] = self.row[:, None]
        self.place *= width
        self.place += self.table(np.arange, width)
        self.xp.add.at(table.reshape(-1), self.place.reshape(-1), values.reshape(-1))

    def check_labels(self, labels: np.ndarray, shape: Shape) -> None:
        self._refuse(labels, self.rows(shape))

    def _refuse(self, indices: Any, rows: int) -> None:
        values = self.ctx.device.to_host(indices).astype(np.float64)
        usable = (values >= 0) & (values < rows) & (values == np.floor(values))
        if usable.all():
            return
        first = tuple(int(i) for i in np.argwhere(~usable)[0])
        value = float(values[first])
        place = f"{first[0]}" if len(first) == 1 else str(first)
        shown = f"{value:.0f}" if value.is_integer() else f"{value:g}"
        raise LabelError(
            f"element {place} of '{self.spec.bottom[self.labels_bottom]}' is {shown}",
            where=self.where,
            expected=f"the number of a row: a whole number from 0 to {rows - 1}",
            fix=self.too_large(shown) if value >= rows and value.is_integer() else "",
            item=first[0] if first else 0,
            value=value,
        )

    def too_large(self, shown: str) -> str:
        """Return advice for a number that is too large."""
        return "rows are counted from 0"
