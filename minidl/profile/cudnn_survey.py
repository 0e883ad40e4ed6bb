"""Every algorithm of a convolution, run on this device: its time, its workspace, its error."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minidl.arrays.device import Device
from minidl.arrays.memory import Shape
from minidl.arrays.units import bytes_
from minidl.engines.cudnn.algorithms import Algorithms
from minidl.engines.cudnn.descriptors import dense
from minidl.engines.cudnn.library import CudnnError
from minidl.engines.cudnn.plan import sequence
from minidl.engines.cudnn.problem import WAYS, Algorithm, Problem, Setup, Way
from minidl.engines.plan import packed_on_gpu
from minidl.errors import DeviceError
from minidl.profile import gpu_clock, numbers, samples

SAMPLED = 64  # elements of a result that are compared with the definition


@dataclass(frozen=True)
class Result:
    """One algorithm of one pass.

    way        the pass: see `minidl.engines.cudnn.problem.WAYS`
    algorithm  as the library describes it; its `refusal` says why it did not run
    order      0 for the one that the library's heuristic puts first, and so on
    ms         median of the times of its runs; None where it did not run
    error      the largest difference from the definition in float64 among SAMPLED elements of the
               result, over their root mean square
    """

    way: Way
    algorithm: Algorithm
    order: int
    ms: float | None = None
    error: float | None = None


def survey(
    device: Device, known: Algorithms, problem: Problem, repeats: int, limit: int | None = None
) -> Iterator[Result]:
    """All algorithms of all passes, those in front that the heuristic expects to be fastest.

    limit   bytes of workspace; what needs more does not run
    """
    with device.current():
        bench = _Bench(device, problem)
        for way in WAYS:
            listed = known.expected(problem, way)
            missing = [
                Algorithm(name, number, "not listed for this problem")
                for number, name in enumerate(way.algorithms)
                if all(algorithm.name != name for algorithm in listed)
            ]
            for order, algorithm in enumerate([*listed, *missing]):
                if limit is not None and algorithm.workspace > limit:
                    refusal = f"needs {bytes_(algorithm.workspace)}, above the limit"
                    yield Result(way, replace(algorithm, refusal=refusal), order)
                else:
                    yield bench.result(way, algorithm, order, repeats)


class _Bench:
    """A problem's arrays on the device, full of normal numbers, and the same on the host."""

    def __init__(self, device: Device, problem: Problem) -> None:
        self.device, self.problem, self.setup = device, problem, Setup(problem)
        starts, end = packed_on_gpu(problem.nbytes.values())
        self.memory = device.bytes_(end)
        self.host: dict[str, np.ndarray] = {}
        self.part: dict[str, Any] = {}
        for name, start in zip(problem.nbytes, starts, strict=True):
            self.part[name] = self.memory[start : start + problem.nbytes[name]]
            self.host[name] = self._fill(name)
        rng = np.random.default_rng(1)
        self.places = {n: samples.places(getattr(problem, n), SAMPLED, rng) for n in "xwy"}
        self.expected = {
            name: np.array([samples.element(problem, self.host, name, p) for p in places])
            for name, places in self.places.items()
        }

    def result(self, way: Way, algorithm: Algorithm, order: int, repeats: int) -> Result:
        """Run one algorithm; what it refuses now is said in its `refusal`."""
        if algorithm.refusal:
            return Result(way, algorithm, order)
        try:
            room = self.device.bytes_(max(1, algorithm.workspace))
            written = self.device.bytes_(self.problem.nbytes[way.writes])
            written.fill(0xFF)  # NaN, in every number type
            at = {name: self.device.address(part) for name, part in self.part.items()}
            at[way.writes] = self.device.address(written)
            call = self.setup.call(way, algorithm, at, self.device.address(room))
            ms = gpu_clock.median_ms(self.device, sequence(self.device, [call]), repeats)
        except (CudnnError, DeviceError) as error:
            return Result(way, replace(algorithm, refusal=error.found), order)
        return Result(way, algorithm, order, ms, self._error(way, written))

    def _fill(self, name: str) -> np.ndarray:
        """Normal numbers for one array; returns them as the device has them, in N C H W."""
        shape: Shape = getattr(self.problem, name)
        bits = numbers.normal((math.prod(shape),), self.problem.dtype)
        self.device.write(self.part[name].view(bits.dtype), bits)
        values = numbers.widened(bits, self.problem.dtype)
        if self.problem.order == "nchw":
            return values.reshape(shape)
        return np.moveaxis(values.reshape(shape[0], *shape[2:], shape[1]), -1, 1)

    def _error(self, way: Way, written: Any) -> float:
        """Compare some elements of what was written with the definition."""
        expected, places = self.expected[way.writes], np.array(self.places[way.writes])
        where = places @ np.array(dense(getattr(self.problem, way.writes), self.problem.order))
        bits = written.view("uint32" if self.problem.dtype == "float32" else "uint16")
        taken = self.device.xp.take(bits, self.device.xp.asarray(where))
        found = numbers.widened(self.device.to_host(taken), self.problem.dtype)
        worst = np.abs(found.astype(np.float64) - expected).max()
        return float(worst / np.sqrt(np.mean(expected**2)))
