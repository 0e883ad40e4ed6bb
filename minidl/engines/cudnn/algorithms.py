"""Which algorithms a convolution has, pass by pass, and which of them a request gets.

cuDNN has eight ways to convolve forward, six for the gradient of the images, seven for that of the
filters. Each may need a workspace, may or may not give the same bits every time, and may decline a
case altogether, which depends on the chip. The library says all of that beforehand: by a
heuristic, or by running them.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from minidl.device import Device
from minidl.engines import Request
from minidl.engines.cudnn import api
from minidl.engines.cudnn.descriptors import Convolution, Filter, Tensor
from minidl.engines.cudnn.library import CudnnError, cudnn
from minidl.engines.cudnn.plan import Call, packed
from minidl.memory import Shape
from minidl.units import bytes_

TENSOR_CORES = (api.TENSOR_OP_MATH, api.TENSOR_OP_MATH_ALLOW_CONVERSION)


@dataclass(frozen=True)
class Problem:
    """One convolution y = w * x of images x; hashable, so that answers about it can be kept.

    x        (N, C, H, W), or with three spatial axes
    w        (K, C / group, kh, kw)
    y        (N, K, H', W')
    pad, stride, dilation   for each spatial axis
    dtype, order            of all three: "float32", "nchw"
    math     of the request: "float32", "tf32", "fp16" or "bf16"
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
    math: str = "float32"

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
        """The arguments of a query: what is read, `middle`, what is written."""
        first, second = self.reads
        return of[first], of[second], middle, of[self.writes]


FORWARD = Way("forward", "Forward", ("x", "w"), "y", api.FORWARD_ALGORITHMS)
DATA = Way("backward data", "BackwardData", ("w", "y"), "x", api.BACKWARD_DATA_ALGORITHMS)
FILTER = Way("backward filter", "BackwardFilter", ("x", "y"), "w", api.BACKWARD_FILTER_ALGORITHMS)
WAYS = FORWARD, DATA, FILTER


@dataclass(frozen=True)
class Algorithm:
    """What the library says of one algorithm for one problem and pass.

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


class Choice(NamedTuple):
    """The algorithm of a pass, None if it has none; `why`, if it is not what was asked for."""

    algorithm: Algorithm | None
    why: str = ""


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
        """The geometry; multiplied as the request says, or in this way of the library's."""
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
        """The call that runs a pass: what it writes = result + beta * what was there."""
        pairs = [part for name in way.reads for part in (self.of[name], addresses[name])]
        made = self.convolution(algorithm.math)
        room = workspace if algorithm.workspace else None
        how = made, algorithm.number, room, algorithm.workspace
        out = self.of[way.writes], addresses[way.writes]
        return (f"cudnnConvolution{way.word}", api.ONE, *pairs, *how, beta, *out)


class Algorithms:
    """What the library answers on one device; each question is asked once."""

    MOST = 32  # entries: the library lists an algorithm once for each way to multiply

    def __init__(self, device: Device) -> None:
        self._device = device
        self._known: dict[Any, tuple[Algorithm, ...]] = {}

    def expected(self, problem: Problem, way: Way) -> tuple[Algorithm, ...]:
        """All of them, each once, the fastest by the library's heuristic in front."""
        return self._once((problem, way), self._heuristic)

    def measured(
        self, problem: Problem, way: Way, limit: int | None = None
    ) -> tuple[Algorithm, ...]:
        """The same, run and in the order of their times.

        limit   bytes of workspace; None: as many as are free
        """
        return self._once((problem, way, limit), self._run)

    def settled(self, problem: Problem, way: Way, algorithm: Algorithm) -> Algorithm | None:
        """With the workspace that it will need as it will be called; None if it is refused."""
        setup, size = Setup(problem), ctypes.c_size_t()
        try:
            cudnn().call(
                f"cudnnGetConvolution{way.word}WorkspaceSize",
                cudnn().handle(self._device),
                *self._question(setup, way, algorithm.math),
                algorithm.number,
                ctypes.byref(size),
            )
        except CudnnError:
            return None
        return replace(algorithm, workspace=size.value)

    def _once(self, key: Any, ask: Any) -> tuple[Algorithm, ...]:
        if key not in self._known:
            with self._device.current():
                self._known[key] = tuple(ask(*key))
        return self._known[key]

    @staticmethod
    def _question(setup: Setup, way: Way, math: int | None = None) -> tuple[Any, ...]:
        return way.between(setup.convolution(math), setup.of)

    def _heuristic(self, problem: Problem, way: Way) -> Iterator[Algorithm]:
        count, found = ctypes.c_int(), (api.Perf * self.MOST)()
        cudnn().call(
            f"cudnnGetConvolution{way.word}Algorithm_v7",
            cudnn().handle(self._device),
            *self._question(Setup(problem), way),
            self.MOST,
            ctypes.byref(count),
            found,
        )
        return each_once(found[: count.value], way, problem)

    def _run(self, problem: Problem, way: Way, limit: int | None) -> Iterator[Algorithm]:
        setup, sizes = Setup(problem), problem.nbytes
        free, _ = self._device.memory() or (0, 0)
        most = free - packed(sizes.values())[1] if limit is None else limit
        needs = [a.workspace for a in self.expected(problem, way) if not a.refusal]
        room = max((need for need in needs if need <= most), default=0)
        starts, end = packed([*sizes.values(), room])
        memory = self._device.bytes_(end)
        base = self._device.address(memory)
        *places, workspace = (base + start for start in starts)
        at = dict(zip(sizes, places, strict=True))
        first, second, out = ((setup.of[name], at[name]) for name in (*way.reads, way.writes))
        count, found = ctypes.c_int(), (api.Perf * self.MOST)()
        cudnn().call(
            f"cudnnFindConvolution{way.word}AlgorithmEx",
            cudnn().handle(self._device),
            *first,
            *second,
            setup.convolution(),
            *out,
            self.MOST,
            ctypes.byref(count),
            found,
            workspace if room else None,
            room,
        )
        return each_once(found[: count.value], way, problem)


def each_once(found: Sequence[Any], way: Way, problem: Problem) -> Iterator[Algorithm]:
    """Each algorithm by its first entry that can run, otherwise by its first; in their order."""
    best: dict[int, Algorithm] = {}
    for perf in found:
        made = _algorithm(perf, way, problem)
        if made is not None and (made.number not in best or best[made.number].refusal):
            best[made.number] = made
    able = [made for made in best.values() if not made.refusal]
    unable = [made for made in best.values() if made.refusal]
    return iter([*able, *unable])


def _algorithm(perf: Any, way: Way, problem: Problem) -> Algorithm | None:
    """An entry of the library's list; None for one that rounds factors where nobody asked it to."""
    if not 0 <= perf.algo < len(way.algorithms):
        return None
    if problem.math == "float32" and perf.mathType in TENSOR_CORES:
        return None
    failed = perf.status != api.SUCCESS
    return Algorithm(
        way.algorithms[perf.algo],
        perf.algo,
        _reason(perf.status) if failed else "",
        0 if failed else perf.memory,
        perf.determinism == api.DETERMINISTIC,
        api.FMA_MATH if problem.math == "float32" else perf.mathType,
        perf.time,
    )


def _reason(status: int) -> str:
    """A status of a list in words: 'not supported here', or the library's own name for it."""
    if cudnn().unsupported(status):
        return "not supported for this shape and chip"
    return cudnn().text(status).partition(":")[0]


# ------------------------------------------------------------------ the choice


def choose(found: Sequence[Algorithm], request: Request, limit: int | None) -> Iterator[Choice]:
    """The algorithms that a request allows, the one to take in front.

    limit   bytes that the workspace may take; None: any number

    An algorithm that is asked for by name comes first; then those whose names contain the name; if
    neither can run, the others do, and the choice says why. Where nothing is allowed, what comes
    is one choice without an algorithm, with the reason.
    """
    allowed, reasons = [], {}
    for each in found:
        why = each.refusal or _unwanted(each, request, limit)
        if why:
            reasons[each.name] = why
        else:
            allowed.append(each)
    if not allowed:
        yield Choice(None, "; ".join(f"{name}: {why}" for name, why in reasons.items()) or "none")
        return
    name = request.algorithm
    if name in ("fastest", "no_workspace"):
        yield from map(Choice, allowed)
        return
    exact = [each for each in allowed if each.name == name]
    alike = [each for each in allowed if name in each.name and each not in exact]
    others = [each for each in allowed if each not in exact and each not in alike]
    yield from map(Choice, [*exact, *alike])
    named = {known: why for known, why in reasons.items() if name in known}
    why = "; ".join(f"{known} is {said}" for known, said in named.items())
    yield from (Choice(each, why or f"this pass has no {name}") for each in others)


def _unwanted(algorithm: Algorithm, request: Request, limit: int | None) -> str:
    if request.deterministic and not algorithm.deterministic:
        return "not deterministic"
    if request.algorithm == "no_workspace" and algorithm.workspace:
        return f"in need of a workspace of {bytes_(algorithm.workspace)}"
    if limit is not None and algorithm.workspace > limit:
        return f"in need of {bytes_(algorithm.workspace)} of workspace, {bytes_(limit)} are allowed"
    return ""
