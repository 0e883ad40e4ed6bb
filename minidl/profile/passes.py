"""The passes of a net, layer by layer, timed by the clock of its device."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from minidl.net import Net
from minidl.net.state import Callbacks
from minidl.profile.gpu_clock import Marks

log = logging.getLogger("minidl")

# Counts passes as `range(count)` does, and may show somebody how far they are: (count, "timing").
Steps = Callable[[int, str], Iterable[int]]
Spans = list[tuple[Any, Any]]  # points in time, of a clock


def unseen(count: int, what: str) -> Iterable[int]:
    """Return ``range(count)``: the Steps that show nothing."""
    return range(count)


@dataclass
class Timings:
    """Seconds of each pass, before anything is made of them.

    forward, backward            by layer; empty for one that does not run
    whole_forward, whole_backward, both   of all layers
    waiting       for batches: a net looks at their shapes before its first layer
    total         of all passes
    """

    forward: list[list[float]]
    backward: list[list[float]]
    whole_forward: list[float]
    whole_backward: list[float]
    both: list[float]
    waiting: list[float]
    total: float

    def between(self) -> list[float]:
        """Return what is left of each pass without its layers and the waiting."""
        parts = [part for part in (*self.forward, *self.backward, self.waiting) if part]
        return [whole - sum(pieces) for whole, *pieces in zip(self.both, *parts, strict=True)]


class Layers:
    """Passes with marks where each layer begins and ends; within `with`, no one else sees them.

    The callbacks look at no blob, so layers are fused as they would be without them.
    """

    def __init__(self, net: Net) -> None:
        self._net, self._on_gpu = net, net.device.kind == "cuda"
        self._now: Callable[[], Any] = perf_counter
        self._seconds: Callable[[Any, Any], float] = lambda start, end: end - start
        if self._on_gpu:
            marks = Marks(net.device)
            self._now, self._seconds = marks.now, marks.seconds
        self._passes: list[tuple[Any, Any, Any]] = []  # where they begin, turn round, end
        self._forward, self._backward = ([Spans() for _ in net.layers] for _ in range(2))
        self._start: Any = None
        self._calls: tuple[tuple[Callbacks, Callable[[int], None]], ...] = (
            (net.before_forward, self._begin),
            (net.after_forward, lambda i: self._end(self._forward[i])),
            (net.before_backward, self._begin),
            (net.after_backward, lambda i: self._end(self._backward[i])),
        )

    def __enter__(self) -> Layers:
        self._seeing = [callbacks.seeing for callbacks, _ in self._calls]
        for callbacks, call in self._calls:
            callbacks.seeing &= bool(callbacks)
            callbacks.append(call)
        return self

    def __exit__(self, *_: object) -> None:
        for (callbacks, call), seeing in zip(self._calls, self._seeing, strict=True):
            callbacks.remove(call)
            callbacks.seeing = seeing

    def _begin(self, i: int) -> None:
        self._start = self._now()

    def _end(self, spans: Spans) -> None:
        spans.append((self._start, self._now()))

    def run(self) -> None:
        """Run one pass; a GPU is given its work and not waited for, not even for the loss."""
        net, now = self._net, self._now
        forward = net.forward if self._on_gpu else net.forward_pass
        net.clear_param_diffs()
        first = now()
        forward()
        middle = now()
        net.backward_pass()
        self._passes.append((first, middle, now()))

    def log(self, i: int) -> None:
        """Log the time of pass i in Caffe's words, once the device is done with it."""
        first, _, last = self._passes[i]
        ms = 1e3 * self._seconds(first, last)
        log.info("Iteration: %d forward-backward time: %g ms.", i + 1, ms)

    def read(self) -> Timings:
        """Wait for the device; return what it took."""
        self._net.device.synchronize()
        seconds = self._seconds
        both = [seconds(first, last) for first, _, last in self._passes]
        waiting = []
        if self._net.data_layers and not self._on_gpu:
            begun = zip(self._passes, self._forward[0], strict=True)
            waiting = [seconds(first, start) for (first, _, _), (start, _) in begun]
        return Timings(
            forward=[[seconds(*span) for span in spans] for spans in self._forward],
            backward=[[seconds(*span) for span in spans] for spans in self._backward],
            whole_forward=[seconds(first, middle) for first, middle, _ in self._passes],
            whole_backward=[seconds(middle, last) for _, middle, last in self._passes],
            both=both,
            waiting=waiting,
            total=sum(both),
        )


def by_host(net: Net, iterations: int, steps: Steps) -> Timings:
    """Run the net forward and backward, and look at the clock around each layer."""
    began = perf_counter()
    with Layers(net) as layers:
        for i in steps(iterations, "timing"):
            layers.run()
            layers.log(i)
    found = layers.read()
    found.total = perf_counter() - began
    return found
