"""What an engine is: a library that can stand in for the inner loop of a heavy layer.

A layer states what it computes as a frozen description (`minidl.ops`). An engine that has a faster
way answers with plans for it; a plan is prepared once for its shapes and executed many times.
Neither knows the other: a layer never imports an engine, an engine never imports a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from minidl.arrays.blob import Param
from minidl.arrays.device import Device
from minidl.arrays.memory import Layout, Memory, Shape

Run = Callable[[], None]
Update = Callable[[float, float], None]  # see Engine.updater


class Undecided:
    """Where a parameter lives is still open: the plan may choose."""

    def __repr__(self) -> str:
        return "UNDECIDED"


UNDECIDED = Undecided()


class Declined(NamedTuple):
    """An engine's answer where it has no plan.

    reason   "LRN within channels has no fast implementation"; "" where it has no such operator at
             all, which is no news
    """

    reason: str


class Wish(NamedTuple):
    """What a layer's own `engine` field asks for; it goes before the policy's engine.

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
    """Everything beside the description that a plan depends on; hashable, so it keys caches.

    bottom, top   shapes
    params        (name, shape) of each parameter, in order
    homes         for each parameter the layout in which it lives (None: plain), or UNDECIDED
    layouts       for each bottom the layout in which it arrives (None: plain)
    training      a backward may follow the forward
    backward      it will: gradients are asked for, of the bottoms in `wanted` and of the
                  parameters in `learning`
    in_place      top[0] is the memory of bottom[0] (and so are their gradients)
    math          "float32"; "bf16": the arrays that the plan chooses the layout of may be bfloat16;
                  on a GPU also "tf32" (products of numbers rounded to 10 bits) and "fp16"
    threads       that will execute it
    limit         bytes that its workspace may take; None: any number
    algorithm     "fastest", "no_workspace", "direct", or a part of an implementation's name: for
                  engines whose passes choose apart from each other
    deterministic only implementations that give the same bits every time
    key, counter  for random numbers on a GPU: the two words of the layer's stream (see
                  `minidl.arrays.rng`), and the address of the number of the pass, 64 bits, there
    """

    bottom: tuple[Shape, ...]
    top: tuple[Shape, ...]
    params: tuple[tuple[str, Shape], ...] = ()
    homes: tuple[Layout | None | Undecided, ...] = ()
    layouts: tuple[Layout | None, ...] = ()
    training: bool = False
    backward: bool = False
    wanted: tuple[bool, ...] = ()
    learning: tuple[str, ...] = ()
    in_place: bool = False
    math: str = "float32"
    threads: int = 1
    limit: int | None = None
    algorithm: str = "fastest"
    deterministic: bool = False
    key: tuple[int, int] = (0, 0)
    counter: int = 0


@dataclass
class Bindings:
    """The memory that a plan works on. Every Memory has the layout that the plan stated.

    bottom_diff[i] is None where not wanted; top_diff is empty if there is no backward. Gradients
    of parameters are in the Params: see `Param.fresh`.
    """

    bottom: tuple[Memory, ...]
    top: tuple[Memory, ...]
    bottom_diff: tuple[Memory | None, ...] = ()
    top_diff: tuple[Memory, ...] = ()
    params: Mapping[str, Param] = field(default_factory=dict)
    saved: Memory | None = None
    workspace: Memory | None = None


class Plan(Protocol):
    """One way to run one layer.

    algorithm    the implementation's name: "jit:avx512_core"
    workspace    bytes needed during a call; contents are garbage before and after
    saved        bytes kept from a forward to its backward
    keeps        what backward reads again: "bottom", "top", "top sign" (as in Layer.keeps)
    bottom, top, bottom_diff, top_diff   the layouts it reads and writes, one for each blob.
                 A plan that works in place has bottom[0] == top[0], bottom_diff[0] == top_diff[0]
    params       the layout each parameter has to live in, by name; what `homes` said where it said
    """

    algorithm: str
    workspace: int
    saved: int
    keeps: tuple[str, ...]
    bottom: tuple[Layout | None, ...]
    top: tuple[Layout | None, ...]
    bottom_diff: tuple[Layout | None, ...]
    top_diff: tuple[Layout | None, ...]
    params: Mapping[str, Layout | None]

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        """The forward and the backward over this memory, ready to be called again and again."""


class Engine(Protocol):
    """A library behind plans.

    name         "onednn"
    device       where its plans compute; whatever it is given lies there
    generation   another number once plans made before must not run any more: after a fork
    """

    name: str

    @property
    def device(self) -> Device: ...

    @property
    def generation(self) -> int: ...

    def plans(self, op: Any, request: Request) -> Iterable[Plan] | Declined:
        """Candidates for an op of `minidl.ops`, the one to try first in front, made lazily."""

    def converter(self, source: Memory, target: Memory) -> Run:
        """What copies `source` to `target`, each in its own layout or plain float32."""

    def updater(
        self, momentum: float, w: np.ndarray, g: np.ndarray, h: np.ndarray, threads: int
    ) -> Update | Declined:
        """What does an SGD step of one parameter, called with two factors, on g and on w:

            h = momentum * h + on_g * g + on_w * w;  w = w - h

        in place, in float32; `g` stays as it is. The factors hold the learning rate.

        w, g, h   weights, gradient and history: flat, of one length, padding included; they have
                  to outlive nothing, what is returned keeps them
        threads   that will compute
        """
