"""Plans for layers with weights: convolution, its transpose, the inner product."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from minidl.arrays.blob import Param
from minidl.arrays.memory import CPU, Memory
from minidl.engines.onednn import api
from minidl.engines.onednn.layout import DnnlLayout, reorder, wanted
from minidl.engines.onednn.passes import Pass
from minidl.engines.onednn.primitive import Description, Step, sequence
from minidl.engines.plan import Bindings, Plan, Run, several

GRADIENTS = {"weight": api.DIFF_WEIGHTS, "bias": api.DIFF_BIAS}


@dataclass(frozen=True)
class Stated:
    """The layouts of the arrays outside the plan, in the library's dims; gradients alike."""

    src: DnnlLayout
    weights: DnnlLayout
    dst: DnnlLayout


@dataclass(frozen=True)
class Trio:
    """One operation for each pass; those of backward only where something asks for them."""

    forward: Description
    data: Description | None = None
    weights: Description | None = None

    def names(self) -> dict[str, str]:
        """Return the implementations, as Plan.passes has them."""
        names = "forward", "backward data", "backward weights"
        every = zip(names, (self.forward, self.data, self.weights), strict=True)
        return {name: made.name for name, made in every if made is not None}


@dataclass(kw_only=True)
class WeightedPlan(Plan):
    """Forward, the bottom's gradient, the parameters' gradients.

    What a pass wants otherwise than it lies is converted in the workspace, the weights too: during
    training they change at every step. Without training there is one converted copy of them, made
    again when they have changed.

    learning   parameters whose gradients are asked for
    """

    stated: Stated
    trio: Trio
    training: bool
    learning: tuple[str, ...]

    def __post_init__(self) -> None:
        trio, home = self.trio, self.stated.weights
        self.passes = trio.names()
        self.keeps = ("bottom",) if trio.weights is not None else ()
        # Forward and backward data read the weights; if both want the same layout and it is not the
        # one they live in, they share one converted copy.
        inside = wanted(trio.forward, api.WEIGHTS, home.shape)
        shared = trio.data is not None and wanted(trio.data, api.WEIGHTS, home.shape) == inside
        # Whether there is a copy of the weights that outlives a forward, and how it is made.
        copied = inside != home and (shared or not self.training)
        self._way = reorder(home, inside) if copied else None
        self._copy_bytes = inside.nbytes
        # In training the copy lasts from forward to backward, in `saved`; without training it lasts
        # for good, in memory of the plan's own.
        self.saved = inside.nbytes if copied and self.training else 0
        read = inside if copied else home
        x, y = {api.SRC: self.stated.src}, {api.DST: self.stated.dst}
        dx, dy = {api.DIFF_SRC: self.stated.src}, {api.DIFF_DST: self.stated.dst}
        self._forward = Pass(trio.forward, x | {api.WEIGHTS: read} | y)
        self._data = self._weights = None
        if trio.data is not None:
            self._data = Pass(trio.data, dy | {api.WEIGHTS: read if shared else home} | dx)
        if trio.weights is not None:
            self._weights = Pass(trio.weights, x | dy | {api.DIFF_WEIGHTS: home})
        passes = (self._forward, self._data, self._weights)
        needs = [each.workspace for each in passes if each is not None]
        self.workspace = max(*needs, self._way.scratchpad if self._way is not None else 0)
        self._shared = shared

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        room = memory.workspace.address if memory.workspace is not None else 0
        weight = memory.params["weight"]
        read, refresh = weight.values.memory.address, None
        if self._way is not None:
            kept = CPU.bytes_(self._copy_bytes) if memory.saved is None else memory.saved.array
            read = kept.ctypes.data
            ends = {api.SRC: weight.values.memory.address, api.DST: read}
            refresh = self._way.step(ends, room, keep=kept)
        current = _Copy(weight, refresh) if refresh is not None else None
        forward = self._bind_forward(memory, room, read, current)
        learn = self._bind_weights(memory, room)
        descend = self._bind_data(
            memory, room, read if self._shared else weight.values.memory.address
        )
        if current is not None and descend is not None and self._shared:
            descend = several([current.follow, descend])
        runs = [run for run in (learn, descend) if run is not None]
        return forward, several(runs) if runs else None

    def _bind_forward(self, memory: Bindings, room: int, read: int, copy: _Copy | None) -> Run:
        addresses = {
            api.SRC: memory.bottom_memory[0].address,
            api.WEIGHTS: read,
            api.DST: memory.top_memory[0].address,
        }
        if "bias" in memory.params:
            addresses[api.BIAS] = memory.params["bias"].values.memory.address
        run = sequence(self._forward.steps(addresses, room))
        if copy is None:
            return run
        return several([copy.renew if self.training else copy.follow, run])

    def _bind_data(self, memory: Bindings, room: int, read: int) -> Run | None:
        dx = memory.bottom_diff_memory[0] if memory.bottom_diff_memory else None
        if self._data is None or dx is None:
            return None
        addresses = {
            api.DIFF_DST: memory.top_diff_memory[0].address,
            api.WEIGHTS: read,
            api.DIFF_SRC: dx.address,
        }
        return sequence(self._data.steps(addresses, room))

    def _bind_weights(self, memory: Bindings, room: int) -> Run | None:
        if self._weights is None:
            return None
        made = self._weights
        params = {name: memory.params[name] for name in self.learning}
        outside = {
            api.SRC: memory.bottom_memory[0].address,
            api.DIFF_DST: memory.top_diff_memory[0].address,
        }
        sizes = {"weight": self.stated.weights.nbytes}
        if "bias" in params:
            sizes["bias"] = params["bias"].values.memory.array.nbytes

        @functools.cache
        def aside(name: str) -> np.ndarray:
            """Allocate room for a gradient that has to be added to one already there."""
            return CPU.bytes_(sizes[name])

        @functools.cache
        def into(direct: tuple[bool, ...]) -> Run:
            """Bind the pass that writes the gradients, each to its place or aside."""
            addresses = {**outside}
            if "weight" not in params:  # the library knows no gradient of the bias alone
                addresses[api.DIFF_WEIGHTS] = aside("weight").ctypes.data
            for (name, param), there in zip(params.items(), direct, strict=True):
                place = param.gradient.memory.address if there else aside(name).ctypes.data
                addresses[GRADIENTS[name]] = place
            return sequence(made.steps(addresses, room))

        def run() -> None:
            # The library cannot add to a gradient. A fresh one is written in place; otherwise the
            # new one is written aside and added.
            into(tuple([param.gradient.fresh for param in params.values()]))()
            for name, param in params.items():
                if param.gradient.fresh:
                    param.gradient.fresh = False
                else:
                    _add(param.gradient.memory, aside(name))

        return run


class _Copy:
    """A lasting converted copy of the weights: `renew` makes it again, `follow` if they changed."""

    def __init__(self, weight: Param, convert: Step) -> None:
        self._weight, self._convert = weight, sequence([convert])
        self._version: int | None = None

    def renew(self) -> None:
        self._convert()
        self._version = self._weight.values.version

    def follow(self) -> None:
        if self._weight.values.version != self._version:
            self.renew()


def _add(gradient: Memory, more: np.ndarray) -> None:
    """Add a gradient to another that lies alike; both are float32, padding (zero) included."""
    total = gradient.array.reshape(-1).view(np.float32)
    np.add(total, more.view(np.float32), out=total)
