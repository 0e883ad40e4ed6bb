"""Items of a batch that a selector lets pass: the `Filter` layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.layers.base import Layer, register, saved
from minidl.layers.filter_channels import FilterChannels


@register("Filter")
class Filter(Layer):
    """Keep the items of a batch whose selector is not 0, in their order.

        y_i = the items n of x_i for which s[n] != 0
        dx_i = dy_i for those items, 0 for the others

    bottom[0], bottom[1], ... bottom[i]   one or more (N, ...), and last the selector s: (N), or (N)
                with more axes of size 1; it gets no gradient
    top[0], top[1], ... top[i]   one for each bottom but the selector: (M, ...), with M items kept

    M is known only when the selector is: in a net, the layers above follow it in every pass, and
    before the first pass all N items count as kept, as in Caffe.

    With a filter_param it is another fork's layer of this name: a mask of C numbers, a parameter
    that no solver changes, lets channels pass instead, of every bottom, and there is a top for each
    bottom. It begins with the first num_output channels; in a caffemodel it is what pruning left.
    The fork begins with all of them, and then stops unless num_output is C.

    filter_param   num_output: how many of the mask's numbers are not 0; axis (1): of the channels

    Source: Caffe. filter_param: yihui-he/caffe-pro.
    """

    family = "combine"
    parameters = ("filter_param",)
    bottoms = (2, None)
    tops = (1, None)
    chosen: np.ndarray | None = None
    row: Any

    def __new__(cls, spec, ctx):
        if spec.HasField("filter_param"):
            return FilterChannels(spec, ctx)
        return super().__new__(cls)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        if len(spec.top) != len(spec.bottom) - 1:
            self.reject(
                f"has {len(spec.bottom)} bottoms and {len(spec.top)} tops",
                expected="a top for each bottom but the last, which selects",
            )
        self.no_gradient = (len(spec.bottom) - 1,)

    def top_shapes(self, *bottom):
        *items, selector = bottom
        if not selector or any(size != 1 for size in selector[1:]):
            self.reject(
                f"the selector '{self.spec.bottom[-1]}' has the shape {selector}",
                expected="one number for each item: (N), or (N, 1, ...)",
            )
        for name, shape in zip(self.spec.bottom, items, strict=False):
            if shape[:1] != selector[:1]:
                self.reject(
                    f"'{name}' has the shape {shape}, "
                    f"but the selector '{self.spec.bottom[-1]}' {selector}",
                    expected=f"{selector[0]} items in both",
                )
        return tuple(items)

    def late_shapes(self, bottom):
        *items, selector = bottom
        # A GPU is waited for here: the tops' shapes depend on these values.
        self.chosen = np.flatnonzero(self.ctx.device.to_host(selector.read()))
        return tuple((len(self.chosen), *blob.shape[1:]) for blob in items)

    def buffers(self, *bottom):
        return {"row": saved(bottom[-1][:1], np.intp)}  # room for all items

    def forward(self, bottom, top):
        self.ctx.device.write(self._rows(), self.chosen)
        for x, y in zip(bottom, top, strict=False):
            self.xp.take(x.data, self._rows(), axis=0, out=y.data)

    def backward(self, top, wanted, bottom):
        for y, want, x in zip(top, wanted, bottom, strict=False):
            if want:
                x.diff.fill(0)  # items left out get no gradient
                x.diff[self._rows()] = y.diff

    def _rows(self):
        """Return the numbers of the items kept, on the device."""
        return self.row[: len(self.chosen)]
