"""Record where a message came from, for error messages, and remove that before writing."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from minidl.schema import ORIGIN


def where(message: Any, path: str = "") -> str:
    """'net.prototxt:41: Pooling layer 'pool1'', as far as it is known.

    message   a layer of any form, a NetParameter or a SolverParameter
    path      a field inside, "pooling_param.kernel_size": its line, if recorded, not the message's
    """
    origin = message.minidl_origin
    line = origin.lines[path] if path in origin.lines else origin.line
    place = f"{origin.file}:{line}" if line else origin.file
    called = label(message) if message.DESCRIPTOR.name.endswith("LayerParameter") else ""
    return ": ".join(part for part in (place, called) if part)


def label(layer: Any) -> str:
    """'Pooling layer 'pool1'' for a layer of any form; '' if it has neither type nor name."""
    name, kind = layer.name, layer.type
    if layer.DESCRIPTOR.name == "V1LayerParameter":
        name = name or layer.layer.name
        kind = layer.layer.type
        if layer.HasField("type"):
            kind = v1_type(layer)
    if not name and not kind:
        return ""
    return " ".join(part for part in (kind, "layer", f"'{name}'" if name else "") if part)


def v1_type(layer: Any) -> str:
    """The name of a V1LayerParameter's type: "CONVOLUTION"; "NONE" if it has none."""
    values = layer.DESCRIPTOR.enum_types_by_name["LayerType"].values_by_number
    return str(values[layer.type].name)


def move_line(origin: Any, old: str, new: str) -> None:
    """Let the field at path `new` point at the line that the field `old` was read from."""
    if old in origin.lines:
        origin.lines[new] = origin.lines.pop(old)


def without_origins(message: Any) -> Any:
    """Return a copy that prints as people know it: see `clear_origins`."""
    copy = deepcopy(message)
    clear_origins(copy)
    return copy


def clear_origins(message: Any) -> None:
    """Remove the origins from a message and all messages in it: they are never written."""
    # only these hold them, and only these fields lead to them
    inside = {
        "SolverParameter": ("net_param", "train_net_param", "test_net_param"),
        "NetParameter": ("layer", "layers"),
        "V1LayerParameter": ("layer",),
    }.get(message.DESCRIPTOR.name, ())
    for name in inside:
        value = getattr(message, name)
        if hasattr(value, "add"):
            for item in value:
                clear_origins(item)
        elif message.HasField(name):
            clear_origins(value)
    if ORIGIN in message.DESCRIPTOR.fields_by_name:
        message.ClearField(ORIGIN)
