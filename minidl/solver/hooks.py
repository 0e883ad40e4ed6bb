"""Hooks that watch a solver or change its course, pycaffe's callbacks, and the event file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from minidl.runs import events
from minidl.solver import epochs
from minidl.solver.display import batch_size
from minidl.solver.run import Run
from minidl.storage import replaceable

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
    on_plateau(solver, count)       the `count`-th plateau ended, and the rate drops
    on_rate(solver, rate)           the rate of an iteration that is shown
    on_clip(solver, norm, factor)   gradients are scaled down by `factor`
    on_step(solver)                 weights are updated, `solver.iter` is counted up
    on_test_start(solver, index)    a test net is about to run
    on_test(solver, info)           its means: iter, net, outputs, loss_weights, loss if asked for;
                                    with eval_type "detection" mean average precisions, and classes,
                                    those of each class, if asked for
    on_test_stopped(solver)         a test was broken off by a request to stop
    on_early_stop(solver, info)     tests do not get better, so the run ends: iter, net, output,
                                    value, best, best_iter, tests since then
    on_snapshot(solver, info)       both files are on disk: iter, weights, state
    on_end(solver, reason)          `solve` ends: "done" or "stopped"
    on_error(solver, error)         or with an error
    """

    def on_solve(self, solver: Run) -> None: ...
    def on_resume(self, solver: Run, info: Info) -> None: ...
    def on_start(self, solver: Run) -> None: ...
    def on_display(self, solver: Run, info: Info) -> None: ...
    def on_gradients(self, solver: Run) -> None: ...
    def on_step_passed(self, solver: Run, step: int) -> None: ...
    def on_plateau(self, solver: Run, count: int) -> None: ...
    def on_rate(self, solver: Run, rate: float) -> None: ...
    def on_clip(self, solver: Run, norm: float, factor: float) -> None: ...
    def on_step(self, solver: Run) -> None: ...
    def on_test_start(self, solver: Run, index: int) -> None: ...
    def on_test(self, solver: Run, info: Info) -> None: ...
    def on_test_stopped(self, solver: Run) -> None: ...
    def on_early_stop(self, solver: Run, info: Info) -> None: ...
    def on_snapshot(self, solver: Run, info: Info) -> None: ...
    def on_end(self, solver: Run, reason: str) -> None: ...
    def on_error(self, solver: Run, error: Exception) -> None: ...


class Callbacks(Hook):
    """pycaffe's `solver.add_callback`: two functions without arguments."""

    def __init__(self, on_start: Callable[[], Any], on_gradients_ready: Callable[[], Any]) -> None:
        self._on_start, self._on_gradients_ready = on_start, on_gradients_ready

    def on_start(self, solver: Run) -> None:
        self._on_start()

    def on_gradients(self, solver: Run) -> None:
        self._on_gradients_ready()


class EventsFile(Hook):
    """Appends what happens to a file, one JSON object a line, as soon as it happened.

    path    "events.jsonl" in the folder of the run; a resumed run goes on in the same file

    What is in an event, `minidl.runs.events` says. Errors: RunError where the file cannot be
    written; UsageError for a link, and for a file of anything else.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._epochs = epochs.Epochs(0, 0)

    def write(self, event: events.Event) -> None:
        """Append one event."""
        replaceable.check_appendable(self.path, replaceable.EVENTS)
        events.append(self.path, event)

    def on_solve(self, solver: Run) -> None:
        p = solver.param
        self._epochs = epochs.of(solver)
        self.write(
            events.Start(
                solver.iter,
                net=solver.net.name,
                max_iter=p.max_iter,
                display=p.display,
                test_interval=p.test_interval,
                seed=solver.seed,
                type=p.type,
                batch_size=batch_size(solver.net),
                iter_size=p.iter_size,
                data=self._epochs.records,
                epoch_iters=self._epochs.iterations,
            )
        )

    def on_step(self, solver: Run) -> None:
        ended = self._epochs.end(solver.iter)
        if ended:
            self.write(events.Epoch(solver.iter, ended))

    def on_resume(self, solver: Run, info: Info) -> None:
        self.write(events.Resume(solver.iter, info["state"], info["weights"]))

    def on_display(self, solver: Run, info: Info) -> None:
        names = ("loss", "lr", "outputs", "seconds", "iterations", "images", "final")
        self.write(events.Display(info["iter"], **{name: info[name] for name in names}))

    def on_test(self, solver: Run, info: Info) -> None:
        self.write(events.Test(info["iter"], info["net"], info["outputs"], info.get("loss")))

    def on_plateau(self, solver: Run, count: int) -> None:
        best = solver.plateau.value
        assert best is not None  # it was not beaten
        self.write(events.Plateau(solver.iter, count, best, solver.lr))

    def on_early_stop(self, solver: Run, info: Info) -> None:
        self.write(events.EarlyStop(**info))

    def on_snapshot(self, solver: Run, info: Info) -> None:
        self.write(events.Snapshot(info["iter"], info["weights"], info["state"]))

    def on_end(self, solver: Run, reason: str) -> None:
        end = events.End if reason == "done" else events.Stop
        self.write(end(solver.iter))

    def on_error(self, solver: Run, error: Exception) -> None:
        self.write(events.Error(solver.iter, type(error).__name__, str(error)))
