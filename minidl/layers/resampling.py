"""Base of the layers that resize images by a matrix for the rows and one for the columns."""

from __future__ import annotations

from typing import Any

from minidl.layers.base import Layer, scratch


class Resampling(Layer):
    """y = A_rows x A_columns', dx = A_rows' dy A_columns, for each channel of (N, C, H, W).

    A subclass says the size of the top in `top_shapes` and each A in `matrix`.
    """

    family = "shape"

    def matrix(self, size: int, out: int) -> Any:
        """Return A, (places of the top, places of the bottom): the share of each of `size` places
        in each of `out`. A `table`."""
        raise NotImplementedError

    def buffers(self, bottom):
        (n, c, h, _), (_, _, height, width) = bottom, self.top_shapes(bottom)[0]
        return {
            "wide": scratch((n * c, h, width)),
            "turned": scratch((n * c, width, h)),
            "turned_top": scratch((n * c, width, height)),
        }

    def multiply_adds(self, bottom):
        (n, c, h, w), (_, _, height, width) = bottom, self.top_shapes(bottom)[0]
        return n * c * (h * w * width + h * width * height)

    def forward(self, bottom, top):
        xp, (rows, columns) = self.xp, self._matrices(bottom[0].shape, top[0].shape)
        x, y, wide = bottom[0].data, top[0].data, self.wide
        xp.matmul(_rows(x), columns.T, out=_rows(wide))  # (N C H, W) -> (N C H, width)
        # Columns become rows, so that the second step is one large product, too.
        self.turned[...] = wide.swapaxes(1, 2)
        xp.matmul(_rows(self.turned), rows.T, out=_rows(self.turned_top))
        y.reshape(-1, *y.shape[2:])[...] = self.turned_top.swapaxes(1, 2)

    def backward(self, top, wanted, bottom):
        xp, (rows, columns) = self.xp, self._matrices(bottom[0].shape, top[0].shape)
        dx, dy, wide = bottom[0].diff, top[0].diff, self.wide
        self.turned_top[...] = dy.reshape(-1, *dy.shape[2:]).swapaxes(1, 2)
        xp.matmul(_rows(self.turned_top), rows, out=_rows(self.turned))
        wide[...] = self.turned.swapaxes(1, 2)
        xp.matmul(_rows(wide), columns, out=_rows(dx))

    def _matrices(self, bottom, top):
        return [self.matrix(size, out) for size, out in zip(bottom[2:], top[2:], strict=True)]


def _rows(array):
    """An array as a matrix of all its rows."""
    return array.reshape(-1, array.shape[-1])
