"""The passes of a net on a GPU, timed by its own clock: the host never waits in between."""

from __future__ import annotations

import logging
import math
from argparse import Namespace
from time import perf_counter
from typing import Any

from minidl.cli import gpu_floors
from minidl.cli.progress import steps
from minidl.cli.timings import Timings

log = logging.getLogger("minidl")
LEAD = 2  # times as long as launching takes, the device has other things to do before a pass
WARM = 3  # passes before whole ones are timed: the second is recorded as a graph


class Marks:
    """Points in the device's stream, whose times are read when all is done."""

    def __init__(self, device: Any) -> None:
        self._device, self._cuda = device, device.xp.cuda

    def now(self) -> Any:
        """The point up to which the device has been given work."""
        with self._device.current():
            event = self._cuda.Event()
            event.record()
        return event

    def seconds(self, start: Any, end: Any) -> float:
        """How long the device took from one point to another, both in the past."""
        return float(self._cuda.get_elapsed_time(start, end)) / 1e3


def timings(net: Any, args: Namespace) -> Timings:
    """Every layer's passes, one kernel after the other, then whole iterations as in training.

    Launching a small layer's kernels takes longer than running them. So before each pass the
    device is given copies to make, until the host is ahead of it; what lies between the points
    around a layer is then the device's work alone.
    """
    lead, layers = _Lead(net), _Layers(net)
    for _ in steps(args.iterations, "timing", args):
        lead()
        layers.run()
    found = layers.read()
    for i, seconds in enumerate(found.both):
        log.info("Iteration: %d forward-backward time: %g ms.", i + 1, seconds * 1e3)
    _whole_iterations(net, args.iterations, found)
    return found


class _Layers:
    """Callbacks that mark where each layer begins and ends."""

    def __init__(self, net: Any) -> None:
        self._net, self._marks = net, Marks(net.device)
        self._spans: list[tuple[str, int, Any, Any]] = []
        self._passes: list[tuple[Any, Any, Any]] = []
        self._start: Any = None
        self._callbacks = (
            (net.before_forward, self._begin),
            (net.after_forward, lambda i: self._end("forward", i)),
            (net.before_backward, self._begin),
            (net.after_backward, lambda i: self._end("backward", i)),
        )
        for callbacks, own in self._callbacks:
            callbacks.seeing = False
            callbacks.append(own)

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
        """Wait for the device; what it took. Whole passes run without callbacks from here on."""
        for callbacks, own in self._callbacks:
            callbacks.remove(own)
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


class _Lead:
    """Gives the device so much to do that the host has launched a pass before it begins."""

    def __init__(self, net: Any) -> None:
        device = self._device = net.device
        meter = gpu_floors.DeviceMeter(device, "float32")
        self._copy = gpu_floors.copy(device, max(meter.speeds.copies))
        began = perf_counter()
        net.forward()
        net.backward_pass()
        launching = perf_counter() - began
        device.synchronize()
        self._count = math.ceil(LEAD * launching / gpu_floors.seconds(device, self._copy))

    def __call__(self) -> None:
        with self._device.current():
            for _ in range(self._count):
                self._copy()


def _whole_iterations(net: Any, count: int, found: Timings) -> None:
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
    found.graph_off = net._runner.training.off
