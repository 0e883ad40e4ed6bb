"""Select the layers of a net by phase, level and stages: include and exclude rules."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from minidl import schema

PHASE_NAMES = {schema.TRAIN: "TRAIN", schema.TEST: "TEST"}


def net_state(phase: int, level: int = 0, stages: Sequence[str] = ()) -> Any:
    """A NetState message."""
    return schema.NetState(phase=phase, level=level, stage=list(stages))


def meets(state: Any, rule: Any) -> bool:
    """Return whether a net's state fits one include or exclude rule (all of its conditions)."""
    if rule.HasField("phase") and rule.phase != state.phase:
        return False
    if rule.HasField("min_level") and state.level < rule.min_level:
        return False
    if rule.HasField("max_level") and state.level > rule.max_level:
        return False
    stages = set(state.stage)
    return stages.issuperset(rule.stage) and stages.isdisjoint(rule.not_stage)


def included(spec: Any, state: Any) -> bool:
    """Return whether a layer belongs to a net in this state.

    With include rules: if any of them is met. Otherwise: unless an exclude rule is met.
    """
    if spec.include:
        return any(meets(state, rule) for rule in spec.include)
    return not any(meets(state, rule) for rule in spec.exclude)


def filter_layers(net: Any, state: Any) -> Any:
    """Return a copy of `net` in `state`, with only the layers whose rules fit it."""
    kept = deepcopy(net)
    del kept.layer[:]
    kept.layer.extend(spec for spec in net.layer if included(spec, state))
    kept.state.CopyFrom(state)
    return kept
