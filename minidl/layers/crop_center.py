"""The borders of a blob cut off: the `CropCenter` layer."""

from __future__ import annotations

from minidl.layers.base import Layer, register


@register("CropCenter")
class CropCenter(Layer):
    """Cut the same off both ends of each axis, and keep the centre.

        y = x[c[0] : -c[0], c[1] : -c[1], ...]      with c the crop_size; 0 cuts nothing off
        dx = dy in that place, 0 elsewhere

    bottom[0]           any shape
    top[0]              along each axis 2 * crop_size less
    crop_center_param   crop_size: what to cut off each end, once for each axis

    Source: the fork of Caffe for waifu2x.
    """

    family = "shape"
    fork = "the fork for waifu2x"
    parameters = ("crop_center_param",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.cut = tuple(spec.crop_center_param.crop_size)

    def top_shapes(self, bottom):
        if len(self.cut) != len(bottom):
            self.reject(
                f"has {len(self.cut)} crop_size values for the {len(bottom)} axes of {bottom}",
                expected="one for each axis",
                field="crop_center_param.crop_size",
            )
        top = tuple(size - 2 * cut for size, cut in zip(bottom, self.cut, strict=True))
        if min(top, default=1) < 1:
            self.reject(
                f"crop_size {self.cut} leaves {top} of the bottom {bottom}",
                expected="at least 1 along each axis",
                field="crop_center_param.crop_size",
            )
        return (top,)

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data[self._centre(bottom[0].shape)]

    def backward(self, top, wanted, bottom):
        bottom[0].diff.fill(0)  # what was cut off gets no gradient
        bottom[0].diff[self._centre(bottom[0].shape)] = top[0].diff

    def _centre(self, shape):
        return tuple(slice(cut, size - cut) for size, cut in zip(shape, self.cut, strict=True))
