"""Layers that only move data or rename its axes: `Concat`, `Slice`, `Split`, `Flatten`, ...

None of them computes anything. Where the top can be the bottom's own memory it is a view.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from minidl import ops
from minidl.arrays.blob import Blob, Shape
from minidl.layers.base import Layer, register


def _one_axis(layer: Layer, message: str, old: str) -> tuple[str, int]:
    """Return the name and value of the axis field that is set: `axis`, or its old name; not
    both."""
    p = getattr(layer.spec, message)
    if not p.HasField(old):
        return "axis", p.axis
    if p.HasField("axis"):
        layer.reject(
            f"has both axis ({p.axis}) and {old} ({getattr(p, old)})",
            expected="one of them: they mean the same",
            fix=f"delete {old}, the old name",
            field=f"{message}.{old}",
        )
    return old, getattr(p, old)


@register("Concat")
class Concat(Layer):
    """Put blobs behind one another along an axis.

        y = [x_0, x_1, ...] along axis
        dx_i = the part of dy that x_i became

    bottom[0], bottom[1], ... bottom[i]   one or more, of equal shape but for `axis`
    top[0]         that shape, with the sum of their sizes along `axis`; with a single bottom it is
                   a view of it
    concat_param   axis (1; negative counts from the end); concat_dim, the old name of axis

    Source: Caffe.
    """

    family = "combine"
    computes = (ops.Concat,)
    parameters = ("concat_param",)
    bottoms = (1, None)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.field, self.along = _one_axis(self, "concat_param", "concat_dim")
        self.op = ops.Concat(self.along)
        if len(spec.bottom) == 1:
            self.views = {0: 0}  # one bottom: nothing to copy

    def top_shapes(self, *bottom):
        first = bottom[0]
        axis = self.axis(self.along, first, self.field)
        for name, shape in zip(self.spec.bottom, bottom, strict=True):
            if len(shape) != len(first) or _without(shape, axis) != _without(first, axis):
                self.reject(
                    f"bottom '{name}' has shape {shape}, "
                    f"but bottom '{self.spec.bottom[0]}' has {first}",
                    expected=f"shapes that differ on axis {axis} only",
                )
        total = sum(shape[axis] for shape in bottom)
        return ((*first[:axis], total, *first[axis + 1 :]),)

    def forward(self, bottom, top):
        if self.views:
            return
        for blob, part in _parts(bottom, self.along):
            top[0].data[part] = blob.data

    def backward(self, top, wanted, bottom):
        if self.views:
            return
        for want, (blob, part) in zip(wanted, _parts(bottom, self.along), strict=True):
            if want:
                blob.diff[...] = top[0].diff[part]


@register("Slice")
class Slice(Layer):
    """Cut a blob along an axis: the opposite of Concat.

        y_0, y_1, ... = the parts of x along axis
        dx = [dy_0, dy_1, ...] along axis

    bottom[0]     a blob with that axis
    top[0], top[1], ... top[i]   one for each part; a single one is a view of the bottom
    slice_param   axis (1; negative counts from the end); slice_point, the index at which each part
                  but the first begins (without any, the parts are equal); slice_dim, the
                  old name of axis

    Source: Caffe.
    """

    family = "combine"
    parameters = ("slice_param",)
    tops = (1, None)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.field, self.along = _one_axis(self, "slice_param", "slice_dim")
        self.points = list(spec.slice_param.slice_point)
        if self.points and len(self.points) != len(spec.top) - 1:
            self.reject(
                f"has {len(self.points)} slice_point for {len(spec.top)} tops",
                expected=f"{len(spec.top) - 1} slice_point, one fewer than tops, or none",
                field="slice_param.slice_point",
            )
        if len(spec.top) == 1:
            self.views = {0: 0}  # one top: nothing to copy

    def top_shapes(self, shape):
        axis = self.axis(self.along, shape, self.field)
        edges = [0, *self._points(shape, axis), shape[axis]]  # where the parts begin and end
        return tuple(
            (*shape[:axis], end - start, *shape[axis + 1 :])
            for start, end in zip(edges[:-1], edges[1:], strict=True)
        )

    def _points(self, shape, axis):
        """Return the places to cut at, checked against the bottom."""
        size, parts = shape[axis], len(self.spec.top)
        if not self.points:
            if size % parts:
                self.reject(
                    f"cannot cut axis {axis} of {shape} into {parts} equal parts",
                    expected=f"a size there that {parts} divides, not {size}",
                    fix="give slice_point",
                )
            return [size // parts * i for i in range(1, parts)]
        edges = [0, *self.points, size]
        if any(start >= end for start, end in zip(edges[:-1], edges[1:], strict=True)):
            self.reject(
                f"slice_point is {self.points} for axis {axis} of {shape}",
                expected=f"rising numbers from 1 to {size - 1}, so that no part is empty",
                field="slice_param.slice_point",
            )
        return self.points

    def forward(self, bottom, top):
        if self.views:
            return
        for blob, part in _parts(top, self.along):
            blob.data[...] = bottom[0].data[part]

    def backward(self, top, wanted, bottom):
        if self.views:
            return
        for blob, part in _parts(top, self.along):
            bottom[0].diff[part] = blob.diff


@register("Split")
class Split(Layer):
    """Hand one blob to several layers. A net inserts it by itself wherever a blob has two readers.

        y_i = x, in the same memory
        dx = dy_0 + dy_1 + ...

    bottom[0]   any shape
    top[0], top[1], ... top[i]   the same shape: views of the bottom, each with its own gradient

    It has no parameters.

    Source: Caffe.
    """

    family = "shape"
    keeps_positions = True
    computes = (ops.Sum,)
    tops = (1, None)
    view_diffs = False  # readers have gradients of their own, which backward adds

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        self.views = dict.fromkeys(range(len(spec.top)), 0)
        self.op = ops.Sum((1.0,) * len(spec.top), split=True)

    def top_shapes(self, bottom):
        return (bottom,) * len(self.spec.top)

    def forward(self, bottom, top):
        pass

    def backward(self, top, wanted, bottom):
        dx = bottom[0].diff
        if len(top) == 1:
            dx[...] = top[0].diff
            return
        self.xp.add(top[0].diff, top[1].diff, out=dx)  # dx need not be cleared first
        for blob in top[2:]:
            dx += blob.diff


class View(Layer):
    """A layer whose top is the bottom's memory under another shape: nothing is left to do."""

    family = "shape"
    views = {0: 0}

    def forward(self, bottom, top):
        pass

    def backward(self, top, wanted, bottom):
        pass


@register("Flatten")
class Flatten(View):
    """Make one axis of several: (N, C, H, W) becomes (N, C * H * W).

        y = x, in the same memory; dx = dy

    bottom[0]       a blob with these axes
    top[0]          a view of it, with axes `axis` to `end_axis` as one
    flatten_param   axis (1), the first axis to merge; end_axis (-1), the last, itself included;
                    negative ones count from the end

    Source: Caffe.
    """

    parameters = ("flatten_param",)

    def top_shapes(self, shape):
        p = self.spec.flatten_param
        start = self.axis(p.axis, shape, "axis")
        end = self.axis(p.end_axis, shape, "end_axis") + 1
        if start >= end:
            self.reject(
                f"axis is {p.axis} and end_axis {p.end_axis}: "
                f"for a bottom of shape {shape} the end comes before the start",
                expected="end_axis at or behind axis",
                field="flatten_param.end_axis",
            )
        return ((*shape[:start], math.prod(shape[start:end]), *shape[end:]),)


@register("Reshape")
class Reshape(View):
    """Give a blob another shape with as many elements.

        y = x, in the same memory; dx = dy

    bottom[0]       any shape
    top[0]          a view of it, with `shape` in place of the axes from `axis` on
    reshape_param   shape, whose dim is a size, or 0: the size of the bottom's axis at this place,
                    or, once, -1: whatever is left; axis (0), where the axes to be replaced begin
                    (negative counts from behind the last: -1 inserts there); num_axes (-1: all
                    that follow), how many they are

    Source: Caffe.
    """

    parameters = ("reshape_param",)

    def __init__(self, spec, ctx):
        super().__init__(spec, ctx)
        p = spec.reshape_param
        self.dims, self.start, self.num_axes = list(p.shape.dim), p.axis, p.num_axes
        if min(self.dims, default=0) < -1 or self.dims.count(-1) > 1:
            self.reject(
                f"shape is {self.dims}",
                expected="sizes, 0 to copy the bottom's, and at most one -1 to be worked out",
                field="reshape_param.shape",
            )
        if self.num_axes < -1:
            self.reject_field(
                "reshape_param.num_axes",
                expected="-1 for all axes from axis on, or how many to replace",
            )

    def top_shapes(self, shape):
        start, end = self._replaced(shape)
        middle = [self._copied(shape, start + i) if d == 0 else d for i, d in enumerate(self.dims)]
        # Elements in all axes but the one to be worked out.
        known = math.prod(d for d in (*shape[:start], *middle, *shape[end:]) if d != -1)
        count = math.prod(shape)
        if -1 in middle:
            if known == 0 or count % known:
                self.reject(
                    f"cannot work out the -1 in shape {self.dims}: the bottom {shape} has {count} "
                    f"elements, the other axes hold {known}",
                    expected=f"other axes whose product divides {count}",
                    field="reshape_param.shape",
                )
            middle[middle.index(-1)] = count // known
        elif known != count:
            self.reject(
                f"shape {self.dims} makes {(*shape[:start], *middle, *shape[end:])} "
                f"of the bottom {shape}: {known} elements of {count}",
                expected="as many elements as the bottom has",
                fix="set one dim to -1 and it is worked out",
                field="reshape_param.shape",
            )
        return ((*shape[:start], *middle, *shape[end:]),)

    def _replaced(self, shape):
        """Return the first axis of the bottom that is replaced, and the first behind it that is
        not."""
        axes = len(shape)
        start = self.start if self.start >= 0 else axes + 1 + self.start  # -1: behind the last axis
        if not 0 <= start <= axes:
            self.reject(
                f"axis is {self.start}, but the bottom {shape} has {axes} axes",
                expected=f"{-axes - 1} to {axes}",
                field="reshape_param.axis",
            )
        end = axes if self.num_axes == -1 else start + self.num_axes
        if end > axes:
            self.reject(
                f"axis is {self.start} and num_axes {self.num_axes}, "
                f"but the bottom {shape} has {axes} axes",
                expected=f"num_axes at most {axes - start}",
                field="reshape_param.num_axes",
            )
        return start, end

    def _copied(self, shape, index):
        """Return the bottom's size that a 0 stands for."""
        if index >= len(shape):
            self.reject(
                f"shape {self.dims} copies axis {index} of the bottom {shape}, "
                f"which has only {len(shape)} axes",
                fix="write the size instead of 0",
                field="reshape_param.shape",
            )
        return shape[index]


@register("Silence")
class Silence(Layer):
    """Take blobs that nobody else reads, so that they are not among the net's outputs.

        no tops; dx_i = 0

    bottom[0], bottom[1], ... bottom[i]   one or more, any shapes
    top: none

    It has no parameters.

    Source: Caffe.
    """

    family = "shape"
    bottoms = (1, None)
    tops = 0

    def top_shapes(self, *bottom):
        return ()

    def forward(self, bottom, top):
        pass

    def backward(self, top, wanted, bottom):
        for blob, want in zip(bottom, wanted, strict=True):
            if want:
                blob.diff.fill(0)  # they have no influence on a loss


def _without(shape: Shape, axis: int) -> Shape:
    """Return the shape with one axis taken out."""
    return shape[:axis] + shape[axis + 1 :]


def _parts(blobs: Sequence[Blob], axis: int) -> Iterator[tuple[Blob, tuple[slice, ...]]]:
    """Yield each blob, and the index of its part of the array that they make behind one another.

    Copies part by part, not xp.concatenate: for more than eight arrays CuPy's sends their addresses
    to the GPU first, in every call.
    """
    axis %= len(blobs[0].shape)
    start = 0
    for blob in blobs:
        end = start + blob.shape[axis]
        yield blob, (slice(None),) * axis + (slice(start, end),)
        start = end
