"""When the rate drops under lr_policy "plateau"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from minidl.solver import monitor
from minidl.solver.monitor import Best


class Plateau:
    """Counts plateaus: stretches of `plateau_winsize` iterations in which nothing got better.

    best    what is to be beaten; `best.count` is how many plateaus were met, and `best.iter` the
            iteration of the last good figure or of the last plateau, whichever came later

    By itself the loss as shown is watched, in every iteration; with a `plateau_monitor` an output
    of the tests, in every test. The windows count iterations either way. The best value is kept
    when the rate drops.
    """

    def __init__(self) -> None:
        self.best = Best()

    def see_loss(self, p: Any, iteration: int, loss: float) -> None:
        """Take notice of the loss as shown, unless the tests are watched."""
        if not p.HasField("plateau_monitor") and self.best.beaten_by(loss):
            self.best = Best(loss, iteration, self.best.count)

    def see_tests(self, p: Any, iteration: int, results: Sequence[Mapping[str, Any]]) -> None:
        """Take notice of what the tests gave, if they are watched."""
        if p.HasField("plateau_monitor"):
            value = monitor.value(p.plateau_monitor, results)
            if self.best.beaten_by(value, p.plateau_monitor):
                self.best = Best(value, iteration, self.best.count)

    def met(self, p: Any, iteration: int) -> bool:
        """Tell whether a plateau ends with this iteration; if so, count it.

        None does before there is something to be better than, such as a first test.
        """
        count = self.best.count
        if self.best.value is None or count >= len(p.plateau_winsize):
            return False
        if iteration < self.best.iter + p.plateau_winsize[count]:
            return False
        self.best = replace(self.best, iter=iteration, count=count + 1)
        return True
