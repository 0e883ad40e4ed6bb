"""A convolution's bias and ReLU: separate calls after its products, or one call with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from minidl import ops
from minidl.engines.cudnn import api
from minidl.engines.cudnn.descriptors import Activation, Tensor
from minidl.engines.cudnn.plan import Call
from minidl.engines.cudnn.problem import FORWARD, Algorithm, Problem, Setup

# Without a ReLU the library adds a bias on the way with this algorithm alone, says NVIDIA.
WITHOUT_RELU = "implicit_precomp_gemm"


class Epilogue:
    """The calls for one layer; `at` holds addresses by name: "bottom", "weight", "workspace", ...

    top    how the layer's top lies
    bias   one number for each of its channels, the same for every image and place
    """

    def __init__(self, op: ops.Conv, problem: Problem) -> None:
        self.op, self.problem, self.setup = op, problem, Setup(problem)
        self.top: Tensor = self.setup.of["x" if op.transposed else "y"]
        ones = [1] * (len(problem.x) - 2)
        self.bias = Tensor((1, op.num_output, *ones), problem.dtype)

    def apart(self, at: Mapping[str, int]) -> list[Call]:
        """Return the calls that apply bias and ReLU to the top, after the products."""
        calls: list[Call] = []
        y = self.top, at["top"]
        if self.op.bias:
            calls.append(("cudnnAddTensor", api.ONE, self.bias, at["bias"], api.ONE, *y))
        if self.op.then is not None:
            relu = Activation(api.ACTIVATION_RELU)
            calls.append(("cudnnActivationForward", relu, api.ONE, *y, api.ZERO, *y))
        return calls

    def fused(self, algorithm: Algorithm, at: Mapping[str, int]) -> Call:
        """Return the call for y = relu(1 * w x + 0 * y + bias); its ReLU turns NaN into 0."""
        of, problem = self.setup.of, self.problem
        assert not self.op.transposed, problem
        mode = api.ACTIVATION_IDENTITY if self.op.then is None else api.ACTIVATION_RELU
        room = at["workspace"] if algorithm.workspace else None
        how = self.setup.convolution(algorithm.math), algorithm.number, room, algorithm.workspace
        y = self.top, at["top"]
        return (
            "cudnnConvolutionBiasActivationForward",
            *(api.ONE, of["x"], at["bottom"], of["w"], at["weight"], *how),
            *(api.ZERO, *y, self.bias, at["bias"], Activation(mode, nan=False), *y),
        )

    def bias_gradient(self, top: int, to: int, beta: Any) -> Call:
        """Return the call that sums the top's gradient over images and places, plus beta * old."""
        return ("cudnnConvolutionBackwardBias", api.ONE, self.top, top, beta, self.bias, to)


class Trial:
    """Finds out whether the library takes these calls here, on one image: see `Trials`.

    learning   parameters whose gradients are asked for
    """

    def __init__(self, engine: Any, op: ops.Conv, problem: Problem) -> None:
        self.engine, self.op = engine, op
        self.one = replace(problem, x=(1, *problem.x[1:]), y=(1, *problem.y[1:]))
        self.epilogue = Epilogue(op, self.one)

    def refusal(self, learning: tuple[str, ...]) -> str:
        """Say why bias, its gradient and ReLU cannot run as separate calls; "" if they can."""

        def calls(top: int, bias: int) -> list[Call]:
            made = self.epilogue.apart({"top": top, "bias": bias})
            if "bias" in learning:
                made.append(self.epilogue.bias_gradient(top, bias, api.ZERO))
            return made

        key = "epilogue", self.op, self.one, learning
        sizes = [self.epilogue.top.nbytes, self.epilogue.bias.nbytes]
        refusal: str = self.engine.trials.refusal(key, sizes, calls)
        return refusal

    def fuses(self, algorithm: Algorithm) -> bool:
        """Tell whether one call can do the products of this algorithm with bias and ReLU."""
        if not self.op.bias or self.op.transposed:
            return False
        # The fused call has two forms: with a ReLU, or with the identity, for one algorithm only.
        if self.op.then is None and algorithm.name != WITHOUT_RELU:
            return False
        settled = self.engine.algorithms.settled(self.one, FORWARD, algorithm)
        if settled is None:
            return False
        names = "bottom", "weight", "top", "bias", "workspace"
        sizes = [*self.one.nbytes.values(), self.epilogue.bias.nbytes, settled.workspace]

        def calls(*addresses: int) -> list[Call]:
            return [self.epilogue.fused(settled, dict(zip(names, addresses, strict=True)))]

        key = "fused", self.op, self.one, settled
        return not self.engine.trials.refusal(key, sizes, calls)
