"""The passes of a net on a GPU, timed by its own clock: the host never waits in between."""

from __future__ import annotations

import contextlib
import math
from time import perf_counter
from typing import Any

from minidl.engines.math import FLOAT32
from minidl.net import Net
from minidl.profile import gpu_clock, gpu_floors
from minidl.profile.gpu_clock import Marks
from minidl.profile.passes import Steps, Timings, marking

LEAD = 2  # times as long as launching takes, the device has other things to do before a pass
WARM = 3  # passes before whole ones are timed: the second is recorded as a graph


def by_device(net: Net, iterations: int, steps: Steps) -> Timings:
    """Time every layer's kernels, one after the other, then whole iterations as in training.

    Launching a small layer's kernels takes longer than running them. So before each pass the
    device is given copies to make, until the host is ahead of it; what lies between the points
    around a layer is then the device's work alone.
    """
    lead = Lead(net)
    with Layers(net) as layers:
        for _ in steps(iterations, "timing"):
            lead()
            layers.run()
    found = layers.read()
    for i in range(iterations):
        found.log(i)
    _whole_iterations(net, iterations, found)
    return found


class Layers:
    """Passes with marks where each layer begins and ends; within `with`, no one else sees them."""

    def __init__(self, net: Net) -> None:
        self._net, self._marks = net, Marks(net.device)
        self._spans: list[tuple[str, int, Any, Any]] = []
        self._passes: list[tuple[Any, Any, Any]] = []
        self._start: Any = None

    def __enter__(self) -> Layers:
        self._marking = contextlib.ExitStack()
        self._marking.enter_context(marking(self._net, self._begin, self._end))
        return self

    def __exit__(self, *_: object) -> None:
        self._marking.close()

    def run(self) -> None:
        """Launch one pass."""
        net, now = self._net, self._marks.now
        net.clear_param_diffs()
        first = now()
        net.forward()
        middle = now()
        net.backward_pass()
        self._passes.append((first, middle, now()))

    def read(self) -> Timings:
        """Wait for the device; return what it took."""
        net, seconds = self._net, self._marks.seconds
        net.device.synchronize()
        found = Timings(len(net.layers))
        for way, i, start, end in self._spans:
            getattr(found, way)[i].append(seconds(start, end))
        for first, middle, last in self._passes:
            found.whole_forward.append(seconds(first, middle))
            found.whole_backward.append(seconds(middle, last))
            found.both.append(seconds(first, last))
        found.total = sum(found.both)
        return found

    def _begin(self, _: int) -> None:
        self._start = self._marks.now()

    def _end(self, way: str, i: int) -> None:
        self._spans.append((way, i, self._start, self._marks.now()))


class Lead:
    """Gives the device so much to do that the host has launched a pass before it begins."""

    def __init__(self, net: Net) -> None:
        device = self._device = net.device
        meter = gpu_floors.DeviceMeter(device, FLOAT32)
        self._copy = gpu_floors.copy(device, max(meter.speeds.copies))
        began = perf_counter()
        net.forward()
        net.backward_pass()
        launching = perf_counter() - began
        device.synchronize()
        self.count = math.ceil(LEAD * launching / gpu_clock.seconds(device, self._copy))

    def __call__(self) -> None:
        with self._device.current():
            for _ in range(self.count):
                self._copy()


def _whole_iterations(net: Net, count: int, found: Timings) -> None:
    """Time forward and backward as a solver runs them: no callbacks, one graph if it can be."""
    marks = Marks(net.device)
    points = []
    for i in range(WARM + count):
        if i >= WARM:
            points.append(marks.now())
        net.clear_param_diffs()
        net.training_pass()
    points.append(marks.now())
    net.device.synchronize()
    found.iterations = [marks.seconds(*pair) for pair in zip(points, points[1:], strict=False)]
    found.graph_off = net.graph_off
