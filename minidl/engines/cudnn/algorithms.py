"""The algorithms that cuDNN has for a convolution on this device, pass by pass.

There are eight ways to convolve forward, six for the gradient of the images, seven for that of the
filters. Each may need a workspace, may or may not give the same bits every time, and may decline a
case altogether, which depends on the chip. The library says all of that beforehand: by a
heuristic, or by running them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from minidl.arrays.device import Device
from minidl.engines.cudnn import api
from minidl.engines.cudnn.library import CudnnError, cudnn
from minidl.engines.cudnn.problem import Algorithm, Problem, Setup, Way
from minidl.engines.plan import packed_on_gpu

TENSOR_CORES = (api.TENSOR_OP_MATH, api.TENSOR_OP_MATH_ALLOW_CONVERSION)


class Algorithms:
    """The library's answers on one device; each question is asked once."""

    MOST = 32  # entries: the library lists an algorithm once for each way to multiply

    def __init__(self, device: Device) -> None:
        self._device = device
        self._known: dict[Any, tuple[Algorithm, ...]] = {}

    def expected(self, problem: Problem, way: Way) -> tuple[Algorithm, ...]:
        """Return every algorithm once, in the order that the library's heuristic expects."""
        return self._once((problem, way), self._heuristic)

    def measured(
        self, problem: Problem, way: Way, limit: int | None = None
    ) -> tuple[Algorithm, ...]:
        """Run every algorithm and return them in the order of their times.

        limit   bytes of workspace; None: as many as are free
        """
        return self._once((problem, way, limit), self._run)

    def settled(self, problem: Problem, way: Way, algorithm: Algorithm) -> Algorithm | None:
        """Ask for the workspace of the call that will be made; None if the library refuses it."""
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
        # Room for the most demanding algorithm that fits next to the arrays; the others need less.
        most = free - packed_on_gpu(sizes.values())[1] if limit is None else limit
        needs = [a.workspace for a in self.expected(problem, way) if not a.refusal]
        room = max((need for need in needs if need <= most), default=0)
        starts, end = packed_on_gpu([*sizes.values(), room])
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
    """Keep one entry for each algorithm, in order: its first that can run, otherwise its first."""
    # The library may list an algorithm once for each way to multiply; the order is one of speed.
    best: dict[int, Algorithm] = {}
    for perf in found:
        made = _algorithm(perf, way, problem)
        if made is not None and (made.number not in best or best[made.number].refusal):
            best[made.number] = made
    able = [made for made in best.values() if not made.refusal]
    unable = [made for made in best.values() if made.refusal]
    return iter([*able, *unable])


def _algorithm(perf: Any, way: Way, problem: Problem) -> Algorithm | None:
    """Read an entry of the library's list; None for one that rounds factors unasked."""
    if not 0 <= perf.algo < len(way.algorithms):
        return None
    if problem.math.products == "float32" and perf.mathType in TENSOR_CORES:
        return None
    failed = perf.status != api.SUCCESS
    return Algorithm(
        way.algorithms[perf.algo],
        perf.algo,
        _reason(perf.status) if failed else "",
        0 if failed else perf.memory,
        perf.determinism == api.DETERMINISTIC,
        api.FMA_MATH if problem.math.products == "float32" else perf.mathType,
        perf.time,
    )


def _reason(status: int) -> str:
    """Put a status of a list in words: 'not supported ...', or the library's own name for it."""
    if cudnn().unsupported(status):
        return "not supported for this shape and chip"
    return cudnn().text(status).partition(":")[0]
