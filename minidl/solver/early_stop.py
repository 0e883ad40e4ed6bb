"""Ending a run when its tests do not get better any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from minidl.solver import monitor
from minidl.solver.monitor import Best


def after_tests(
    best: Best, p: Any, iteration: int, results: Sequence[Mapping[str, Any]]
) -> tuple[Best, dict[str, Any] | None]:
    """Return what is to be beaten after these tests, and what to tell hooks if the run is to end.

    best    the best figure, the iteration of its test, and the tests since then

    The test that ends a run is not counted, nor is it in the snapshot: going on repeats it, and
    ends at once, or continues as if it had never ended if early_stop_patience was raised.
    """
    if not p.HasField("early_stop_monitor"):
        return best, None
    watched = p.early_stop_monitor
    value = monitor.value(watched, results)
    if best.beaten_by(value, watched):
        return Best(value, iteration), None
    tests = best.count + 1
    if tests < p.early_stop_patience:
        return replace(best, count=tests), None
    return best, {
        "iter": iteration,
        "net": watched.test_net,
        "output": watched.output,
        "value": value,
        "best": best.value,
        "best_iter": best.iter,
        "tests": tests,
    }


def reason(info: Mapping[str, Any]) -> str:
    """Return in words what `after_tests` found."""
    tests = f"{info['tests']} tests" if info["tests"] > 1 else "the test"
    return (
        f"{info['output']} of test net #{info['net']} is {info['value']:g}; in {tests} since "
        f"iteration {info['best_iter']} it got no better than the {info['best']:g} of then"
    )
