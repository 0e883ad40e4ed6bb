"""Plans for layers with weights: convolution, its transpose, the inner product."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from minidl.blob import Param
from minidl.engines import Bindings, Run
from minidl.engines.onednn import api
from minidl.engines.onednn.layout import DnnlLayout, reorder, wanted
from minidl.engines.onednn.passes import Pass
from minidl.engines.onednn.plan import DnnlPlan
from minidl.engines.onednn.primitive import Description, sequence
from minidl.memory import Memory, aligned

GRADIENTS = {"weight": api.DIFF_WEIGHTS, "bias": api.DIFF_BIAS}


@dataclass(frozen=True)
class Stated:
    """How the arrays lie outside the plan, in the library's dims; gradients as their arrays."""

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
        """The implementations, as DnnlPlan.passes has them."""
        names = "forward", "backward data", "backward weights"
        every = zip(names, (self.forward, self.data, self.weights), strict=True)
        return {name: made.name for name, made in every if made is not None}


@dataclass(kw_only=True)
class WeightedPlan(DnnlPlan):
    """Forward, the bottom's gradient, the parameters' gradients.

    What a pass wants otherwise than it lies is converted in the workspace, the weights too: during
    training they change at every step. Without training there is one converted copy of them, made
    anew when they have changed.

    learning   parameters whose gradients are asked for
    """

    keeps: tuple[str, ...] = ("bottom",)
    stated: Stated
    trio: Trio
    training: bool
    learning: tuple[str, ...]

    def __post_init__(self) -> None:
        self.passes = self.trio.names()
        src, weights, dst = self.stated.src, self.stated.weights, self.stated.dst
        if not self.training:
            weights = self._weights_inside()  # that copy
        forward = {api.SRC: src, api.WEIGHTS: weights, api.DST: dst}
        self._forward, self._data, self._weights = Pass(self.trio.forward, forward), None, None
        made = [self._forward]
        if self.trio.data is not None:
            lies = {api.DIFF_SRC: src, api.WEIGHTS: self.stated.weights, api.DIFF_DST: dst}
            self._data = Pass(self.trio.data, lies)
            made.append(self._data)
        if self.trio.weights is not None:
            lies = {api.SRC: src, api.DIFF_WEIGHTS: self.stated.weights, api.DIFF_DST: dst}
            self._weights = Pass(self.trio.weights, lies)
            made.append(self._weights)
        self.workspace = max(each.workspace for each in made)

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        room = memory.workspace.address if memory.workspace is not None else 0
        forward = self._bind_forward(memory, room)
        parts = [bind(memory, room) for bind in (self._bind_weights, self._bind_data)]
        runs = [run for run in parts if run is not None]

        def backward() -> None:
            for run in runs:
                run()

        return forward, backward if runs else None

    def _bind_forward(self, memory: Bindings, room: int) -> Run:
        weight = memory.params["weight"]
        addresses = {
            api.SRC: memory.bottom[0].address,
            api.WEIGHTS: weight.memory.address,
            api.DST: memory.top[0].address,
        }
        if "bias" in memory.params:
            addresses[api.BIAS] = memory.params["bias"].memory.address
        inside = self._weights_inside()
        if self.training or inside == self.stated.weights:
            return sequence(self._forward.steps(addresses, room))
        way = reorder(self.stated.weights, inside)
        copy, spare = aligned(inside.nbytes), aligned(way.scratchpad)
        ends = {api.SRC: weight.memory.address, api.DST: copy.ctypes.data}
        refresh = sequence([way.step(ends, spare.ctypes.data)])
        run = sequence(self._forward.steps({**addresses, api.WEIGHTS: copy.ctypes.data}, room))
        keep = copy, spare
        version: int | None = None

        def forward() -> None:
            nonlocal version, keep
            if weight.version != version:
                refresh()
                version = weight.version
            run()

        return forward

    def _weights_inside(self) -> DnnlLayout:
        """How forward wants the weights."""
        return wanted(self.trio.forward, api.WEIGHTS, self.stated.weights.shape)

    def _bind_data(self, memory: Bindings, room: int) -> Run | None:
        dx = memory.bottom_diff[0] if memory.bottom_diff else None
        if self._data is None or dx is None:
            return None
        addresses = {
            api.DIFF_DST: memory.top_diff[0].address,
            api.WEIGHTS: memory.params["weight"].memory.address,
            api.DIFF_SRC: dx.address,
        }
        return sequence(self._data.steps(addresses, room))

    def _bind_weights(self, memory: Bindings, room: int) -> Run | None:
        if self._weights is None:
            return None
        made = self._weights
        params = {name: memory.params[name] for name in self.learning}
        outside = {
            api.SRC: memory.bottom[0].address,
            api.DIFF_DST: memory.top_diff[0].address,
        }
        sizes = {"weight": self.stated.weights.nbytes}
        if "bias" in params:
            sizes["bias"] = params["bias"].memory.array.nbytes

        @functools.cache
        def aside(name: str) -> np.ndarray:
            """Where a gradient goes that cannot be written to where it belongs."""
            return aligned(sizes[name])

        @functools.cache
        def into(direct: tuple[bool, ...]) -> Run:
            """The pass that writes the gradients, each to its place or aside."""
            addresses = {**outside}
            if "weight" not in params:  # the library knows no gradient of the bias alone
                addresses[api.DIFF_WEIGHTS] = aside("weight").ctypes.data
            for (name, param), there in zip(params.items(), direct, strict=True):
                place = _gradient(param).address if there else aside(name).ctypes.data
                addresses[GRADIENTS[name]] = place
            return sequence(made.steps(addresses, room))

        def run() -> None:
            into(tuple([param.fresh for param in params.values()]))()
            for name, param in params.items():
                if param.fresh:
                    param.fresh = False
                else:
                    _add(_gradient(param), aside(name))

        return run


def _gradient(param: Param) -> Memory:
    assert param.gradient is not None, f"{param} is learning and has no gradient"
    return param.gradient


def _add(gradient: Memory, more: np.ndarray) -> None:
    """Add a gradient to another that lies alike; both are float32, padding (zero) included."""
    total = gradient.array.reshape(-1).view(np.float32)
    np.add(total, more.view(np.float32), out=total)
