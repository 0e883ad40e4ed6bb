"""The passes of a net, layer by layer, by the host's clock; what is noted of them anywhere."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from time import perf_counter

from minidl.net import Net

log = logging.getLogger("minidl")

# Counts passes as `range(count)` does, and may show somebody how far they are: (count, "timing").
Steps = Callable[[int, str], Iterable[int]]


def unseen(count: int, what: str) -> Iterable[int]:
    """Return ``range(count)``: the Steps that show nothing."""
    return range(count)


@dataclass
class Timings:
    """Seconds of each pass, before anything is made of them.

    layers        how many there are
    forward, backward            by layer; empty for one that does not run
    whole_forward, whole_backward, both   of all layers
    waiting       for batches: a net looks at their shapes before its first layer
    total         of all passes
    iterations    on a GPU, forward and backward as a solver runs them, without looking at layers
    graph_off     why those were no CUDA graph; "" if they were
    """

    layers: int
    forward: list[list[float]] = field(init=False)
    backward: list[list[float]] = field(init=False)
    whole_forward: list[float] = field(default_factory=list)
    whole_backward: list[float] = field(default_factory=list)
    both: list[float] = field(default_factory=list)
    waiting: list[float] = field(default_factory=list)
    total: float = 0.0
    iterations: list[float] = field(default_factory=list)
    graph_off: str = ""

    def __post_init__(self) -> None:
        self.forward = [[] for _ in range(self.layers)]
        self.backward = [[] for _ in range(self.layers)]

    def between(self) -> list[float]:
        """Return what is left of each pass without its layers and the waiting."""
        parts = [part for part in (*self.forward, *self.backward, self.waiting) if part]
        return [whole - sum(pieces) for whole, *pieces in zip(self.both, *parts, strict=True)]

    def log(self, i: int) -> None:
        """Log the time of pass i in Caffe's words."""
        log.info("Iteration: %d forward-backward time: %g ms.", i + 1, self.both[i] * 1e3)


@contextlib.contextmanager
def marking(
    net: Net, begin: Callable[[int], None], end: Callable[[str, int], None]
) -> Iterator[None]:
    """Meanwhile call `begin(i)` before layer i runs, and `end("forward" or "backward", i)` after.

    They look at no blob, so layers are fused as they would be without them.
    """
    lists = net.before_forward, net.after_forward, net.before_backward, net.after_backward
    calls = begin, lambda i: end("forward", i), begin, lambda i: end("backward", i)
    seeing = [callbacks.seeing for callbacks in lists]
    try:
        for callbacks, call in zip(lists, calls, strict=True):
            callbacks.seeing &= bool(callbacks)
            callbacks.append(call)
        yield
    finally:
        for callbacks, call, before in zip(lists, calls, seeing, strict=True):
            callbacks.remove(call)
            callbacks.seeing = before


def by_host(net: Net, iterations: int, steps: Steps) -> Timings:
    """Run the net forward and backward, and look at the clock around each layer."""
    found = Timings(len(net.layers))
    start = t0 = 0.0

    def begin(i: int) -> None:
        nonlocal start
        start = perf_counter()
        if i == 0 and net.data_layers:
            found.waiting.append(start - t0)

    def end(way: str, i: int) -> None:
        getattr(found, way)[i].append(perf_counter() - start)

    began = perf_counter()
    with marking(net, begin, end):
        for i in steps(iterations, "timing"):
            net.clear_param_diffs()
            t0 = perf_counter()
            net.forward_pass()
            t1 = perf_counter()
            net.backward_pass()
            t2 = perf_counter()
            found.whole_forward.append(t1 - t0)
            found.whole_backward.append(t2 - t1)
            found.both.append(t2 - t0)
            found.log(i)
    found.total = perf_counter() - began
    return found
