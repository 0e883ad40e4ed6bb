"""Training: solvers, their rate policies and update rules, snapshots, hooks."""

from __future__ import annotations

from typing import Any

from minidl import prototxt, schema
from minidl.errors import SolverError
from minidl.solver import parameters
from minidl.solver.hooks import EventsFile, Hook
from minidl.solver.solver import Solver

__all__ = ["EventsFile", "Hook", "SGDSolver", "Solver", "get_solver"]


def get_solver(model: Any, **options: Any) -> Solver:
    """A Solver for a solver prototxt (path or text) or a SolverParameter; see `Solver`."""
    return Solver(model, **options)


class SGDSolver(Solver):
    """pycaffe's name for a Solver of type "SGD"; refuses files of another type."""

    def __init__(self, model: Any, **options: Any) -> None:
        if not isinstance(model, schema.SolverParameter):
            model = prototxt.read_solver(model)
        model = parameters.upgraded(model)
        if model.type != "SGD":
            raise SolverError(
                f'type is "{model.type}"',
                where=parameters.where(model, "type"),
                expected="SGD",
                fix="minidl.get_solver takes the type from the file",
            )
        super().__init__(model, **options)
