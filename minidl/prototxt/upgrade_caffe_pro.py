"""Turn the shorter side of yihui-he's ImageData layers into `transform_param { resize }`."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from minidl import schema
from minidl.errors import PrototxtError
from minidl.prototxt.origin import label, move_line, where

_P = "image_data_param"


def short_sides(net: Any) -> tuple[Any, list[str]]:
    """`new_dim` and `bicubic` of ImageData layers.

    The shorter side of an image becomes new_dim long, the other one in proportion; `bicubic`
    without new_dim does nothing there, and is dropped.

    Source: yihui-he/caffe-pro, src/caffe/util/io.cpp.
    """
    places = [i for i, layer in enumerate(net.layer) if _says(layer)]
    if not places:
        return net, []
    upgraded, notes = deepcopy(net), []
    for layer in (upgraded.layer[i] for i in places):
        if layer.image_data_param.new_dim:
            _resize(layer)
            notes.append(f"{label(layer)}: turned new_dim into transform_param {{ resize }}")
        else:
            notes.append(f"{label(layer)}: dropped bicubic, which has no effect without new_dim")
        for name in ("new_dim", "bicubic"):
            layer.image_data_param.ClearField(name)
    return upgraded, notes


def _says(layer: Any) -> bool:
    p = layer.image_data_param
    return layer.type == "ImageData" and (p.HasField("new_dim") or p.HasField("bicubic"))


def _resize(layer: Any) -> None:
    p, transform = layer.image_data_param, layer.transform_param
    if p.new_height or p.new_width or transform.HasField("resize"):
        other = "transform_param.resize" if transform.HasField("resize") else "new_height"
        raise PrototxtError(
            f"has both new_dim and {other}",
            where=where(layer, f"{_P}.new_dim"),
            fix="keep one of them",
        )
    transform.resize.mode, transform.resize.height = schema.ImageResize.COVER, p.new_dim
    move_line(layer.minidl_origin, f"{_P}.new_dim", "transform_param.resize.height")
    if p.bicubic:
        transform.resize.filter = schema.ImageResize.BICUBIC
        move_line(layer.minidl_origin, f"{_P}.bicubic", "transform_param.resize.filter")
