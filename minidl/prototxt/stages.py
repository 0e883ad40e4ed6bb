"""NVIDIA DIGITS' convention for one prototxt that holds three nets, by stages.

The layers of stage "train" are for training, those of "val" for validation, those of "deploy" for
use; layers without a rule are in all three. Data layers name no source: it is filled in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minidl import schema
from minidl.errors import GraphError, MinidlError, did_you_mean, raise_all
from minidl.prototxt.origin import where
from minidl.prototxt.phases import included, net_state

PHASES = {"train": schema.TRAIN, "val": schema.TEST, "deploy": schema.TEST}
TOPS = ("data", "label")  # of the data layer, where a file has none


def is_all_in_one(net: Any) -> bool:
    """Return whether the rules of a net's layers name one of these stages."""
    rules = [rule for layer in net.layer for rule in (*layer.include, *layer.exclude)]
    return any(PHASES.keys() & {*rule.stage, *rule.not_stage} for rule in rules)


def reads_data(layer: Any) -> bool:
    """Return whether a layer brings in records: a type with "Data" in it, and no bottoms."""
    return "Data" in layer.type and not layer.bottom


def by_phase(net: Any) -> Any:
    """Return the same net for training and validation, with rules of phases in place of stages.

    Layers of neither are left out, and so are Input layers.

    Errors: GraphError for every bottom that no layer of its stage makes, of all three stages.
    """
    check(net)
    found = schema.NetParameter()
    found.CopyFrom(net)
    found.ClearField("state")
    del found.layer[:]
    train, val = _state("train"), _state("val")
    for layer in net.layer:
        trains, tests = included(layer, train), included(layer, val)
        if layer.type == "Input" or not (trains or tests):
            continue
        kept = found.layer.add()
        kept.CopyFrom(layer)
        del kept.include[:]
        del kept.exclude[:]
        if not (trains and tests):
            kept.include.add(phase=schema.TRAIN if trains else schema.TEST)
    return found


def check(net: Any) -> None:
    """Refuse a net in which a layer reads what no layer before it makes, in any of the stages."""
    errors: list[MinidlError] = []
    for stage in PHASES:
        errors += _dangling(net, stage)
    raise_all(errors)


def _dangling(net: Any, stage: str) -> Iterator[MinidlError]:
    layers = [layer for layer in net.layer if included(layer, _state(stage))]
    made = set(net.input)
    if not any(reads_data(layer) for layer in layers):  # then what reads is put in
        made |= set(TOPS[:1] if stage == "deploy" else TOPS)
        made |= {top for layer in net.layer if reads_data(layer) for top in layer.top[:1]}
    for layer in layers:
        for bottom in layer.bottom:
            if bottom not in made:
                yield GraphError(
                    f"reads '{bottom}', which no layer before it makes in stage \"{stage}\"",
                    where=where(layer),
                    expected=f"one of {', '.join(sorted(made))}",
                    fix=did_you_mean(bottom, made) or _where_made(net, bottom),
                )
        made.update(layer.top)


def _where_made(net: Any, blob: str) -> str:
    """Say in which stages a blob is made, if in any."""
    stages = [
        stage
        for stage in PHASES
        if any(blob in x.top and included(x, _state(stage)) for x in net.layer)
    ]
    if not stages:
        return ""
    names = " and ".join(f'"{stage}"' for stage in stages)
    return f"'{blob}' is made in stage {names} only: give the layer the same include rule"


def _state(stage: str) -> Any:
    return net_state(PHASES[stage], 0, [stage])
