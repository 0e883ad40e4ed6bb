"""Channels that a mask lets pass: the `Filter` layer with a filter_param."""

from __future__ import annotations

import numpy as np

from minidl.layers.base import Layer, saved


class FilterChannels(Layer):
    """See Filter, which makes one of these where it has a filter_param."""

    type = "Filter"
    family = "combine"
    fork = "yihui-he/caffe-pro"
    parameters = ("filter_param",)
    bottoms = (1, None)
    tops = (1, None)
    same_counts = True
    statistics = ("mask",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.check_positive("filter_param", "num_output")
        self.kept = spec.filter_param.num_output

    def top_shapes(self, *bottom):
        along = self._along(bottom[0])
        for name, shape in zip(self.spec.bottom, bottom, strict=True):
            count = shape[self._along(shape)]
            if count != bottom[0][along] or self.kept > count:
                self.reject(
                    f"'{name}' is {shape}, and num_output {self.kept}",
                    expected=f"at least {self.kept} channels, as many in all bottoms",
                    field="filter_param.num_output",
                )
        return tuple(self._cut(shape) for shape in bottom)

    def _along(self, shape):
        return self.axis(self.spec.filter_param.axis, shape)

    def _cut(self, shape):
        along = self._along(shape)
        return (*shape[:along], self.kept, *shape[along + 1 :])

    def param_shapes(self, *bottom):
        return {"mask": (bottom[0][self._along(bottom[0])],)}

    def first_values(self, name, shape):
        # The first ones, until weights are loaded
        return (np.arange(shape[0]) < self.kept).astype(np.float64)

    def buffers(self, *bottom):
        return {"row": saved((self.kept,), np.intp)}

    def forward(self, bottom, top):
        chosen = np.flatnonzero(self.ctx.device.to_host(self.mask.read()))
        if len(chosen) != self.kept:
            self.reject(
                f"its mask keeps {len(chosen)} channels, and num_output is {self.kept}",
                fix=f"num_output: {len(chosen)}, or weights that belong to this net",
                field="filter_param.num_output",
            )
        self.ctx.device.write(self.row, chosen)
        for x, y in zip(bottom, top, strict=True):
            self.xp.take(x.data, self.row, axis=self._along(x.shape), out=y.data)

    def backward(self, top, wanted, bottom):
        for y, want, x in zip(top, wanted, bottom, strict=True):
            if want:
                x.diff.fill(0)  # channels left out get no gradient
                along = self._along(x.shape)
                # A view, through which dx itself is written
                by_channel = self.xp.moveaxis(x.diff, along, 0)
                by_channel[self.row] = self.xp.moveaxis(y.diff, along, 0)
