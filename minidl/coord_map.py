"""Which position of one blob a position of another is: offsets for Crop layers, from the spec.

    from minidl.coord_map import crop
    n.score = crop(n.upscore, n.data)    # a Crop layer that cuts n.upscore to n.data's positions

A map is ``(axis, a, b)``: position i along a spatial axis of one blob is at ``a * i + b`` of the
other; `axis` is the one before the first of these (1, channels), or None where nothing is spatial.
`a` and `b` are arrays, one number for all spatial axes or one for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from minidl.errors import UsageError
from minidl.layers.base import REGISTRY
from minidl.spec import Function, Top, layers

Numbers = tuple[Fraction, ...]


class UndefinedMapException(UsageError):  # noqa: N818  (pycaffe's name)
    """A layer type that keeps no positions: InnerProduct, a Pooling over everything, ..."""


class AxisMismatchException(UsageError):  # noqa: N818
    """Two maps on one way do not have the same spatial axes."""


class CropError(UsageError, AssertionError):
    """One blob cannot be cut to the positions of another; an AssertionError in pycaffe."""


class Map(NamedTuple):
    """a * i + b along each spatial axis, in exact fractions: 1/49 * 49 is 1."""

    axis: int | None
    a: Numbers
    b: Numbers

    def after(self, other: Map) -> Map:
        """Return the map that goes through `other` first, then through this one."""
        if self.axis is not None and other.axis is not None and self.axis != other.axis:
            found = f"spatial axes begin after {self.axis} here and after {other.axis} there"
            raise AxisMismatchException(found, where="coord_map")
        count = max(len(self.a), len(other.a))
        if {len(self.a), len(other.a)} - {1, count}:
            found = f"{len(self.a)} spatial axes here and {len(other.a)} there"
            raise AxisMismatchException(found, where="coord_map")
        mine, theirs = (Map(m.axis, _wide(m.a, count), _wide(m.b, count)) for m in (self, other))
        return Map(
            other.axis if self.axis is None else self.axis,
            tuple(a * c for a, c in zip(mine.a, theirs.a, strict=True)),
            tuple(a * d + b for a, b, d in zip(mine.a, mine.b, theirs.b, strict=True)),
        )

    def inverse(self) -> Map:
        pairs = list(zip(self.a, self.b, strict=True))
        return Map(self.axis, tuple(1 / a for a, _ in pairs), tuple(-b / a for a, b in pairs))

    def arrays(self) -> tuple[int | None, np.ndarray, np.ndarray]:
        """The map as pycaffe gives it; a number for all axes is an array without axes."""
        a, b = np.array(self.a, float), np.array(self.b, float)
        return self.axis, *((a[0], b[0]) if len(self.a) == 1 else (a, b))


NOTHING = Map(None, (Fraction(1),), (Fraction(0),))


def coord_map(fn: Function) -> tuple[int | None, Any, Any]:
    """Return a layer's map (axis, a, b): position i of its bottom is at a * i + b of its top."""
    return _map_of(fn).arrays()


def coord_map_from_to(top_from: Top, top_to: Top) -> tuple[int | None, Any, Any]:
    """Return the map (axis, a, b) between two tops of a spec that come from a common blob.

    Position i of `top_from` is at a * i + b of `top_to`.

    Errors: UsageError if they have no blob in common, or layers without positions lie between.
    """
    return _between(top_from, top_to).arrays()


def crop(top_from: Top, top_to: Top) -> Top:
    """Return a Crop layer that cuts `top_from` to the part over `top_to`.

    Errors: CropError if the two differ in scale, or by less than whole pixels, or if `top_from`
    would have to be enlarged.
    """
    axis, a, b = _between(top_from, top_to)
    found, fix = "", ""
    if any(scale != 1 for scale in a):
        found = f"positions of one are {_text(a)} times those of the other"
        fix = "a Deconvolution whose stride undoes those before it"
    elif any(shift.denominator != 1 for shift in b):
        found = f"they are {_text(b)} apart, which is not a whole number of pixels"
        fix = "other pads or kernel sizes: an even kernel shifts by half a pixel"
    elif any(shift > 0 for shift in b):
        found = f"what is to be cut begins {_text(b)} pixels too late"
        fix = "a larger pad in the first Convolution"
    if found:
        raise CropError(found, where="coord_map.crop", fix=fix)
    offset = [int(-shift) for shift in b]
    made: Top = layers.Crop(top_from, top_to, axis=2 if axis is None else axis + 1, offset=offset)
    return made


def _between(top_from: Top, top_to: Top) -> Map:
    for top in (top_from, top_to):
        if not isinstance(top, Top):
            raise UsageError(f"{top!r} is not a top of a spec", where="coord_map")
    above, undefined = _walk(top_from)
    below, more = _walk(top_to)
    for top, there in below.items():  # the nearest to top_to first
        if top in above:
            return there.after(above[top].inverse())
    types = ", ".join(sorted(undefined | more))
    raise UsageError(
        "the two tops have no blob in common that positions could be counted in",
        where="coord_map",
        fix=f"layers without positions lie between: {types}" if types else "",
    )


def _walk(top: Top) -> tuple[dict[Top, Map], set[str]]:
    """Return every blob above `top`, nearest first, with its map; the types that ended a way."""
    found, undefined = {top: NOTHING}, set()
    waiting = [top]
    while waiting:
        current = waiting.pop(0)
        try:
            step = _map_of(current.fn)
        except UndefinedMapException:
            undefined.add(current.fn.type_name)
            continue
        inputs = current.fn.inputs
        for bottom in inputs[:1] if current.fn.type_name == "Crop" else inputs:
            if bottom not in found:
                found[bottom] = found[current].after(step)
                waiting.append(bottom)
    return found, undefined


def _map_of(fn: Function) -> Map:
    layer, kind = fn._layer, fn.type_name
    if kind in REGISTRY and REGISTRY[kind].keeps_positions:
        return NOTHING
    if kind == "Crop":
        offsets = tuple(Fraction(-offset) for offset in layer.crop_param.offset) or (Fraction(0),)
        return Map(layer.crop_param.axis - 1, (Fraction(1),) * len(offsets), offsets)
    if kind in ("Convolution", "Im2col", "Deconvolution"):
        param = layer.convolution_param
        axis, dilation = param.axis, _many(param.dilation, 1)
    elif kind == "Pooling" and not layer.pooling_param.global_pooling:
        param, axis, dilation = layer.pooling_param, 1, (1,)
    else:
        raise UndefinedMapException("keeps no positions", where=f"{kind} layer")
    kernel, stride, pad = (
        _field(param, name, none) for name, none in (("kernel", None), ("stride", 1), ("pad", 0))
    )
    if kernel is None:
        raise UndefinedMapException("has no kernel_size", where=f"{kind} layer")
    count = max(map(len, (kernel, stride, pad, dilation)))
    maps = []
    for k, s, p, d in zip(*(_wide(v, count) for v in (kernel, stride, pad, dilation)), strict=True):
        middle = Fraction(d * (k - 1), 2) - p  # of the window of top position 0, in the bottom
        maps.append((Fraction(s), middle))
    up = Map(axis, tuple(s for s, _ in maps), tuple(m for _, m in maps))
    return up if kind == "Deconvolution" else up.inverse()


def _field(param: Any, name: str, none: int | None) -> Any:
    """kernel_size or kernel_h and kernel_w, and so on: one number, or one for each axis."""
    if param.HasField(f"{name}_h") or param.HasField(f"{name}_w"):
        return (getattr(param, f"{name}_h"), getattr(param, f"{name}_w"))
    value = getattr(param, "kernel_size" if name == "kernel" else name)
    return _many(value, none)


def _many(value: Any, none: int | None) -> Any:
    """Return a field that may be repeated, as a tuple; `none` where nothing was given."""
    given = (value,) if isinstance(value, int) else tuple(value)
    return given or (None if none is None else (none,))


def _wide(values: Sequence[Any], count: int) -> tuple[Any, ...]:
    return tuple(values) * count if len(values) == 1 else tuple(values)


def _text(values: Numbers) -> str:
    return " and ".join(dict.fromkeys(map(str, values)))
