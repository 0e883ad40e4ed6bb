"""A schedule in figures and in words: engines, conversions, memory."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import astuple, dataclass

from minidl.arrays import memory
from minidl.arrays.units import bytes_
from minidl.engines.request import Undecided
from minidl.net.blueprint import ParamPlan
from minidl.net.layout import Array, Copy
from minidl.net.schedule import Schedule, Step, name_of

# ------------------------------------------------------------------ engines


@dataclass(frozen=True)
class Execution:
    """The implementation that runs a layer; in words "onednn jit:avx512_core nhwc, fused".

    engine      an engine's name; "numpy": array code; "none": it makes data, or has nothing to do
    algorithm   the implementation's name; "" without an engine
    layout      of the first top that is not plain, else ""
    fused       the layer before it does its forward
    why         why array code computes, or how a plan was measured; else ""
    """

    engine: str
    algorithm: str = ""
    layout: str = ""
    fused: bool = False
    why: str = ""

    def __str__(self) -> str:
        if self.engine == "none":
            return ""
        said = f"{self.engine} {self.algorithm} {self.layout}"
        words = list(dict.fromkeys(said.split()))  # the algorithm may name the layout, too
        if self.engine == "numpy":
            words = ["array code"]
        return " ".join(words) + (", fused" if self.fused else "")


def execution(step: Step) -> Execution:
    """Return the implementation that runs the layer of this step."""
    if step.part_of is not None:
        return dataclasses.replace(execution(step.part_of), fused=True, why="")
    if step.plan is not None and step.engine is not None:
        layout = next((str(layout) for layout in step.plan.top_layouts if layout is not None), "")
        return Execution(step.engine.name, step.plan.algorithm, layout, step.fused, step.why)
    idle = step.idle or not step.node.bottoms
    return Execution("none" if idle else "numpy", fused=step.fused, why=step.why)


# ------------------------------------------------------------------ conversions


@dataclass(frozen=True)
class Conversion:
    """A copy of a blob into another layout.

    layer, way, when   "conv1", "forward" or "backward", "before" or "after"
    blob, kind         "data": the blob's values; "diff": its gradient
    source, target     the layouts' names, or "plain"
    nbytes             of the target
    """

    layer: str
    way: str
    when: str
    blob: str
    kind: str
    source: str
    target: str
    nbytes: int

    def __str__(self) -> str:
        return f"{self.layer}, {self.when} its {self.way}: {self.what}"

    @property
    def what(self) -> str:
        """'data from plain to nChw16c (37.7 MiB)'."""
        what = self.blob if self.kind == "data" else f"gradient of {self.blob}"
        return f"{what} from {self.source} to {self.target} ({bytes_(self.nbytes)})"

    def facts(self) -> dict[str, str | int]:
        """Return the same by the names that `--json` has for it."""
        names = ("layer", "pass", "when", "blob", "kind", "from", "to", "bytes")
        return dict(zip(names, astuple(self), strict=True))


def conversions(schedule: Schedule) -> list[Conversion]:
    """Return the conversions of a forward and a backward, in their order."""
    steps, places = schedule.steps, schedule.walk.places
    forward = [(i, "forward") for i in range(len(steps))]
    backward = [(i, "backward") for i in reversed(range(len(steps)))]
    return [
        _conversion(schedule, steps[i].node.name, way, when, copy)
        for i, way in forward + backward
        for when in ("before", "after")
        for copy in getattr(places[i], f"{when}_{way}")
    ]


def _conversion(schedule: Schedule, layer: str, way: str, when: str, copy: Copy) -> Conversion:
    source, target = (schedule.walk.arrays[n] for n in copy)
    left, right = (str(array.layout or "plain") for array in (source, target))
    size = nbytes(schedule, target)
    return Conversion(layer, way, when, source.blob, source.kind, left, right, size)


# ------------------------------------------------------------------ memory


@dataclass(frozen=True)
class LayerMemory:
    """Bytes of a layer's tops, of their gradients, of what it keeps, of its workspace.

    Each array is counted as if it had memory of its own, for the layer whose top it is.
    """

    data_bytes: int
    gradients_bytes: int
    buffers_bytes: int
    scratch_bytes: int


@dataclass(frozen=True)
class NetMemory:
    """Bytes of a whole net.

    params_bytes, param_gradients_bytes   in their layouts
    shared_bytes     one block, in which arrays share memory if never needed together
    unshared_bytes   inputs, outputs and losses, which have memory of their own
    scratch_bytes    the workspace that layers use in turn
    peak_bytes       the most that is needed of the block at one time: no plan could be smaller
    apart_bytes      what the arrays in it would take next to each other
    """

    params_bytes: int
    param_gradients_bytes: int
    shared_bytes: int
    unshared_bytes: int
    scratch_bytes: int
    peak_bytes: int
    apart_bytes: int

    @property
    def memory_bytes(self) -> int:
        """All of it."""
        learnt = self.params_bytes + self.param_gradients_bytes
        return learnt + self.shared_bytes + self.unshared_bytes + self.scratch_bytes

    @property
    def memory_apart_bytes(self) -> int:
        """All of it if nothing were shared but workspace."""
        return self.memory_bytes - self.shared_bytes + self.apart_bytes


def nbytes(schedule: Schedule, array: Array) -> int:
    """Return the bytes that one of the walk's arrays takes."""
    return memory.nbytes(array.shape, array.layout, schedule.dtype)


def layer_memory(schedule: Schedule) -> list[LayerMemory]:
    """Return the memory of each layer."""
    sizes: dict[tuple[str, str], int] = {}
    for array in _own(schedule):
        key = array.blob, array.kind
        sizes[key] = sizes.get(key, 0) + (0 if array.copy else nbytes(schedule, array))
    return [
        LayerMemory(
            data_bytes=sum(sizes.pop((top, "data"), 0) for top in step.node.tops),
            gradients_bytes=sum(sizes.pop((top, "diff"), 0) for top in step.node.tops),
            buffers_bytes=sum(schedule.saved(step).values()),
            scratch_bytes=schedule.scratch_bytes(step),
        )
        for step in schedule.steps
    ]


def net_memory(schedule: Schedule) -> NetMemory:
    """Return the memory of all layers together."""
    planned = schedule.memory
    owners = [p for node in schedule.nodes for p in node.params if p.key == p.owner]
    params = {p.key: param_bytes(schedule, p) for p in owners}
    learning = [key for key in params if schedule.backward and key in schedule.learning]
    apart = [a for a in _own(schedule) if name_of(a) not in planned.offsets]
    return NetMemory(
        params_bytes=sum(params.values()),
        param_gradients_bytes=sum(params[key] for key in learning),
        shared_bytes=planned.total,
        unshared_bytes=sum(nbytes(schedule, array) for array in apart),
        scratch_bytes=schedule.scratch,
        peak_bytes=planned.peak,
        apart_bytes=sum(span.nbytes for span in planned.spans),
    )


def param_bytes(schedule: Schedule, param: ParamPlan) -> int:
    """Return the bytes of a parameter in the layout that it lives in."""
    layout = schedule.params[param.owner]
    assert not isinstance(layout, Undecided)  # the schedule has seen every layer
    return 4 * math.prod(param.shape) if layout is None else layout.nbytes


def _own(schedule: Schedule) -> Iterator[Array]:
    """Return the arrays that are not views of others."""
    return (array for array in schedule.walk.arrays if array.base is None)
