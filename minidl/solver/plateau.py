"""When the rate drops under lr_policy "plateau".

A plateau is a stretch of `plateau_winsize` iterations in which nothing got better. A run keeps what
is to be beaten as a Best: its `count` is the number of plateaus met, and its `iter` that of the
last good figure or of the last plateau, the later of the two.

The loss as shown is watched, in every iteration; with a `plateau_monitor` an output of the tests
instead, in every test. The windows count iterations either way. The best value is kept when the
rate drops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from minidl.solver import monitor
from minidl.solver.monitor import Best


def after_loss(best: Best, iteration: int, loss: float) -> Best:
    """Return what is to be beaten after the loss as shown."""
    return Best(loss, iteration, best.count) if best.beaten_by(loss) else best


def after_tests(best: Best, p: Any, iteration: int, results: Sequence[Mapping[str, Any]]) -> Best:
    """Return what is to be beaten after these tests, which count if they are watched."""
    if not p.HasField("plateau_monitor"):
        return best
    value = monitor.value(p.plateau_monitor, results)
    better = best.beaten_by(value, p.plateau_monitor)
    return Best(value, iteration, best.count) if better else best


def ends(best: Best, p: Any, iteration: int) -> bool:
    """Tell whether a plateau ends with this iteration.

    None does before there is something to be better than, such as a first test.
    """
    if best.value is None or best.count >= len(p.plateau_winsize):
        return False
    return bool(iteration >= best.iter + p.plateau_winsize[best.count])


def counted(best: Best, iteration: int) -> Best:
    """Count a plateau that ends with this iteration."""
    return replace(best, iter=iteration, count=best.count + 1)
