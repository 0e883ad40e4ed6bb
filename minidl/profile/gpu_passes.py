"""The passes of a net on a GPU, timed by its own clock: the host never waits in between."""

from __future__ import annotations

import math
from time import perf_counter

from minidl.engines.math import FLOAT32
from minidl.net import Net
from minidl.profile import gpu_clock, gpu_floors
from minidl.profile.gpu_clock import Marks
from minidl.profile.passes import Layers, Steps, Timings

LEAD = 2  # times as long as launching takes, the device has other things to do before a pass
WARM = 3  # passes before whole ones are timed: the second is recorded as a graph


def by_device(net: Net, iterations: int, steps: Steps) -> Timings:
    """Time every layer's kernels, one after the other.

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
        layers.log(i)
    return found


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


def iterations(net: Net, count: int) -> list[float]:
    """Return the seconds of passes as a solver runs them: no callbacks, one graph if it can be."""
    marks = Marks(net.device)
    points = []
    for i in range(WARM + count):
        if i >= WARM:
            points.append(marks.now())
        net.clear_param_diffs()
        net.training_pass()
    points.append(marks.now())
    net.device.synchronize()
    return [marks.seconds(*pair) for pair in zip(points, points[1:], strict=False)]
