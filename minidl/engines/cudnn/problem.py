"""A convolution in cuDNN's words: its geometry, its three passes, its algorithms, its calls."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from minidl.arrays.memory import Shape
from minidl.engines.cudnn import api
from minidl.engines.cudnn.descriptors import Convolution, Filter, Tensor
from minidl.engines.cudnn.library import cudnn
from minidl.engines.cudnn.plan import Call
from minidl.engines.math import FLOAT32, Math


@dataclass(frozen=True)
class Problem:
    """One convolution y = w * x of images x; hashable, so that answers about it can be kept.

    x        (N, C, H, W), or with three spatial axes
    w        (K, C / group, kh, kw)
    y        (N, K, H', W')
    pad, stride, dilation   for each spatial axis
    dtype, order            of all three: "float32", "nchw"
    math     of the request
    """

    x: Shape
    w: Shape
    y: Shape
    pad: Shape
    stride: Shape
    dilation: Shape
    group: int = 1
    dtype: str = "float32"
    order: str = "nchw"
    math: Math = FLOAT32

    @property
    def nbytes(self) -> dict[str, int]:
        """Bytes of x, w and y."""
        size = api.ITEMSIZE[self.dtype]
        return {name: size * math.prod(getattr(self, name)) for name in "xwy"}


class Way(NamedTuple):
    """One of the three passes: two arrays are read, one is written.

    name        "backward data"
    word        what the library calls it in its functions' names
    reads       "x", "w" or "y", in the order in which functions take them; so `writes`
    algorithms  their names, by number
    """

    name: str
    word: str
    reads: tuple[str, str]
    writes: str
    algorithms: tuple[str, ...]

    def between(self, middle: Any, of: dict[str, Any]) -> tuple[Any, ...]:
        """Return the arguments of a query: what is read, `middle`, what is written."""
        first, second = self.reads
        return of[first], of[second], middle, of[self.writes]


FORWARD = Way("forward", "Forward", ("x", "w"), "y", api.FORWARD_ALGORITHMS)
DATA = Way("backward data", "BackwardData", ("w", "y"), "x", api.BACKWARD_DATA_ALGORITHMS)
FILTER = Way("backward filter", "BackwardFilter", ("x", "y"), "w", api.BACKWARD_FILTER_ALGORITHMS)
WAYS = FORWARD, DATA, FILTER


@dataclass(frozen=True)
class Algorithm:
    """The library's description of one algorithm for one problem and pass.

    refusal        why it cannot run; "" if it can
    workspace      bytes it needs
    deterministic  whether it gives the same bits every time
    math           how it multiplies: api.FMA_MATH and its like
    ms             milliseconds, where it was run; otherwise -1
    """

    name: str
    number: int
    refusal: str = ""
    workspace: int = 0
    deterministic: bool = True
    math: int = api.FMA_MATH
    ms: float = -1.0


class Setup:
    """A problem's descriptors; `convolution` for one way to multiply."""

    def __init__(self, problem: Problem) -> None:
        dtype, order = problem.dtype, problem.order
        self.problem = problem
        self.of: dict[str, Any] = {
            "x": Tensor(problem.x, dtype, order),
            "w": Filter(problem.w, dtype, order),
            "y": Tensor(problem.y, dtype, order),
        }

    def convolution(self, math: int | None = None) -> Convolution:
        """Return the geometry, to be multiplied as the request says or in this way of cuDNN's."""
        p = self.problem
        made = Convolution(p.pad, p.stride, p.dilation, p.group, p.math)
        if math is not None:
            cudnn().call("cudnnSetConvolutionMathType", made, math)
        return made

    def call(
        self,
        way: Way,
        algorithm: Algorithm,
        addresses: dict[str, int],
        workspace: int,
        beta: Any = api.ZERO,
    ) -> Call:
        """Return the call that runs a pass: output = result + beta * old output."""
        pairs = [part for name in way.reads for part in (self.of[name], addresses[name])]
        made = self.convolution(algorithm.math)
        room = workspace if algorithm.workspace else None
        how = made, algorithm.number, room, algorithm.workspace
        out = self.of[way.writes], addresses[way.writes]
        return (f"cudnnConvolution{way.word}", api.ONE, *pairs, *how, beta, *out)
