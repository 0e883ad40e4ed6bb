"""How long the passes of a net took, in seconds, before anything is made of it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Timings:
    """Lists with an entry for each pass.

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
        """What is left of each pass when its layers and the waiting are taken off."""
        parts = [part for part in (*self.forward, *self.backward, self.waiting) if part]
        return [whole - sum(pieces) for whole, *pieces in zip(self.both, *parts, strict=True)]
