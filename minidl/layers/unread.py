"""Parameters that a layer is given, but that belong to layers of another type."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

from minidl import prototxt
from minidl.layers.base import Layer

log = logging.getLogger("minidl")
_said: set[str] = set()  # by this process


def warn(layers: Sequence[Layer]) -> None:
    """Name each message that its layer does not read; those of a file once, however many nets are
    made of it, as a solver does."""
    for layer in layers:
        for field, _ in layer.spec.ListFields():
            if not field.name.endswith("_param") or field.name in layer.parameters:
                continue
            reads = " and ".join(layer.parameters) or "none"
            place = prototxt.where(layer.spec, field.name)
            sentence = f"{place}: {field.name} has no effect: {layer.type} layers read {reads}"
            if sentence not in _said:
                log.warning("%s", sentence)
            if os.path.isfile(layer.spec.minidl_origin.file):  # text made by a program may change
                _said.add(sentence)
