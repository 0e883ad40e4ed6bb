"""A convolution's plan: its passes, and the conversions around them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from minidl import ops
from minidl.arrays.memory import Memory
from minidl.engines.cudnn import api
from minidl.engines.cudnn.descriptors import Tensor
from minidl.engines.cudnn.epilogue import Epilogue
from minidl.engines.cudnn.plan import Call, CudnnPlan, part, sequence
from minidl.engines.cudnn.problem import Algorithm, Problem, Setup, Way
from minidl.engines.cupy_kernels.layout import Dense, converter
from minidl.engines.cupy_kernels.maps import accumulated
from minidl.engines.plan import Bindings, Run, packed_on_gpu, several


@dataclass(kw_only=True)
class ConvolutionPlan(CudnnPlan):
    """Forward, the bottom's gradient, the parameters' gradients.

    Parameters and their gradients are plain float32 arrays. Where the passes want the filters in
    another order or halved, each pass converts them in the workspace: in training they change at
    every step. A gradient that the library writes halved or in another order is converted on its
    way out, and so rounded to that type once, after the sum.

    problem   in the library's words; a transposed convolution has its image for a top
    ways      by pass: which of the library's passes it is
    chosen    by pass: the algorithm
    inside    by parameter: how the passes want it; None: as it is
    learning  parameters whose gradients are asked for
    fused     one call does forward with bias and ReLU
    """

    op: ops.Conv
    problem: Problem
    ways: Mapping[str, Way]
    inside: Mapping[str, Dense | None]
    learning: tuple[str, ...]
    chosen: Mapping[str, Algorithm] = field(default_factory=dict)
    fused: bool = False

    # ------------------------------------------------------------------ what it is

    def complete(self) -> None:
        """Work out what follows from the algorithms."""
        self.passes = {name: chosen.name for name, chosen in self.chosen.items()}
        names = list(self.passes.values())
        self.algorithm = names[0] if len(set(names)) == 1 else "/".join(names)
        self.keeps = ("bottom",) if "weight" in self.learning else ()
        whole = ("forward", "backward data", "backward filter")
        self.workspace = max(self._rooms(name)[1] for name in whole)

    def rooms_end(self, name: str) -> int:
        """Return the bytes of workspace that a pass needs besides its algorithm's."""
        return packed_on_gpu([*self._converted(name).values(), 1])[1] - 1

    def _converted(self, name: str) -> dict[str, int]:
        """Return the bytes of what a pass converts: parameters, and sums of gradients."""
        # Forward reads all parameters, backward data the filters; the rest writes gradients.
        parameters = {"forward": tuple(self.inside), "backward data": ("weight",)}
        rooms = {}
        for parameter in parameters.get(name, self.learning):
            layout = self.inside[parameter]
            if layout is not None:
                rooms[parameter] = layout.nbytes
                if name == "backward filter":
                    rooms[f"more {parameter}"] = 4 * math.prod(layout.shape)
        return rooms

    def _rooms(self, name: str) -> tuple[dict[str, int], int]:
        """Lay out a pass's rooms, and its algorithm's, in the workspace; return starts and end."""
        sizes = self._converted(name)
        needs = self.chosen[name].workspace if name in self.chosen else 0
        starts, end = packed_on_gpu([*sizes.values(), needs])
        return dict(zip((*sizes, "algorithm"), starts, strict=True)), end

    @property
    def _sides(self) -> tuple[str, str]:
        """The library's names for the layer's bottom and top."""
        return ("y", "x") if self.op.transposed else ("x", "y")

    # ------------------------------------------------------------------ bound to memory

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        forward = self._bind_forward(memory)
        runs = [self._bind_gradient(memory, name) for name in self.learning]
        if "backward data" in self.ways:
            runs.append(self._bind_data(memory))
        return forward, several(runs) if runs else None

    def _bind_forward(self, memory: Bindings) -> Run:
        rooms, _ = self._rooms("forward")
        runs: list[Run] = []
        at = {
            "bottom": memory.bottom_memory[0].address,
            "top": memory.top_memory[0].address,
            "workspace": self._address(memory, rooms["algorithm"]),
        }
        for name in self.inside:
            at[name] = self._read(memory, name, rooms, runs)
        return several([*runs, sequence(self.device, self._forward_calls(at))])

    def _forward_calls(self, at: Mapping[str, int]) -> list[Call]:
        epilogue, algorithm = Epilogue(self.op, self.problem), self.chosen["forward"]
        if self.fused:
            return [epilogue.fused(algorithm, at)]
        inner, outer = self._sides
        addresses = {inner: at["bottom"], outer: at["top"], "w": at["weight"]}
        way, setup = self.ways["forward"], epilogue.setup
        return [setup.call(way, algorithm, addresses, at["workspace"]), *epilogue.apart(at)]

    def _bind_data(self, memory: Bindings) -> Run:
        rooms, _ = self._rooms("backward data")
        runs: list[Run] = []
        dx = memory.bottom_diff_memory[0]
        assert dx is not None
        inner, outer = self._sides
        at = {
            "w": self._read(memory, "weight", rooms, runs),
            outer: memory.top_diff_memory[0].address,
            inner: dx.address,
        }
        way, algorithm = self.ways["backward data"], self.chosen["backward data"]
        workspace = self._address(memory, rooms["algorithm"])
        call = Setup(self.problem).call(way, algorithm, at, workspace)
        return several([*runs, sequence(self.device, [call])])

    def _bind_gradient(self, memory: Bindings, name: str) -> Run:
        """Bind the gradient of one parameter: it overwrites what is there, or adds to it."""
        param = memory.params[name]
        assert param.wanted, f"{param} is learning and wants no gradient"
        rooms, _ = self._rooms("backward filter")
        compute = self._gradient_calls(memory, name, rooms)
        total, layout = param.gradient.memory, self.inside[name]
        if layout is None:
            # Factor 0 or 1 on what is there: the library overwrites or adds by itself.
            overwrite = sequence(self.device, compute(total.address, api.ZERO))
            add = sequence(self.device, compute(total.address, api.ONE))
        else:
            inside = part(memory.workspace, rooms[name], total.shape, layout)
            more = part(memory.workspace, rooms[f"more {name}"], total.shape, None)
            # The gradient is made inside, converted, and where one is there already added to that.
            here = sequence(self.device, compute(inside.address, api.ZERO))
            overwrite = several([here, converter(self.device, inside, total)])
            sums = sequence(self.device, [_sum(more, total)])
            add = several([here, converter(self.device, inside, more), sums])
        return accumulated(param, overwrite, add)

    def _gradient_calls(
        self, memory: Bindings, name: str, rooms: Mapping[str, int]
    ) -> Callable[[int, Any], list[Call]]:
        """Return a function from a gradient's address and the factor on its old values to calls."""
        top = memory.top_diff_memory[0].address
        if name == "bias":
            epilogue = Epilogue(self.op, self.problem)
            return lambda to, beta: [epilogue.bias_gradient(top, to, beta)]
        setup, (inner, outer) = Setup(self.problem), self._sides
        at = {inner: memory.bottom_memory[0].address, outer: top}
        way, algorithm = self.ways["backward filter"], self.chosen["backward filter"]
        workspace = self._address(memory, rooms["algorithm"])
        return lambda to, beta: [setup.call(way, algorithm, {**at, "w": to}, workspace, beta)]

    def _read(self, memory: Bindings, name: str, rooms: Mapping[str, int], runs: list[Run]) -> int:
        """Return where a pass finds a parameter; append the conversion that brings it there."""
        param, layout = memory.params[name].values.memory, self.inside[name]
        if layout is None:
            return param.address
        room = part(memory.workspace, rooms[name], param.shape, layout)
        runs.append(converter(self.device, param, room))
        return room.address

    @staticmethod
    def _address(memory: Bindings, start: int) -> int:
        return memory.workspace.address + start if memory.workspace is not None else 0


def _sum(more: Memory, total: Memory) -> Call:
    """Return the call for total += more, both plain."""
    flat = Tensor((1, 1, 1, math.prod(total.shape)))
    return ("cudnnAddTensor", api.ONE, flat, more.address, api.ONE, flat, total.address)
