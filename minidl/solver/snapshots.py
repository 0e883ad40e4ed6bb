"""The snapshots of a run: written, restored, and named where a number goes bad."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from minidl.errors import DivergedError, SolverError
from minidl.net import Net
from minidl.solver import parameters, resume
from minidl.solver.marks import mark
from minidl.solver.run import Run, Written


def write(run: Run) -> dict[str, Any]:
    """Write weights and state; return what `on_snapshot` is told.

    While a test runs, the state has the test nets where they were before it.

    Errors: DivergedError for weights that are not finite: no run can go on from them.
    """
    for param in run.net.learnable:
        if not np.isfinite(run.net.device.to_host(param.read())).all():
            raise run.diverged("a snapshot would hold weights that are not finite")
    tests = run.before_test or [mark(net) for net in run.test_nets]
    weights, state = resume.save(run, prefix(run.param), [mark(run.net), *tests])
    return _remember(run, weights, state)


def restore(run: Run, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Restore the run from a snapshot; return what `on_resume` is told."""
    state = os.fspath(path)
    return _remember(run, resume.load(run, state), state)


def _remember(run: Run, weights: str, state: str) -> dict[str, Any]:
    """Let the run know this snapshot and the last one of an earlier iteration."""
    before = run.snapshots if run.snapshots and run.snapshots[-1].iter <= run.iter else []
    before = [one for one in before if one.iter < run.iter]
    run.snapshots = [*before[-1:], Written(run.iter, state)]
    return {"iter": run.iter, "weights": weights, "state": state}


def diverged(
    run: Run, what: str, net: Net | None = None, since: int | None = None
) -> DivergedError:
    """Return the error for a number that is not finite; see `Solver.diverged`."""
    net = net or run.net
    at = run.iter if since is None else since
    good = [one.state for one in run.snapshots if one.iter != at]
    leads_here = [one.state for one in run.snapshots if one.iter == at]
    bad = net.first_bad()
    if bad:
        layer, blob, part = bad
        gradient = "the gradient of " if part == "diff" else ""
        what += f"; first in {gradient}blob '{blob}' of layer '{layer}'"
    error = DivergedError(
        what,
        where=f"net '{net.name}', iteration {run.iter}",
        expected="a finite number",
        fix=_way_back(good[-1] if good else "", leads_here[-1] if leads_here else ""),
    )
    error.layer = bad[0] if bad else ""
    return error


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
