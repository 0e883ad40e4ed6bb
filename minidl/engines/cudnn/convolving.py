"""What a convolution's plan runs: its passes, the conversions around them, bias and ReLU."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from minidl import ops
from minidl.engines import Bindings, Run
from minidl.engines.cudnn import api
from minidl.engines.cudnn.algorithms import FORWARD, Algorithm, Problem, Setup, Way
from minidl.engines.cudnn.descriptors import Activation, Tensor
from minidl.engines.cudnn.plan import Call, CudnnPlan, packed, part, sequence, several
from minidl.engines.cupy_kernels.convert import converter
from minidl.engines.dense import Dense
from minidl.memory import Memory


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
        """Bytes of the workspace that a pass needs beside its algorithm's."""
        return packed([*self._converted(name).values(), 1])[1] - 1

    def _converted(self, name: str) -> dict[str, int]:
        """Bytes of what a pass converts: each parameter inside, and sums of gradients outside."""
        if name == "backward filter":
            read = [each for each in self.learning if self.inside[each] is not None]
        else:
            read = ["weight", "bias"] if name == "forward" else ["weight"]
        rooms = {}
        for parameter in read:
            layout = self.inside.get(parameter)
            if layout is not None:
                rooms[parameter] = layout.nbytes
                if name == "backward filter":
                    rooms[f"more {parameter}"] = 4 * math.prod(layout.shape)
        return rooms

    def _rooms(self, name: str) -> tuple[dict[str, int], int]:
        """Where in the workspace a pass has its rooms and its algorithm's, and their end."""
        sizes = self._converted(name)
        needs = self.chosen[name].workspace if name in self.chosen else 0
        starts, end = packed([*sizes.values(), needs])
        return dict(zip((*sizes, "algorithm"), starts, strict=True)), end

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
            "bottom": memory.bottom[0].address,
            "top": memory.top[0].address,
            "workspace": self._address(memory, rooms["algorithm"]),
        }
        for name in self.inside:
            at[name] = self._read(memory, name, rooms, runs)
        calls = forward_calls(self, Setup(self.problem), self.chosen["forward"], at)
        return several([*runs, sequence(self.device, calls)])

    def _bind_data(self, memory: Bindings) -> Run:
        rooms, _ = self._rooms("backward data")
        runs: list[Run] = []
        dx = memory.bottom_diff[0]
        assert dx is not None
        inner, outer = ("y", "x") if self.op.transposed else ("x", "y")
        at = {
            "w": self._read(memory, "weight", rooms, runs),
            outer: memory.top_diff[0].address,
            inner: dx.address,
        }
        way, algorithm = self.ways["backward data"], self.chosen["backward data"]
        workspace = self._address(memory, rooms["algorithm"])
        call = Setup(self.problem).call(way, algorithm, at, workspace)
        return several([*runs, sequence(self.device, [call])])

    def _bind_gradient(self, memory: Bindings, name: str) -> Run:
        """The gradient of one parameter, over what is there or added to it."""
        param = memory.params[name]
        assert param.gradient is not None, f"{param} is learning and has no gradient"
        rooms, _ = self._rooms("backward filter")
        compute = self._gradient_calls(memory, name, rooms)
        total, layout = param.gradient, self.inside[name]
        if layout is None:
            overwrite = sequence(self.device, compute(total.address, api.ZERO))
            add = sequence(self.device, compute(total.address, api.ONE))
        else:
            inside = part(memory.workspace, rooms[name], total.shape, layout)
            more = part(memory.workspace, rooms[f"more {name}"], total.shape, None)
            here = sequence(self.device, compute(inside.address, api.ZERO))
            overwrite = several([here, converter(self.device, inside, total)])
            sums = sequence(self.device, [_sum(more, total)])
            add = several([here, converter(self.device, inside, more), sums])

        def run() -> None:
            if param.fresh:
                param.fresh = False
                overwrite()
            else:
                add()

        return run

    def _gradient_calls(
        self, memory: Bindings, name: str, rooms: Mapping[str, int]
    ) -> Callable[[int, Any], list[Call]]:
        """From the address of a gradient, and the factor on what is there, to the calls."""
        setup, top = Setup(self.problem), memory.top_diff[0].address
        if name == "bias":
            bias, of_top = bias_tensor(self), top_tensor(self, setup)
            head = "cudnnConvolutionBackwardBias", api.ONE, of_top, top
            return lambda to, beta: [(*head, beta, bias, to)]
        bottom = memory.bottom[0].address
        at = {"x": top, "y": bottom} if self.op.transposed else {"x": bottom, "y": top}
        way, algorithm = self.ways["backward filter"], self.chosen["backward filter"]
        workspace = self._address(memory, rooms["algorithm"])
        return lambda to, beta: [setup.call(way, algorithm, {**at, "w": to}, workspace, beta)]

    def _read(self, memory: Bindings, name: str, rooms: Mapping[str, int], runs: list[Run]) -> int:
        """Where a pass finds a parameter; `runs` gets the conversion that brings it there."""
        param, layout = memory.params[name].memory, self.inside[name]
        if layout is None:
            return param.address
        room = part(memory.workspace, rooms[name], param.shape, layout)
        runs.append(converter(self.device, param, room))
        return room.address

    @staticmethod
    def _address(memory: Bindings, start: int) -> int:
        return memory.workspace.address + start if memory.workspace is not None else 0


# ------------------------------------------------------------------ calls


def forward_calls(
    plan: ConvolutionPlan, setup: Setup, algorithm: Algorithm, at: Mapping[str, int]
) -> list[Call]:
    """Forward with bias and ReLU, on what lies at these addresses (bottom, top, weight, ...)."""
    if plan.fused:
        return [_fused(plan, setup, algorithm, at)]
    bottom, top = ("y", "x") if plan.op.transposed else ("x", "y")
    addresses = {bottom: at["bottom"], top: at["top"], "w": at["weight"]}
    calls = [setup.call(plan.ways["forward"], algorithm, addresses, at["workspace"])]
    return calls + finishing_calls(plan, top_tensor(plan, setup), at)


def finishing_calls(plan: ConvolutionPlan, top: Tensor, at: Mapping[str, int]) -> list[Call]:
    """The bias and the ReLU, over the top."""
    calls: list[Call] = []
    if plan.op.bias:
        bias = bias_tensor(plan)
        calls.append(("cudnnAddTensor", api.ONE, bias, at["bias"], api.ONE, top, at["top"]))
    if plan.op.then is not None:
        y = top, at["top"]
        relu = Activation(api.ACTIVATION_RELU)
        calls.append(("cudnnActivationForward", relu, api.ONE, *y, api.ZERO, *y))
    return calls


def _fused(
    plan: ConvolutionPlan, setup: Setup, algorithm: Algorithm, at: Mapping[str, int]
) -> Call:
    """y = relu(1 * w x + 0 * y + bias). The library refuses to hand on NaN here."""
    mode = api.ACTIVATION_IDENTITY if plan.op.then is None else api.ACTIVATION_RELU
    room = at["workspace"] if algorithm.workspace else None
    top = setup.of["y"], at["top"]
    return (
        "cudnnConvolutionBiasActivationForward",
        *(api.ONE, setup.of["x"], at["bottom"], setup.of["w"], at["weight"]),
        *(setup.convolution(algorithm.math), algorithm.number, room, algorithm.workspace),
        *(api.ZERO, *top, bias_tensor(plan), at["bias"], Activation(mode, nan=False), *top),
    )


def _sum(more: Memory, total: Memory) -> Call:
    """total += more, both plain."""
    flat = Tensor((1, 1, 1, math.prod(total.shape)))
    return ("cudnnAddTensor", api.ONE, flat, more.address, api.ONE, flat, total.address)


def top_tensor(plan: ConvolutionPlan, setup: Setup) -> Tensor:
    """How the layer's top lies."""
    top: Tensor = setup.of["x" if plan.op.transposed else "y"]
    return top


def bias_tensor(plan: ConvolutionPlan) -> Tensor:
    """One number for each channel of the top, whatever the image and the place."""
    axes = len(plan.problem.x)
    return Tensor((1, plan.op.num_output, *[1] * (axes - 2)), plan.problem.dtype)


# ------------------------------------------------------------------ what the library declines


class Trial:
    """Of the calls around the passes, for which there is no list of what is supported."""

    def __init__(self, engine: Any, plan: ConvolutionPlan) -> None:
        self.engine, self.plan = engine, plan
        problem, shape = plan.problem, max(plan.problem.x, plan.problem.y, key=math.prod)
        images = engine.trials.images(shape, arrays=2)
        self.few = replace(problem, x=(images, *problem.x[1:]), y=(images, *problem.y[1:]))

    def around(self) -> str:
        """Why bias and ReLU cannot be done; "" if they can."""
        plan, setup = self.plan, Setup(self.few)
        top = top_tensor(plan, setup)

        def calls(y: int, bias: int) -> list[Call]:
            made = finishing_calls(plan, top, {"top": y, "bias": bias})
            if "bias" in plan.learning:
                what = api.ONE, top, y, api.ZERO, bias_tensor(plan), bias
                made.append(("cudnnConvolutionBackwardBias", *what))
            return made

        key = "around a convolution", self.few, plan.op, plan.learning
        refusal: str = self.engine.trials.refusal(key, [top.nbytes, self._bias_bytes], calls)
        return refusal

    def fuses(self) -> bool:
        """Whether the library does forward, bias and ReLU in one call."""
        plan, setup = self.plan, Setup(self.few)
        settled = self.engine.algorithms.settled(self.few, FORWARD, plan.chosen["forward"])
        if settled is None:
            return False
        names = "bottom", "weight", "top", "bias", "workspace"
        sizes = [*self.few.nbytes.values(), self._bias_bytes, settled.workspace]

        def calls(*addresses: int) -> list[Call]:
            return [_fused(plan, setup, settled, dict(zip(names, addresses, strict=True)))]

        key = "fused", self.few, plan.op, settled
        return not self.engine.trials.refusal(key, sizes, calls)

    @property
    def _bias_bytes(self) -> int:
        return self.plan.op.num_output * api.ITEMSIZE[self.plan.problem.dtype]
