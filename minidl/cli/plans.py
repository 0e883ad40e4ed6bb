"""What a schedule says, as plain values and as words: engines, conversions, memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from minidl.arrays.units import bytes_

Json = dict[str, Any]


def make(
    blueprint: Any, policy: Any, backward: bool, homes: Mapping[str, Any] | None = None
) -> Any:
    """The schedule of a net that is made with `share` and that nobody has read from.

    backward   whether it will run backward
    homes      layouts of parameters that are another net's, by owner's key
    """
    from minidl.engines import select
    from minidl.net.schedule import Demands, Schedule

    nodes = blueprint.nodes
    force = blueprint.param.force_backward
    demands = Demands(
        backward=backward and any(node.needs_backward for node in nodes),
        homes=homes or {},
        learning=frozenset(
            p.owner
            for node in nodes
            for p in node.params
            if p.lr_mult or (force and p.attr not in node.layer.statistics)
        ),
        share=True,
    )
    engines = select.engines(policy, [node.layer.engine_wish for node in nodes])
    return Schedule(nodes, engines, policy, demands)


# ------------------------------------------------------------------ engines


def describe(step: Any) -> Json:
    """Who computes a layer, and how.

    engine   an engine's name; "numpy": array code; "none": it makes data, or has nothing to do
    layout   of the first top that is not plain, else ""
    fused    the layer before it does its forward
    why      why array code computes, or how a plan was measured; else ""
    """
    plan = step.plan
    if plan is not None:
        engine, algorithm = step.engine.name, plan.algorithm
        layout = next((str(layout) for layout in plan.top if layout is not None), "")
    else:
        engine, algorithm, layout = "numpy", "", ""
        if step.idle or not step.node.bottoms:
            engine = "none"
    return {
        "engine": engine,
        "algorithm": algorithm,
        "layout": layout,
        "fused": step.fused,
        "why": step.why,
    }


def in_words(layer: Json) -> str:
    """'onednn jit:avx512_core nhwc', 'array code', or ""; `layer` is from `describe`."""
    if layer["engine"] == "none":
        return ""
    if layer["engine"] == "numpy":
        words = ["array code"]
    else:
        said = f"{layer['engine']} {layer['algorithm']} {layer['layout']}"
        words = list(dict.fromkeys(said.split()))  # the algorithm may name the layout, too
    return " ".join(words) + (", fused" if layer["fused"] else "")


# ------------------------------------------------------------------ conversions


def conversions(schedule: Any) -> list[Json]:
    """Every conversion of a blob between two layouts, in the order of a pass."""
    steps, places = schedule.steps, schedule.walk.places
    forward = [(i, "forward") for i in range(len(steps))]
    backward = [(i, "backward") for i in reversed(range(len(steps)))]
    return [
        {"layer": steps[i].node.name, "pass": way, "when": when, **_copy(schedule, copy)}
        for i, way in forward + backward
        for when in ("before", "after")
        for copy in getattr(places[i], f"{when}_{way}")
    ]


def _copy(schedule: Any, copy: Any) -> Json:
    source, target = (schedule.walk.arrays[n] for n in copy)
    return {
        "blob": source.blob,
        "kind": source.kind,
        "from": str(source.layout or "plain"),
        "to": str(target.layout or "plain"),
        "bytes": nbytes(schedule, target),
    }


def conversion_in_words(copy: Json) -> str:
    """'conv1, before its forward: data from plain to nChw16c (37.7 MiB)'."""
    return f"{copy['layer']}, {copy['when']} its {copy['pass']}: {what_in_words(copy)}"


def what_in_words(copy: Json) -> str:
    """'data from plain to nChw16c (37.7 MiB)'."""
    what = copy["blob"] if copy["kind"] == "data" else f"gradient of {copy['blob']}"
    return f"{what} from {copy['from']} to {copy['to']} ({bytes_(copy['bytes'])})"


# ------------------------------------------------------------------ memory


def nbytes(schedule: Any, array: Any) -> int:
    """Bytes that one of the walk's arrays takes."""
    from minidl.arrays.memory import nbytes

    return nbytes(array.shape, array.layout, schedule.demands.dtype)


def by_layer(schedule: Any) -> list[Json]:
    """For each layer the bytes of its tops, their gradients, what it keeps, its workspace.

    Each array is counted as if it had memory of its own, for the layer whose top it is.
    """
    sizes: dict[tuple[str, str], int] = {}
    for array in _own(schedule):
        key = array.blob, array.kind
        sizes[key] = sizes.get(key, 0) + (0 if array.copy else nbytes(schedule, array))
    layers = []
    for step in schedule.steps:
        tops = step.node.tops
        layers.append(
            {
                "data_bytes": sum(sizes.pop((top, "data"), 0) for top in tops),
                "gradients_bytes": sum(sizes.pop((top, "diff"), 0) for top in tops),
                "buffers_bytes": sum(schedule.saved(step).values()),
                "scratch_bytes": schedule.scratch_bytes(step),
            }
        )
    return layers


def totals(schedule: Any) -> dict[str, int]:
    """Bytes of the whole net.

    params_bytes, param_gradients_bytes   in their layouts
    scratch_bytes    the workspace that layers use in turn
    shared_bytes     one block, in which arrays lie on top of each other if never needed together
    peak_bytes       the most that is needed of it at one time: no plan could be smaller
    apart_bytes      what the arrays in it would take next to each other
    unshared_bytes   inputs, outputs and losses, which have memory of their own
    memory_bytes     all of it;  memory_apart_bytes: all of it if nothing were shared but workspace
    """
    from minidl.net.schedule import name_of

    params = dict(_params(schedule))
    demands = schedule.demands
    learning = [key for key in params if demands.backward and key in demands.learning]
    planned = schedule.memory
    own = [a for a in _own(schedule) if name_of(a) not in planned.offsets]
    result = {
        "params_bytes": sum(params.values()),
        "param_gradients_bytes": sum(params[key] for key in learning),
        "shared_bytes": planned.total,
        "unshared_bytes": sum(nbytes(schedule, array) for array in own),
        "scratch_bytes": schedule.scratch,
    }
    together = sum(result.values())
    apart = sum(span.nbytes for span in planned.spans)
    return {
        **result,
        "peak_bytes": planned.peak,
        "apart_bytes": apart,
        "memory_bytes": together,
        "memory_apart_bytes": together - planned.total + apart,
    }


def _own(schedule: Any) -> Iterator[Any]:
    """The arrays that are no views of others."""
    return (array for array in schedule.walk.arrays if array.base is None)


def _params(schedule: Any) -> Iterator[tuple[str, int]]:
    for node in schedule.nodes:
        for p in node.params:
            if p.key == p.owner:
                layout = schedule.params[p.owner]
                yield p.key, 4 * math.prod(p.shape) if layout is None else layout.nbytes
