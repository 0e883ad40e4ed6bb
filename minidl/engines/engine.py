"""The base class of engines: what one declares, and what it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, TypeVar

from minidl.arrays.device import Device
from minidl.arrays.memory import Memory
from minidl.engines.math import FLOAT32, Math
from minidl.engines.plan import Plan, Run
from minidl.engines.request import Declined, Request
from minidl.engines.update import Step, Stretch, Update

Planner = Callable[[Any, Any, Request], Iterable[Plan] | Declined]  # of (engine, op, request)
F = TypeVar("F", bound=Planner)


class Operators(dict[type, Planner]):
    """By operator of `minidl.ops`: the function that makes an engine's plans for it."""

    def serves(self, op: type) -> Callable[[F], F]:
        """Return a decorator that registers a function ``plans(engine, op, request)``."""

        def add(plans: F) -> F:
            assert op not in self, f"{op.__name__} is served by {self[op].__module__}"
            self[op] = plans
            return plans

        return add


class Engine:
    """A library that has plans for heavy operators on one device.

    What a subclass declares:

    name        "onednn", as users and logs call it
    title       "oneDNN", as sentences call it
    kind        of the devices it computes on: "cpu" or "cuda"
    operators   what it has plans for
    direct      how the names of its algorithms begin that unfold nothing
    maths       the arithmetic that it offers; an instance may narrow it to what its device has

    and an instance, for its device:

    device      where its plans compute; all that it is given lies there
    version     "3.2.0"; "" where that changes no time
    isa         what kind of processor it found: times measured on one hold for its like
    """

    name: ClassVar[str]
    title: ClassVar[str]
    kind: ClassVar[str]
    operators: ClassVar[Operators]
    direct: ClassVar[tuple[str, ...]] = ()
    maths: tuple[Math, ...] = (FLOAT32,)
    version: str = ""
    isa: str = ""

    def __init__(self, device: Device) -> None:
        self.device = device

    @classmethod
    def load(cls, device: Device) -> Engine | Declined:
        """Return the engine of a device of its kind; or why there is none, and what to do."""
        raise NotImplementedError

    @property
    def generation(self) -> int:
        """A number that changes when plans made before must not run any more: after a fork."""
        return 0

    def surely_faster(self, math: Math) -> bool:
        """Tell whether this arithmetic is faster than float32 without being timed: timing is at the
        mercy of what else the machine does."""
        return False

    def prefers(self, op: Any, math: Math) -> bool:
        """Tell whether to ask it before the other engines of its device, unless one is named."""
        return False

    def plans(self, op: Any, request: Request) -> Iterable[Plan] | Declined:
        """Return candidates for an op of `minidl.ops`, the one to try first in front, lazily."""
        if type(op) not in self.operators:
            return Declined("")
        if any(0 in shape for shape in (*request.bottom_shapes, *request.top_shapes)):
            return Declined(f"a bottom or top is empty: {request.bottom_shapes}")
        if request.math not in self.maths:
            return Declined(f"it computes in {', '.join(map(str, self.maths))}, not {request.math}")
        return self.operators[type(op)](self, op, request)

    def converter(self, source: Memory, target: Memory) -> Run:
        """Return a callable that copies `source` to `target`, converting layouts."""
        raise NotImplementedError

    def updater(
        self, step: Step, arrays: Sequence[Any], stretches: Sequence[Stretch], threads: int
    ) -> Update | Declined:
        """Return what does a solver's step in place; decline where array code is as good.

        arrays      weights, gradients, and as many histories as the rule keeps: flat, of one type
                    and length, padding included. Gradients stay as they are. What is returned
                    keeps them alive
        stretches   in order; what lies between them is zero, and stays so
        threads     that will compute
        """
        return Declined("it updates no parameters")
