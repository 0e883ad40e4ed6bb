"""Nets drawn for Netscope: its marks become what they mean to a program that runs them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from minidl.prototxt.origin import label

IMPLICIT = "implicit"


def implicit_layers(net: Any) -> tuple[Any, list[str]]:
    """Replace layers of type "implicit", which Netscope draws as passing on what they read.

    One that names no top, or its bottom, marks an output: it is dropped, so that its bottom is one.
    Others become a Split. Those of several bottoms or tops are left: Netscope does not define
    them.

    Source: dgschwend/netscope (src/analyzer.coffee).
    """
    marks = [_is_mark(layer) for layer in net.layer]
    if not any(marks):
        return net, []
    notes = []
    upgraded = deepcopy(net)
    del upgraded.layer[:]
    for layer, is_mark in zip(net.layer, marks, strict=True):
        passed_on = is_mark and list(layer.top) not in ([], list(layer.bottom))
        if passed_on:
            notes.append(f"{label(layer)}: turned Netscope's type into Split")
        elif is_mark:
            notes.append(f"dropped {label(layer)}, which marks an output in Netscope")
            continue
        new = upgraded.layer.add()
        new.CopyFrom(layer)
        if passed_on:
            new.type = "Split"
    return upgraded, notes


def drawn_inputs(net: Any) -> tuple[Any, list[str]]:
    """Data layers that have input_param, and nothing to read from, become Input layers.

    Netscope treats them as inputs.
    """
    found = [i for i, layer in enumerate(net.layer) if _is_drawn_input(layer)]
    if not found:
        return net, []
    upgraded, notes = deepcopy(net), []
    for i in found:
        notes.append(f"{label(net.layer[i])}: turned into an Input layer: it has input_param alone")
        upgraded.layer[i].type = "Input"
    return upgraded, notes


def _is_drawn_input(layer: Any) -> bool:
    own = any(layer.HasField(name) for name in ("data_param", "transform_param"))
    return layer.type in ("Data", "data") and layer.HasField("input_param") and not own


def _is_mark(layer: Any) -> bool:
    return layer.type == IMPLICIT and len(layer.bottom) == 1 and len(layer.top) <= 1
