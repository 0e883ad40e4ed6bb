"""Small nets to train, and what they did."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl import prototxt, schema
from minidl.solver import Hook, Solver

NET = """
name: "tiny"
layer { name: "data" type: "DummyData" top: "data" top: "label"
  dummy_data_param { shape { dim: 6 dim: 5 } shape { dim: 6 dim: 2 }
    data_filler { type: "gaussian" } data_filler { type: "uniform" min: -1 } } }
layer { name: "ip1" type: "InnerProduct" bottom: "data" top: "ip1"
  param { lr_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "tanh" type: "TanH" bottom: "ip1" top: "tanh" }
layer { name: "drop" type: "Dropout" bottom: "tanh" top: "drop" }
layer { name: "ip2" type: "InnerProduct" bottom: "drop" top: "ip2"
  inner_product_param { num_output: 2 weight_filler { type: "gaussian" std: 0.5 } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "ip2" bottom: "label" top: "loss" }
"""

SOLVER = """
base_lr: 0.1 lr_policy: "inv" gamma: 0.1 power: 0.75 momentum: 0.9 weight_decay: 0.01
average_loss: 3 max_iter: 12 random_seed: 7 snapshot_after_train: false
"""


def solver_param(fields: str = "", net: str = NET, base: str = SOLVER) -> Any:
    """A SolverParameter with the net inside; `fields` replace those of `base`."""
    param = prototxt.read_solver(base)
    more = prototxt.read_message(fields, schema.SolverParameter)
    for field, _ in more.ListFields():
        param.ClearField(field.name)
    param.MergeFrom(more)
    if net and not (param.HasField("net") or param.HasField("train_net")):
        param.net_param.CopyFrom(prototxt.read_net(net))
    return param


def make(fields: str = "", net: str = NET, **options: Any) -> Solver:
    """A solver of the tiny net."""
    return Solver(solver_param(fields, net), **options)


def weights(solver: Solver) -> list[np.ndarray]:
    """Copies of all learned arrays."""
    return [p.data.copy() for p in solver.net.learnable]


class Diary(Hook):
    """Writes down every event with the iteration it came in, and each iteration's losses."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.losses: list[tuple[float, float]] = []  # as computed, as smoothed
        self.tests: list[tuple[int, int, Any]] = []

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("on_"):
            return object.__getattribute__(self, name)

        def note(solver: Solver, *values: Any) -> None:
            self.events.append((name[3:], solver.iter, *values))
            if name == "on_gradients":
                self.losses.append((solver.net.loss, solver.loss.value))
            elif name == "on_test":
                self.tests.append((solver.iter, values[0]["net"], values[0]["outputs"]))

        return note

    def names(self) -> list[str]:
        """The events' names in order."""
        return [event[0] for event in self.events]


def diary(fields: str, net: str = NET) -> tuple[Solver, Diary]:
    """A solver of the tiny net, and what it will do."""
    solver, notes = make(fields, net), Diary()
    solver.hooks.append(notes)
    return solver, notes
