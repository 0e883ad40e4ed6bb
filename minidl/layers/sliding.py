"""Filters that slide over images: the fields that Convolution, Deconvolution and Im2col share."""

from __future__ import annotations

from minidl import ops
from minidl.arrays.blob import Shape
from minidl.layers.base import Layer


class Sliding(Layer):
    """Base that reads the geometry in `convolution_param` and lines it up with a bottom's axes."""

    parameters = ("convolution_param",)

    def read_geometry(self) -> dict[str, ops.Ints]:
        """Return kernel, stride, pad and dilation, as `ops.Conv` takes them."""
        return {
            "kernel": self._per_axis("kernel_size", "kernel", ()),  # (): no spatial axis, then
            "stride": self._per_axis("stride", "stride", (1,)),
            "pad": self._per_axis("pad", "pad", (0,), least=0),
            "dilation": self._per_axis("dilation", "", (1,)),
        }

    def _per_axis(self, field, pair, default, least=1):
        """Return a field given once, once for each axis, or (in 2-D) as the pair `pair`_h and
        `pair`_w."""
        p = self.spec.convolution_param
        values, names = tuple(getattr(p, field)), (f"{pair}_h", f"{pair}_w")
        given = [name for name in names if pair and p.HasField(name)]
        if given and values:
            self.reject(
                f"both {field} and {given[0]} are given",
                fix=f"delete {field}, or {' and '.join(given)}",
                field=f"convolution_param.{given[0]}",
            )
        if given:
            values = tuple(getattr(p, name) for name in names)
        if any(value < least for value in values):
            what = f"{' x '.join(names)} is" if given else f"{field} is"
            self.reject(f"{what} {by(values)}", expected=f"at least {least}")
        return values or default

    def slide(self, op: ops.Conv, shape: Shape) -> tuple[int, ops.Ints]:
        """Return the axis of the bottom's channels, and the number of positions along each axis
        behind it; refuse a bottom that the filters do not fit."""
        axis = self.axis(self.spec.convolution_param.axis, shape, "convolution_param.axis")
        size = shape[axis + 1 :]
        self._check_axes(op, shape, axis)
        out, over = op.out(size), op.over(len(size))
        if any(extent < 1 for extent in out):
            self.reject(
                f"kernel {by(over.kernel)} (stride {by(over.stride)}, pad {by(over.pad)}, "
                f"dilation {by(over.dilation)}) leaves {by(out)} of the bottom's {by(size)}, "
                f"shape {shape}",
                expected="a top of at least 1 along every axis",
                fix="lower pad" if op.transposed else "lower the kernel or dilation, or add pad",
            )
        return axis, out

    def _check_axes(self, op, shape, axis):
        spatial = len(shape) - axis - 1
        if 0 in shape:
            self.reject(f"the bottom is empty: {shape}")
        if spatial and not op.kernel:
            self.reject("kernel_size is missing", fix="add kernel_size, or kernel_h and kernel_w")
        for name in ("kernel", "stride", "pad", "dilation"):
            values = getattr(op, name)
            if len(values) > 1 and len(values) != spatial:
                self.reject(
                    f"{name} {by(values)} is for {len(values)} axes, but the bottom {shape} has "
                    f"{spatial} after its channels (axis {axis})",
                    expected=f"{name} once, or {spatial} times",
                )


def by(values: ops.Ints) -> str:
    """Return sizes as they are read: '3 x 5'."""
    return " x ".join(map(str, values)) or "nothing"
