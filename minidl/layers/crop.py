"""A blob cut to the size of another one: the `Crop` layer."""

from __future__ import annotations

from minidl.layers.base import Layer, register


@register("Crop")
class Crop(Layer):
    """Cut a blob to the size that another has along `axis` and all axes behind it.

        y = x[..., offset : offset + size, ...]
        dx = dy in that place, 0 elsewhere

    bottom[0]    the blob to be cut
    bottom[1]    as many axes; only its shape matters, and it gets no gradient
    top[0]       the sizes of bottom[0] before `axis`, of bottom[1] from there on
    crop_param   axis (2: height and width; negative counts from the end); offset, where the cut
                 begins: none (0), one for all these axes, or one for each

    Source: Long, Shelhamer & Darrell 2015; Caffe.
    """

    family = "shape"
    parameters = ("crop_param",)
    bottoms = 2
    no_gradient = (1,)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.first, self.offset = spec.crop_param.axis, list(spec.crop_param.offset)

    def top_shapes(self, bottom, like):
        axis = self.axis(self.first, bottom, "crop_param.axis")
        if len(like) != len(bottom):
            self.reject(
                f"'{self.spec.bottom[0]}' has the shape {bottom}, "
                f"but '{self.spec.bottom[1]}' has {like}",
                expected="as many axes in both",
            )
        for i, start in enumerate(self._offsets(bottom), start=axis):
            if start + like[i] > bottom[i]:
                self.reject(
                    f"cannot cut {like[i]} from {start} on out of axis {i} of "
                    f"'{self.spec.bottom[0]}' {bottom}: there are {bottom[i]}",
                    expected=f"offset + size of '{self.spec.bottom[1]}' {like} to fit on each axis",
                    field="crop_param.offset",
                )
        return ((*bottom[:axis], *like[axis:]),)

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data[self._cut(bottom)]

    def backward(self, top, wanted, bottom):
        bottom[0].diff.fill(0)  # what was cut off gets no gradient
        bottom[0].diff[self._cut(bottom)] = top[0].diff

    def _offsets(self, shape):
        """Return the beginning of the cut, for each axis from `axis` on."""
        cut = len(shape) - self.first % len(shape)
        if len(self.offset) not in (0, 1, cut):
            self.reject(
                f"has {len(self.offset)} offsets to cut {cut} axes of {shape}",
                expected=f"none, 1 for all, or {cut}",
                field="crop_param.offset",
            )
        # One offset serves all axes; without any, the cut begins at 0.
        return self.offset if len(self.offset) == cut else (self.offset or [0]) * cut

    def _cut(self, bottom):
        """Return the index of the part that stays."""
        sizes = bottom[1].shape[self.first % len(bottom[1].shape) :]
        starts = self._offsets(bottom[0].shape)
        return (..., *(slice(s, s + size) for s, size in zip(starts, sizes, strict=True)))
