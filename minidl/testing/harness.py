"""One layer alone: made from keyword arguments, bound to arrays, run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import minidl.layers  # noqa: F401  (registers every layer)
from minidl import schema
from minidl.arrays.blob import Blob, Param
from minidl.arrays.device import Device, default_device
from minidl.arrays.rng import Streams
from minidl.layers.base import REGISTRY, Layer, layer_class
from minidl.layers.context import Context
from minidl.prototxt.assign import assign_layer


def make_spec(
    type: str,
    bottoms: int | None = None,
    tops: int | None = None,
    name: str = "layer",
    in_place: bool = False,
    **params: Any,
) -> Any:
    """A LayerParameter from keywords, as `build` takes them."""
    cls = REGISTRY[type]
    least = [c if isinstance(c, int) else c[0] for c in (cls.bottoms, cls.tops)]
    bottoms = least[0] if bottoms is None else bottoms
    tops = (bottoms if cls.same_counts else least[1]) if tops is None else tops
    spec = schema.LayerParameter(name=name, type=type)
    spec.bottom.extend(f"x{i}" for i in range(bottoms))
    spec.top.extend(f"x{i}" if in_place else f"y{i}" for i in range(tops))
    assign_layer(spec, cls.parameters, params)
    return spec


def build(
    type: str,
    *,
    phase: int = schema.TRAIN,
    dtype: Any = np.float64,
    seed: int = 1,
    device: str | None = None,
    allow_python: bool = False,
    **keywords: Any,
) -> Layer:
    """A layer from keywords: ``build("LRN", local_size=3)``, ``build("Concat", bottoms=3)``.

    phase, dtype, seed      of the context it lives in
    device                  its name; None: the one that `set_device` chose
    allow_python            whether a Python layer may run its code
    bottoms, tops           how many blobs (by default the fewest the type takes)
    in_place                make the tops the bottoms themselves
    name                    "layer" by default
    everything else         a field of one of the layer's parameter messages, else of
                            LayerParameter; messages as ``weight_filler=dict(type="xavier")``
    """
    spec = make_spec(type, **keywords)
    place = default_device() if device is None else Device(device)
    streams = Streams(seed)
    ctx = Context(place, dtype, phase, streams, allow_python=allow_python)
    return layer_class(spec)(spec, ctx)


def bind(
    layer: Layer,
    *arrays: np.ndarray,
    params: Sequence[np.ndarray] | None = None,
    seed: int = 0,
) -> tuple[list[Blob], list[Blob]]:
    """Give a layer all the arrays it declares; returns its bottoms (filled) and tops (full of NaN).

    params  values of the parameters in order; by default random, signed, scaled by fan-in

    The values come from the host; the blobs are on the layer's device.
    """
    device, dtype = layer.ctx.device, layer.ctx.dtype
    shapes = [tuple(np.shape(a)) for a in arrays]
    bottom = [Blob(f"x{i}", s, device, dtype) for i, s in enumerate(shapes)]
    for blob, array in zip(bottom, arrays, strict=True):
        _give(blob)
        device.write(blob.data, array)
    rng = np.random.default_rng(seed)
    layer.params = []
    for i, (name, shape) in enumerate(layer.param_shapes(*shapes).items()):
        param = Param(name, shape, device, dtype)
        param.wanted = name not in layer.statistics
        fan_in = max(1, param.count // max(1, shape[0] if shape else 1))
        random = rng.standard_normal(shape) / np.sqrt(fan_in)
        if name in layer.statistics:
            random = np.abs(random)
        device.write(param.data, random if params is None else params[i])
        setattr(layer, name, param)
        layer.params.append(param)
    for name, buffer in layer.buffers(*shapes).items():
        array = device.zeros(buffer.shape, buffer.dtype or dtype)
        if array.dtype.kind == "f" and not buffer.lasting:
            device.write(array, np.nan)
        setattr(layer, name, array)
    top = []
    for i, shape in enumerate(layer.top_shapes(*shapes)):
        if layer.is_in_place and i == 0:
            top.append(bottom[0])
            continue
        blob = Blob(f"y{i}", shape, device, dtype)
        if i in layer.views:
            blob.share(bottom[layer.views[i]], shape, diff=layer.view_diffs)
        else:
            _give(blob)
            device.write(blob.data, np.nan)
        top.append(blob)
    return bottom, top


def _give(blob: Blob) -> None:
    """Give a blob arrays of its own to work on, as a net does."""
    blob.use(*(blob.device.zeros(blob.shape, blob.dtype) for _ in ("data", "diff")))


def run(
    layer: Layer,
    *arrays: np.ndarray,
    params: Sequence[np.ndarray] | None = None,
    seed: int = 0,
) -> tuple[list[Blob], list[Blob]]:
    """Bind a layer and run it forward once; returns (bottoms, tops)."""
    bottom, top = bind(layer, *arrays, params=params, seed=seed)
    with layer.ctx.device.current():
        layer.forward(bottom, top)
    return bottom, top
