"""Find what is wrong with a net from its message alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minidl.errors import PrototxtError, raise_all
from minidl.prototxt.finite import not_finite
from minidl.prototxt.origin import where

Finding = tuple[str, str, str, str]  # path, found, expected, fix


def validate_net(net: Any) -> None:
    """Refuse a net that no set of layers could make sense of, for all reasons at once.

    The net is in today's form (`upgrade_net`). Checks: that there are layers, each with a
    type; that no name is empty; include next to exclude; the number of `loss_weight` and
    `propagate_down`; mean_file next to mean_value, forced colour next to forced grey; old forms
    next to new ones; required fields; floats that are not finite. The layer checks its own
    parameters; the graph checks how layers fit together.
    """
    errors = []
    if net.layers or net.input:
        raise PrototxtError(
            "the net is in an old form", where=where(net), fix="prototxt.upgrade_net(net) first"
        )
    if not net.layer:
        errors.append(PrototxtError("the net has no layers", where=where(net)))
    for layer in net.layer:
        for path, found, expected, fix in _findings(layer):
            errors.append(
                PrototxtError(found, where=where(layer, path), expected=expected, fix=fix)
            )
    raise_all(errors)


def _findings(layer: Any) -> Iterator[Finding]:
    if not layer.type:
        yield "type", "the layer has no type", 'type: "Convolution" or another', ""
    for name in ("bottom", "top"):
        for i, blob in enumerate(getattr(layer, name)):
            if not blob:
                yield f"{name}[{i}]" if i else name, f"{name} {i} has an empty name", "", ""
    if layer.include and layer.exclude:
        fix = "keep include (where it is used), or exclude (where it is not)"
        yield "exclude", "the layer has both include and exclude", "one of them", fix
    yield from _count(layer, "loss_weight", "top", at_least=1 if not layer.top else 0)
    yield from _count(layer, "propagate_down", "bottom")
    transform = layer.transform_param
    if transform.mean_file and transform.mean_value:
        found = "transform_param has both mean_file and mean_value"
        yield "transform_param.mean_value", found, "one of them", ""
    if transform.force_color and transform.force_gray:
        found = "transform_param has both force_color and force_gray"
        yield "transform_param.force_gray", found, "one of them", ""
    for path, value in not_finite(layer):
        yield path, f"{path} is {value}", "a finite number", ""
    for path in layer.FindInitializationErrors():
        yield path.split(".")[0], f"{path} is missing", "", ""


def _count(layer: Any, name: str, of: str, at_least: int = 0) -> Iterator[Finding]:
    count, blobs = len(getattr(layer, name)), max(len(getattr(layer, of)), at_least)
    if count not in (0, blobs):
        found = f"the layer has {count} {name} for {blobs} {of}{'s' if blobs != 1 else ''}"
        yield name, found, f"none, or one for each {of}", ""
