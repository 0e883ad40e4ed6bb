"""Training: solvers, their rate policies and update rules, snapshots, hooks."""

from __future__ import annotations

from typing import Any

from minidl import prototxt, schema
from minidl.errors import SolverError
from minidl.solver import parameters
from minidl.solver.hooks import EventsFile, Hook
from minidl.solver.run import Run
from minidl.solver.solver import Solver

__all__ = [
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "EventsFile",
    "Hook",
    "NesterovSolver",
    "RMSPropSolver",
    "Run",
    "SGDSolver",
    "Solver",
    "get_solver",
]


def get_solver(model: Any, **options: Any) -> Solver:
    """Return a Solver for a solver prototxt (path or text) or a SolverParameter; see `Solver`."""
    return Solver(model, **options)


class _OfOneType(Solver):
    """A Solver that refuses solver files of another type than its own."""

    type: str

    def __init_subclass__(cls, type: str = "") -> None:
        if type:
            cls.type = type
            cls.__doc__ = f'pycaffe\'s name for a Solver of type "{type}"; refuses all others.'

    def __init__(self, model: Any, **options: Any) -> None:
        if not isinstance(model, schema.SolverParameter):
            model = prototxt.read_solver(model)
        model = parameters.upgraded(model)
        if model.type != self.type:
            raise SolverError(
                f'type is "{model.type}"',
                where=parameters.where(model, "type"),
                expected=self.type,
                fix="minidl.get_solver takes the type from the file",
            )
        super().__init__(model, **options)


class SGDSolver(_OfOneType, type="SGD"): ...


class NesterovSolver(_OfOneType, type="Nesterov"): ...


class AdaGradSolver(_OfOneType, type="AdaGrad"): ...


class RMSPropSolver(_OfOneType, type="RMSProp"): ...


class AdaDeltaSolver(_OfOneType, type="AdaDelta"): ...


class AdamSolver(_OfOneType, type="Adam"): ...
