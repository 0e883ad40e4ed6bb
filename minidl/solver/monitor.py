"""The best value of a figure so far, which plateaus and early stopping compare with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minidl import schema
from minidl.errors import SolverError, did_you_mean
from minidl.net import Net
from minidl.solver import parameters


@dataclass(frozen=True)
class Best:
    """A figure's history in three numbers.

    value    the best so far, None before the first
    iter     the iteration that is counted from
    count    what has been counted: plateaus met, or tests in a row without anything better
    """

    value: float | None = None
    iter: int = 0
    count: int = 0

    def beaten_by(self, value: float, monitor: Any = None) -> bool:
        """Tell if `value` is better by more than the Monitor's min_delta; without one, if lower."""
        if self.value is None:
            return True
        if monitor is None:
            return value < self.value
        gain = self.value - value if monitor.mode == monitor.MIN else value - self.value
        return bool(gain > monitor.min_delta)

    def message(self) -> Any:
        """Return it as a snapshot holds it."""
        return schema.BestFigure(value=self.value, iter=self.iter, count=self.count)


def from_message(message: Any) -> Best:
    """Return the Best that a snapshot holds."""
    value = message.value if message.HasField("value") else None
    return Best(value, message.iter, message.count)


def value(monitor: Any, results: Sequence[Mapping[str, Any]]) -> float:
    """Return the figure that a Monitor watches from what `Solver.test_all` returns."""
    return float(results[monitor.test_net]["outputs"][monitor.output])


def check(p: Any, field: str, nets: Sequence[Net]) -> None:
    """Refuse a Monitor, if the solver has it, for an output that the test nets do not have."""
    monitor = getattr(p, field)
    if not p.HasField(field):
        return
    net = nets[monitor.test_net]
    if monitor.output not in net.outputs:
        raise SolverError(
            f"{field}: test net #{monitor.test_net} has no output '{monitor.output}'",
            where=parameters.where(p, field),
            expected=f"one of {', '.join(net.outputs)}",
            fix=did_you_mean(monitor.output, net.outputs),
        )
    shape = net.blobs[monitor.output].shape
    if net.blobs[monitor.output].count != 1:
        raise SolverError(
            f"{field}: the output '{monitor.output}' has the shape {shape}",
            where=parameters.where(p, field),
            expected="one number",
        )
