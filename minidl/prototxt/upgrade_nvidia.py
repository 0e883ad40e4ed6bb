"""Split NVIDIA's BatchNorm with a scale and shift of its own into BatchNorm and Scale."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from minidl import schema

SCALE_BIAS = "/scale_bias"  # suffix of the Scale layer's name
STATISTICS = 3  # parameters that stay with BatchNorm: mean, variance, scale_factor


def scale_bias(net: Any) -> tuple[Any, list[str]]:
    """`scale_bias`, `scale_filler` and `bias_filler` of BatchNorm layers, into Scale layers.

    A Scale layer in place on the BatchNorm layer's top has the same values and the same gradients;
    NVIDIA's Caffe sets lr_mult and decay_mult of both arrays to 1, whatever the file says. Blobs 3
    and 4 of a weight file go with it.

    Source: NVIDIA/caffe, batch_norm_layer.cpp.
    """
    names = [layer.name for layer in net.layer if _has_scale(layer)]
    if not names:
        return net, []
    upgraded = deepcopy(net)
    del upgraded.layer[:]
    for layer in net.layer:
        norm = upgraded.layer.add()
        norm.CopyFrom(layer)
        if _has_scale(layer):
            _split(norm, upgraded.layer.add())
    listing = ", ".join(f"'{name}'" for name in names[:3]) + (", ..." if len(names) > 3 else "")
    layers = f"{len(names)} BatchNorm layer{'s' if len(names) > 1 else ''} ({listing})"
    return upgraded, [f"turned scale_bias of {layers} into Scale layers NAME{SCALE_BIAS}"]


def _has_scale(layer: Any) -> bool:
    p = layer.batch_norm_param
    asked = p.scale_bias or p.HasField("scale_filler") or p.HasField("bias_filler")
    return layer.type == "BatchNorm" and bool(asked)


def _split(norm: Any, scale: Any) -> None:
    """Move the Scale layer's fields from `norm` into `scale`, an empty layer."""
    p = norm.batch_norm_param
    scale.name, scale.type = norm.name + SCALE_BIAS, "Scale"
    scale.bottom.extend(norm.top)
    scale.top.extend(norm.top)
    scale.scale_param.bias_term = True
    if p.HasField("scale_filler"):
        scale.scale_param.filler.CopyFrom(p.scale_filler)
    if p.HasField("bias_filler"):
        scale.scale_param.bias_filler.CopyFrom(p.bias_filler)
    for field in ("scale_bias", "scale_filler", "bias_filler"):
        p.ClearField(field)
    for name in ("include", "exclude"):
        getattr(scale, name).extend(getattr(norm, name))
    if norm.HasField("phase"):
        scale.phase = norm.phase
    for name in ("param", "blobs"):
        values = getattr(norm, name)
        getattr(scale, name).extend(values[STATISTICS:])
        del values[STATISTICS:]
    for param in scale.param:
        param.lr_mult = param.decay_mult = 1
    if norm.HasField(schema.ORIGIN):
        for field in ("file", "line", "column"):
            setattr(scale.minidl_origin, field, getattr(norm.minidl_origin, field))
