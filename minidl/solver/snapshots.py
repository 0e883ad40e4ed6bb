"""The snapshots of a run: written, restored, and named where a number goes bad."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.errors import DivergedError, SolverError
from minidl.net import Net
from minidl.solver import parameters, resume
from minidl.solver.marks import Mark, mark
from minidl.solver.run import Run


class Snapshots:
    """Writes and restores snapshots, and knows which of them a run can go back to.

    iter    that of the last one; -1 where there is none
    """

    def __init__(self) -> None:
        self.iter = -1
        self._last = ""  # the state file of that iteration
        self._proven = ""  # the one before it, whose iteration went well

    def write(self, run: Run, tests: Sequence[Mark]) -> dict[str, Any]:
        """Write weights and state; return what `on_snapshot` is told.

        tests    where to put the test nets when the run goes on

        Errors: DivergedError for weights that are not finite: no run can go on from them.
        """
        for param in run.net.learnable:
            if not np.isfinite(run.net.device.to_host(param.read())).all():
                raise run.diverged("a snapshot would hold weights that are not finite")
        weights, state = resume.save(run, prefix(run.param), [mark(run.net), *tests])
        return self._remember(run.iter, weights, state)

    def restore(self, run: Run, path: str | os.PathLike[str]) -> dict[str, Any]:
        """Restore the run from a snapshot; return what `on_resume` is told."""
        state = os.fspath(path)
        weights = resume.load(run, state)
        return self._remember(run.iter, weights, state)

    def _remember(self, iteration: int, weights: str, state: str) -> dict[str, Any]:
        if iteration != self.iter:
            self._proven = self._last if iteration > self.iter else ""
        self.iter, self._last = iteration, state
        return {"iter": iteration, "weights": weights, "state": state}

    def diverged(
        self, run: Run, what: str, net: Net | None = None, since: int | None = None
    ) -> DivergedError:
        """Return the error for a number that is not finite, with the first place that has one.

        net      which holds it, by default the one that is trained
        since    the iteration that had it, if it is noticed only now. The error names no snapshot
                 of that very iteration to go back to: it leads here again
        """
        net = net or run.net
        again = self.iter == (run.iter if since is None else since)
        good, bad_one = (self._proven, self._last) if again else (self._last, "")
        bad = net.first_bad()
        if bad:
            layer, blob, part = bad
            gradient = "the gradient of " if part == "diff" else ""
            what += f"; first in {gradient}blob '{blob}' of layer '{layer}'"
        return DivergedError(
            what,
            where=f"net '{net.name}', iteration {run.iter}",
            expected="a finite number",
            fix=_way_back(good, bad_one),
        )


def prefix(param: Any) -> str:
    """Return what names of snapshots start with; refuse a solver that cannot know."""
    found = parameters.snapshot_prefix(param)
    if not found:
        raise SolverError(
            "snapshot_prefix is missing, and there is no solver file to name snapshots after",
            where=parameters.where(param),
            fix="set snapshot_prefix; or, for a run without snapshots, snapshot: 0 and "
            "snapshot_after_train: false",
        )
    return found


def _way_back(good: str, bad_one: str) -> str:
    if good:
        not_from = f", not from {bad_one}, which leads here again" if bad_one else ""
        return f"go on from {good} with a lower base_lr{not_from}"
    if bad_one:
        return f"lower base_lr and start again; {bad_one} leads here again"
    return "lower base_lr and start again; no snapshot was written so far"
