"""Every layer of a net, forward and backward, compared with the least time it needs."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from minidl.net import Net, report
from minidl.net.blueprint import Node
from minidl.net.report import Conversion, Execution
from minidl.profile import floors, gpu_floors, gpu_passes, machine, passes
from minidl.profile.floors import Meter, Speeds, Work
from minidl.profile.passes import Steps, Timings, unseen
from minidl.prototxt.phases import PHASE_NAMES

log = logging.getLogger("minidl")

WORST = 3  # layers that `NetTimes.worst` names


@dataclass(frozen=True)
class Times:
    """The time of something that ran in several passes, in milliseconds; 0 if it did not run.

    A busy machine disturbs the median less than the mean.
    """

    mean_ms: float
    median_ms: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Times:
        """Return those of single passes, each in seconds."""
        if not seconds:
            return cls(0.0, 0.0)
        return cls(statistics.fmean(seconds) * 1e3, statistics.median(seconds) * 1e3)


@dataclass(frozen=True)
class PassTimes:
    """A layer's forward, or its backward.

    work       what it cannot do without
    floor_ms   how long that takes at the speeds of this machine; 0 for no work
    bound      what sets the floor: "arithmetic" or "bandwidth"
    """

    times: Times
    work: Work
    floor_ms: float
    bound: str


@dataclass(frozen=True)
class LayerTimes:
    """One layer.

    gflops        billions of operations a second, forward and backward together; a gradient
                  counts as much as a forward
    execution     who computes it, and how
    conversions   of its blobs to other layouts, which are in its times
    """

    name: str
    type: str
    multiply_adds: int
    gflops: float
    execution: Execution
    conversions: tuple[Conversion, ...]
    forward: PassTimes
    backward: PassTimes

    @property
    def median_ms(self) -> float:
        """Forward and backward."""
        return self.forward.times.median_ms + self.backward.times.median_ms

    @property
    def floor_ms(self) -> float:
        """Forward and backward at the speeds of this machine."""
        return self.forward.floor_ms + self.backward.floor_ms

    @property
    def above_floor_ms(self) -> float:
        """The difference; below 0 where the arrays were still in a cache."""
        return self.median_ms - self.floor_ms


@dataclass(frozen=True)
class Iteration:
    """Forward and backward as a solver runs them on a GPU, where no layer is looked at.

    graph_off   why that was no CUDA graph; "" if it was
    gpu         the device's name
    """

    times: Times
    graph_off: str
    gpu: str


@dataclass(frozen=True)
class NetTimes:
    """All layers of a net.

    batch        records a pass: the first axis of the first top
    device, engine, math, threads   what the net computes with
    forward, backward, both   of all layers
    waiting      for batches;  between: all that is neither a layer nor waiting
    total_ms     of all passes
    speeds       what the floors are worked out with
    iteration    on a GPU
    """

    net: str
    phase: str
    iterations: int
    batch: int
    device: str
    engine: str
    math: str
    threads: int
    layers: tuple[LayerTimes, ...]
    forward: Times
    backward: Times
    both: Times
    waiting: Times
    between: Times
    total_ms: float
    speeds: Speeds
    iteration: Iteration | None = None

    @property
    def pass_ms(self) -> float:
        """A pass, as the sum of its parts' medians: what shares are of."""
        others = self.waiting.median_ms + self.between.median_ms
        return sum(layer.median_ms for layer in self.layers) + others

    @property
    def floor_ms(self) -> float:
        """All layers at the speeds of this machine."""
        return sum(layer.floor_ms for layer in self.layers)

    @property
    def iteration_x_floor(self) -> float:
        """The time of a whole iteration over the sum of the floors; 0 if either is unknown."""
        if self.iteration is None or not self.floor_ms:
            return 0.0
        return self.iteration.times.median_ms / self.floor_ms

    @property
    def worst(self) -> list[LayerTimes]:
        """The layers that take the most time above their floor, at most three."""
        order = sorted(self.layers, key=lambda layer: -layer.above_floor_ms)
        return [layer for layer in order[:WORST] if layer.above_floor_ms > 0]


def layers(net: Net, iterations: int = 50, steps: Steps = unseen) -> NetTimes:
    """Time every layer of a net, forward and backward, in `iterations` passes.

    One pass before them does not count. A layer's floor is the time that its arithmetic would take
    at the speed of a matrix product, or its arrays at that of a copy, whichever is longer; both
    speeds are measured before and after. The log has Caffe's lines.

    steps   counts the passes: a place for a progress bar
    """
    log.info("Performing Forward")
    log.info("Initial loss: %g", net.forward_pass())
    log.info("Performing Backward")
    net.backward_pass()
    on_gpu = net.device.kind == "cuda"
    meter: Meter = floors.HostMeter(net.policy)
    if on_gpu:
        meter = gpu_floors.DeviceMeter(net.device, net.policy.math)
    meter.measure()
    log.info("*** Benchmark begins ***")
    log.info("Testing for %d iterations.", iterations)
    timings = (gpu_passes.by_device if on_gpu else passes.by_host)(net, iterations, steps)
    iteration = None
    if on_gpu:
        times = Times.of(gpu_passes.iterations(net, iterations))
        iteration = Iteration(times, net.graph_off, machine.gpu_name(net.device))
    meter.measure()
    first = net.blueprint.nodes[0].top_shapes[0] if net.blueprint.nodes else ()
    result = NetTimes(
        net=net.name,
        phase=PHASE_NAMES[net.phase],
        iterations=iterations,
        batch=first[0] if first else 1,
        device=net.device.name,
        engine=net.policy.engine,
        math=net.policy.math.name,
        threads=net.policy.threads,
        layers=tuple(_layers(net, timings, meter)),
        forward=Times.of(timings.whole_forward),
        backward=Times.of(timings.whole_backward),
        both=Times.of(timings.both),
        waiting=Times.of(timings.waiting),
        between=Times.of(timings.between()),
        total_ms=timings.total * 1e3,
        speeds=meter.speeds,
        iteration=iteration,
    )
    _log_as_caffe(result)
    return result


def _layers(net: Net, timings: Timings, meter: Meter) -> Iterator[LayerTimes]:
    """Yield what is known of each layer, with floors at the best speeds that were seen."""
    pairs = zip(timings.forward, timings.backward, strict=True)
    times = [(Times.of(forward), Times.of(backward)) for forward, backward in pairs]
    works = [floors.works(net.schedule, i) for i in range(len(times))]
    for what, spent in zip(chain(*works), chain(*times), strict=True):
        if spent.median_ms:  # a floor that a layer beats would be none
            meter.saw(what.flop / spent.median_ms * 1e3)
    copies = report.conversions(net.schedule)
    for step, (forward, backward), work in zip(net.schedule.steps, times, works, strict=True):
        node = step.node
        yield LayerTimes(
            name=node.name,
            type=node.type,
            multiply_adds=node.multiply_adds,
            gflops=_gflops(node, forward.median_ms + backward.median_ms),
            execution=report.execution(step),
            conversions=tuple(copy for copy in copies if copy.layer == node.name),
            forward=_pass(forward, work[0], meter.speeds),
            backward=_pass(backward, work[1], meter.speeds),
        )


def _pass(times: Times, work: Work, speeds: Speeds) -> PassTimes:
    return PassTimes(times, work, 1e3 * speeds.floor(work), speeds.bound(work))


def _gflops(node: Node, ms: float) -> float:
    passes = 1
    if node.needs_backward:
        passes += any(p.lr_mult for p in node.params) + any(node.wanted)
    return 2 * node.multiply_adds * passes / ms / 1e6 if ms else 0.0


def _log_as_caffe(times: NetTimes) -> None:
    log.info("Average time per layer: ")
    for layer in times.layers:
        log.info("%10s\tforward: %g ms.", layer.name, layer.forward.times.mean_ms)
        log.info("%10s\tbackward: %g ms.", layer.name, layer.backward.times.mean_ms)
    log.info("Average Forward pass: %g ms.", times.forward.mean_ms)
    log.info("Average Backward pass: %g ms.", times.backward.mean_ms)
    log.info("Average Forward-Backward: %g ms.", times.both.mean_ms)
    log.info("Total Time: %g ms.", times.total_ms)
    log.info("*** Benchmark ends ***")
