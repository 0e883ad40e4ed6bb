"""Ending a run when its tests do not get better any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from minidl.solver import monitor
from minidl.solver.monitor import Best


class EarlyStop:
    """Counts tests that brought nothing better than the best before them.

    best    the best figure, the iteration of its test, and the tests since then
    """

    def __init__(self) -> None:
        self.best = Best()

    def ends(
        self, p: Any, iteration: int, results: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any] | None:
        """Return what to tell hooks if the run is to end with these tests, else None.

        The test that ends a run is not counted, nor is it in the snapshot: going on repeats it, and
        ends at once, or continues as if it had never ended if early_stop_patience was raised.
        """
        if not p.HasField("early_stop_monitor"):
            return None
        watched = p.early_stop_monitor
        value = monitor.value(watched, results)
        if self.best.beaten_by(value, watched):
            self.best = Best(value, iteration)
            return None
        tests = self.best.count + 1
        if tests < p.early_stop_patience:
            self.best = replace(self.best, count=tests)
            return None
        return {
            "iter": iteration,
            "net": watched.test_net,
            "output": watched.output,
            "value": value,
            "best": self.best.value,
            "best_iter": self.best.iter,
            "tests": tests,
        }


def reason(info: Mapping[str, Any]) -> str:
    """Return in words what `EarlyStop.ends` found."""
    tests = f"{info['tests']} tests" if info["tests"] > 1 else "the test"
    return (
        f"{info['output']} of test net #{info['net']} is {info['value']:g}; in {tests} since "
        f"iteration {info['best_iter']} it got no better than the {info['best']:g} of then"
    )
