"""What may watch a solver or change what it does: hooks, pycaffe's callbacks, the event file."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from minidl.errors import RunError
from minidl.solver import figures
from minidl.storage import replaceable

if TYPE_CHECKING:
    from minidl.solver.solver import Solver

Info = Mapping[str, Any]


class Hook:
    """Base of hooks: does nothing at every point where a solver calls it.

    `solver.hooks` is a list of them. In the order of a run:

    on_solve(solver)                `solve` begins: net, parameters and seed are known
    on_resume(solver, info)         a snapshot was restored: state, weights, iter
    on_start(solver)                before the forward pass of an iteration
    on_display(solver, info)        losses of an iteration that is shown: iter, loss, lr, outputs,
                                    loss_weights, seconds, iterations and images since the last,
                                    final (after the last update)
    on_gradients(solver)            gradients are complete; a hook may change `param.diff`
    on_step_passed(solver, step)    the multistep policy passed its `step`th value
    on_plateau(solver, count)       a plateau ended, the so many-th, and with it the rate drops
    on_rate(solver, rate)           the rate of an iteration that is shown
    on_clip(solver, norm, factor)   gradients are scaled down by `factor`
    on_step(solver)                 weights are updated, `solver.iter` is counted up
    on_test_start(solver, index)    a test net is about to run
    on_test(solver, info)           its means: iter, net, outputs, loss_weights, loss if asked for
    on_test_stopped(solver)         a test was broken off by a request to stop
    on_early_stop(solver, info)     tests do not get better, so the run ends: iter, net, output,
                                    value, best, best_iter, tests since then
    on_snapshot(solver, info)       both files are on disk: iter, weights, state
    on_end(solver, reason)          `solve` ends: "done" or "stopped"
    on_error(solver, error)         or with an error
    """

    def on_solve(self, solver: Solver) -> None: ...
    def on_resume(self, solver: Solver, info: Info) -> None: ...
    def on_start(self, solver: Solver) -> None: ...
    def on_display(self, solver: Solver, info: Info) -> None: ...
    def on_gradients(self, solver: Solver) -> None: ...
    def on_step_passed(self, solver: Solver, step: int) -> None: ...
    def on_plateau(self, solver: Solver, count: int) -> None: ...
    def on_rate(self, solver: Solver, rate: float) -> None: ...
    def on_clip(self, solver: Solver, norm: float, factor: float) -> None: ...
    def on_step(self, solver: Solver) -> None: ...
    def on_test_start(self, solver: Solver, index: int) -> None: ...
    def on_test(self, solver: Solver, info: Info) -> None: ...
    def on_test_stopped(self, solver: Solver) -> None: ...
    def on_early_stop(self, solver: Solver, info: Info) -> None: ...
    def on_snapshot(self, solver: Solver, info: Info) -> None: ...
    def on_end(self, solver: Solver, reason: str) -> None: ...
    def on_error(self, solver: Solver, error: Exception) -> None: ...


class Callbacks(Hook):
    """pycaffe's `solver.add_callback`: two functions without arguments."""

    def __init__(self, on_start: Callable[[], Any], on_gradients_ready: Callable[[], Any]) -> None:
        self._on_start, self._on_gradients_ready = on_start, on_gradients_ready

    def on_start(self, solver: Solver) -> None:
        self._on_start()

    def on_gradients(self, solver: Solver) -> None:
        self._on_gradients_ready()


class EventsFile(Hook):
    """Appends what happens to a file, one JSON object a line, as soon as it happened.

    path    "events.jsonl" in the folder of the run; a resumed run goes on in the same file

    Every event has `event` (start, resume, display, plateau, test, early_stop, snapshot, stop, end,
    error), `time` (seconds since 1970) and `iter`; the rest is what `Hook` says of it. NaN and
    infinity become null. Errors: RunError where the file cannot be written; UsageError for a link,
    and for a file of anything else.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)

    def write(self, event: str, iteration: int, **values: Any) -> None:
        """Append one event."""
        record = {"event": event, "time": round(time.time(), 6), "iter": iteration, **values}
        replaceable.check_appendable(self.path, replaceable.EVENTS)
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(_plain(record), allow_nan=False) + "\n")
        except OSError as error:
            raise RunError(
                f"cannot be written: {error.strerror or error}", where=self.path
            ) from None

    def on_solve(self, solver: Solver) -> None:
        p = solver.param
        self.write(
            "start",
            solver.iter,
            net=solver.net.name,
            max_iter=p.max_iter,
            display=p.display,
            test_interval=p.test_interval,
            seed=solver.seed,
            type=p.type,
            batch_size=figures.batch_size(solver.net),
            iter_size=p.iter_size,
        )

    def on_resume(self, solver: Solver, info: Info) -> None:
        self.write("resume", solver.iter, state=info["state"], weights=info["weights"])

    def on_display(self, solver: Solver, info: Info) -> None:
        names = ("loss", "lr", "outputs", "seconds", "iterations", "images", "final")
        self.write("display", info["iter"], **{n: info[n] for n in names if n in info})

    def on_test(self, solver: Solver, info: Info) -> None:
        names = ("net", "outputs", "loss")
        self.write("test", info["iter"], **{n: info[n] for n in names if n in info})

    def on_plateau(self, solver: Solver, count: int) -> None:
        best = solver.plateau.best.value
        self.write("plateau", solver.iter, count=count, best=best, lr=solver.lr)

    def on_early_stop(self, solver: Solver, info: Info) -> None:
        names = ("net", "output", "value", "best", "best_iter", "tests")
        self.write("early_stop", info["iter"], **{n: info[n] for n in names})

    def on_snapshot(self, solver: Solver, info: Info) -> None:
        self.write("snapshot", info["iter"], weights=info["weights"], state=info["state"])

    def on_end(self, solver: Solver, reason: str) -> None:
        self.write("end" if reason == "done" else "stop", solver.iter)

    def on_error(self, solver: Solver, error: Exception) -> None:
        self.write("error", solver.iter, kind=type(error).__name__, message=str(error))


def _plain(value: Any) -> Any:
    """Only what JSON has."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
