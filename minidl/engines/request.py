"""Requests, which engines are asked with: all about one layer's place; and how one declines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from minidl.arrays.memory import Layout, Shape
from minidl.engines.math import FLOAT32, Math


class Undecided:
    """Stands for a layout that is still open: the plan may choose where the parameter lives."""

    def __repr__(self) -> str:
        return "UNDECIDED"


UNDECIDED = Undecided()


class Declined(NamedTuple):
    """An engine's answer where it has no plan, or cannot be loaded.

    reason   "LRN within channels has no fast implementation"; "" where it has no such operator at
             all, which is not worth a line in the log
    """

    reason: str


class Wish(NamedTuple):
    """The engine that a layer's own `engine` field asks for; it precedes the policy's engine.

    engine   "": nothing; "numpy": the layer's array code; or an engine's name
    value    the field's value in the prototxt: "MKLDNN"
    where    file, line and layer
    soft     another engine may step in where this one has nothing for the layer
    """

    engine: str = ""
    value: str = ""
    where: str = ""
    soft: bool = False


@dataclass(frozen=True)
class Request:
    """Everything besides the description that a plan depends on; hashable, so it keys caches.

    bottom_shapes, top_shapes
    params        (name, shape) of each parameter, in order
    homes         for each parameter the layout in which it lives (None: plain), or UNDECIDED
    bottom_layouts   for each bottom the layout in which it arrives (None: plain)
    training      a backward may follow the forward
    backward      it will: gradients are asked for, of the bottoms in `wanted` and of the
                  parameters in `learning`
    in_place      the first top is the memory of the first bottom (and so are their gradients)
    math          the arithmetic: arrays that the plan chooses the layout of may have its type
    threads       that will execute it
    limit         bytes that its workspace may take; None: any number
    algorithm     "fastest", "no_workspace", "direct", or a part of an implementation's name: for
                  engines whose passes choose independently
    deterministic only implementations that give the same bits every time
    key, counter  for random numbers on a GPU: the two words of the layer's stream (see
                  `minidl.arrays.rng`), and the address of the number of the pass, 64 bits, there
    """

    bottom_shapes: tuple[Shape, ...]
    top_shapes: tuple[Shape, ...]
    params: tuple[tuple[str, Shape], ...] = ()
    homes: tuple[Layout | None | Undecided, ...] = ()
    bottom_layouts: tuple[Layout | None, ...] = ()
    training: bool = False
    backward: bool = False
    wanted: tuple[bool, ...] = ()
    learning: tuple[str, ...] = ()
    in_place: bool = False
    math: Math = FLOAT32
    threads: int = 1
    limit: int | None = None
    algorithm: str = "fastest"
    deterministic: bool = False
    key: tuple[int, int] = (0, 0)
    counter: int = 0


def no_convolution(request: Request, most: int) -> Declined | None:
    """Decline a convolution of several bottoms, or over no axes or more than `most`; 2 or 3."""
    if len(request.bottom_shapes) != 1:
        return Declined(
            f"it has no plan for {len(request.bottom_shapes)} bottoms that share filters"
        )
    axes = len(request.params[0][1]) - 2
    if not 1 <= axes <= most:
        known = "one or two" if most == 2 else "one to three"
        return Declined(f"it convolves over {known} axes, not {axes}")
    return None
