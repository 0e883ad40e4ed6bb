"""From the layers of a file to a graph: every top has one reader, shared ones go through splits."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from minidl import schema
from minidl.errors import GraphError, did_you_mean, raise_all, worth_a_hint
from minidl.prototxt import where
from minidl.prototxt.phases import PHASE_NAMES


@dataclass
class _Source:
    """One top that a layer writes, and who uses it."""

    layer: int
    index: int
    uses: int = 0
    readers: list[int] = field(default_factory=list)
    loss_weight: float = 0.0
    given: int = field(default=0)  # split tops already handed to a consumer


def insert_splits(net: Any) -> Any:
    """Copy `net` so that every top has one consumer: shared ones go through a Split layer.

    A top of layer `l` at index `i` that is used k > 1 times (a loss weight on a used top counts as
    a use) gets a layer `<top>_<l>_<i>_split` with tops `<top>_<l>_<i>_split_0..k-1`. These
    are Caffe's names, and weight files contain them. The loss weight moves to the first split top.

    Refuses bottoms that no earlier layer makes (with the nearest name) and tops made twice.
    """
    sources: dict[tuple[int, int], _Source] = {}
    feeding: dict[tuple[int, int], _Source] = {}  # (layer, bottom index) -> where it comes from
    latest: dict[str, _Source] = {}
    errors: list[GraphError] = []
    makers = _makers(net)
    for i, spec in enumerate(net.layer):
        for j, name in enumerate(spec.bottom):
            if name not in latest:
                near = latest if worth_a_hint(errors) else {}
                errors.append(_unknown_bottom(net, i, j, near, makers))
                continue
            feeding[i, j] = latest[name]
            latest[name].uses += 1
            latest[name].readers.append(i)
        for j, name in enumerate(spec.top):
            in_place = j < len(spec.bottom) and spec.bottom[j] == name
            if name in latest and not in_place:
                first = net.layer[latest[name].layer]
                errors.append(
                    GraphError(
                        f"makes top '{name}', which layer '{first.name}' already makes",
                        where=where(spec),
                        fix="give it a name of its own (only bottom[i] == top[i] is in place)",
                    )
                )
            latest[name] = sources[i, j] = _Source(i, j)
        for name, weight in zip(spec.top, spec.loss_weight, strict=False):
            latest[name].loss_weight = weight
            latest[name].uses += weight != 0
    for (i, j), source in feeding.items():
        spec = net.layer[i]
        if j < len(spec.top) and spec.top[j] == spec.bottom[j] and source.uses > 1:
            other = next((net.layer[k].name for k in source.readers if k != i), None)
            users = f"layer '{other}' reads" if other is not None else "a loss weight uses"
            errors.append(
                GraphError(
                    f"works in place on '{spec.top[j]}', which {users}, too",
                    where=where(spec),
                    fix="give its top a name of its own",
                )
            )
    raise_all(errors)

    result = schema.NetParameter()
    result.CopyFrom(net)
    del result.layer[:]
    for i, spec in enumerate(net.layer):
        copy = result.layer.add()
        copy.CopyFrom(spec)
        for j in range(len(spec.bottom)):
            source = feeding[i, j]
            if source.uses > 1:
                copy.bottom[j] = f"{_split_name(net, source)}_{source.given}"
                source.given += 1
        for split, source in _splits(net, sources, i):
            if source.loss_weight:
                copy.loss_weight[source.index] = 0
                source.given += 1
            result.layer.add().CopyFrom(split)
    return result


def _splits(net: Any, sources: dict[tuple[int, int], _Source], i: int) -> Iterator[Any]:
    spec = net.layer[i]
    for j, top in enumerate(spec.top):
        source = sources[i, j]
        if source.uses <= 1:
            continue
        name = _split_name(net, source)
        split = schema.LayerParameter(name=name, type="Split", bottom=[top])
        split.minidl_origin.CopyFrom(spec.minidl_origin)
        split.top.extend(f"{name}_{k}" for k in range(source.uses))
        if source.loss_weight:
            split.loss_weight.extend([source.loss_weight] + [0.0] * (source.uses - 1))
        yield split, source


def _split_name(net: Any, source: _Source) -> str:
    spec = net.layer[source.layer]
    return f"{spec.top[source.index]}_{spec.name}_{source.index}_split"


def _makers(net: Any) -> dict[str, list[int]]:
    """Return the positions of the layers that make each top."""
    makers: dict[str, list[int]] = {}
    for i, spec in enumerate(net.layer):
        for name in spec.top:
            makers.setdefault(name, []).append(i)
    return makers


def _unknown_bottom(
    net: Any, i: int, j: int, near: Mapping[str, _Source], makers: Mapping[str, list[int]]
) -> GraphError:
    """near    tops among which a similar name is looked for"""
    spec = net.layer[i]
    name = spec.bottom[j]
    later = makers.get(name, [])[bisect_right(makers.get(name, []), i) :][:1]
    if later:
        by = net.layer[later[0]].name
        fix = f"layer '{by}' makes it, but comes later: layers run in the order of the file"
    else:
        phase = PHASE_NAMES.get(net.state.phase, "")
        fix = did_you_mean(name, near) or f"no layer of the {phase} net makes it"
    return GraphError(f"bottom[{j}] '{name}' is unknown", where=where(spec), fix=fix)
