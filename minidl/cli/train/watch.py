"""What people see of a run: a progress bar, its status, and at the end the results."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

from minidl import preprocess, prototxt, schema
from minidl.cli.log import say
from minidl.cli.progress import bar
from minidl.cli.signals import Request
from minidl.runs import job, store
from minidl.solver import Hook, Run, epochs, nets
from minidl.solver.display import batch_size
from minidl.solver.early_stop import reason
from minidl.solver.epochs import Epochs
from minidl.storage import files

log = logging.getLogger("minidl")

Info = Mapping[str, Any]
BAR = "{desc}{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
REFRESH_S = 0.1


class ProgressBar(Hook):
    """Iterations, loss, rate, images a second and time left; above it tests and snapshots."""

    def __init__(self, args: Namespace) -> None:
        self.args = args
        self.bar: Any = None
        self._batch, self._next = 0, 0.0

    def on_resume(self, solver: Run, info: Info) -> None:
        self._say(f"iteration {solver.iter}: resuming from {info['state']}")

    def on_test_start(self, solver: Run, index: int) -> None:
        self._begin(solver)
        self._guarded(self.bar.set_description_str, "testing ")

    def on_start(self, solver: Run) -> None:
        self._begin(solver)

    def _begin(self, solver: Run) -> None:
        """Show the bar, once it is known where the run begins."""
        if self.bar is not None:
            return
        self._batch = solver.param.iter_size * batch_size(solver.net)
        self.bar = bar(
            self.args,
            total=solver.param.max_iter,
            initial=solver.iter,
            bar_format=BAR,
            mininterval=REFRESH_S,
        )

    def on_step(self, solver: Run) -> None:
        if monotonic() >= self._next:
            self._next = monotonic() + REFRESH_S
            shown = f"loss {solver.loss.value:.4g}, lr {solver.lr:.3g}"
            rate = self.bar.format_dict["rate"]
            if rate:
                shown += f", {rate * self._batch:.0f} images/s"
            self.bar.set_postfix_str(shown, refresh=False)
        self._guarded(self.bar.update)

    def on_test(self, solver: Run, info: Info) -> None:
        self.bar.set_description_str("", refresh=False)
        self._say(f"iteration {info['iter']}: {figures(info, len(solver.test_nets))}")

    def on_test_stopped(self, solver: Run) -> None:
        self.bar.set_description_str("", refresh=False)

    def on_plateau(self, solver: Run, count: int) -> None:
        self._say(f"iteration {solver.iter}: plateau {count}, lr {solver.lr:.3g}")

    def on_early_stop(self, solver: Run, info: Info) -> None:
        self._say(f"iteration {info['iter']}: stopped early: {reason(info)}")

    def on_snapshot(self, solver: Run, info: Info) -> None:
        self._say(f"iteration {info['iter']}: snapshot {info['state']}")

    def close(self) -> None:
        """Remove the bar."""
        if self.bar is not None:
            self._guarded(self.bar.close)

    def _say(self, text: str) -> None:
        self._guarded(say, text)

    def _guarded(self, show: Any, *values: Any) -> None:
        """Show without failing: a run continues when its terminal has gone."""
        try:
            show(*values)
        except OSError:
            if self.bar is not None:
                self.bar.disable = True


class Standing(Hook):
    """Says in status.json how far a run is."""

    def __init__(self, report: job.Report) -> None:
        self.report = report
        self._images = 0  # of one iteration

    def on_solve(self, solver: Run) -> None:
        self._images = solver.param.iter_size * batch_size(solver.net)
        self._say(solver, force=True)

    def on_resume(self, solver: Run, info: Info) -> None:
        self._say(solver, force=True)

    def on_step(self, solver: Run) -> None:
        self._say(solver)

    def on_end(self, solver: Run, reason: str) -> None:
        self._say(solver, force=True)

    def _say(self, solver: Run, force: bool = False) -> None:
        total = solver.param.max_iter
        self.report.progress(solver.iter, total, "iterations", self._images, force)


class EpochStop(Hook):
    """Stops a run at the end of the epoch in which it was asked to; after a step where nobody
    knows where an epoch ends.

    honoured    whether it has
    """

    def __init__(self, request: Request) -> None:
        self.request, self.honoured = request, False
        self._epochs = Epochs(0, 0)

    def on_solve(self, solver: Run) -> None:
        self._epochs = epochs.of(solver)

    def on_step(self, solver: Run) -> None:
        if not self.request.made or solver.iter >= solver.param.max_iter:
            return
        if not self._epochs.records:
            log.warning("its data layer does not say where an epoch ends: stopping after this step")
        elif not self._epochs.end(solver.iter):
            return
        self.honoured = True
        solver.request_stop()


class Summary(Hook):
    """Remembers what a run left behind."""

    def __init__(self) -> None:
        self.iter = 0
        self.reason = ""  # "done" or "stopped"
        self.snapshot: Info | None = None
        self.tests: dict[int, Info] = {}

    def on_solve(self, solver: Run) -> None:
        self.iter = solver.iter

    def on_resume(self, solver: Run, info: Info) -> None:
        self.snapshot = info
        self.iter = solver.iter

    def on_step(self, solver: Run) -> None:
        self.iter = solver.iter

    def on_test(self, solver: Run, info: Info) -> None:
        self.tests[info["net"]] = info

    def on_snapshot(self, solver: Run, info: Info) -> None:
        self.snapshot = info

    def on_end(self, solver: Run, reason: str) -> None:
        self.reason = reason

    def lines(self) -> Iterator[str]:
        """Yield final test figures and files, one per line."""
        for info in self.tests.values():
            after = "" if info["iter"] == self.iter else f" (after {info['iter']} iterations)"
            yield figures(info, len(self.tests)) + after
        if self.snapshot is not None:
            yield f"weights  {self.snapshot['weights']}"
            yield f"state    {self.snapshot['state']}"


def figures(info: Info, nets: int) -> str:
    """Return 'test accuracy = 0.98, loss = 0.06'; with several test nets the number of this one."""
    which = f"test net #{info['net']}:" if nets > 1 else "test"
    parts = []
    for name, value in info["outputs"].items():
        numbers = value if isinstance(value, list) else [value]
        shown = ", ".join(f"{number:.4g}" for number in numbers[:5])
        more = ", ..." if len(numbers) > 5 else ""
        parts.append(f"{name} = {shown}{more}")
    return f"{which} {', '.join(parts)}"


class Description(Hook):
    """Leaves in a run's folder its net, as it is tested, and what that does to pictures.

    named    whether names of classes that stand there already are those of this run's data set;
             else they count only where nothing beside the data says any
    """

    def __init__(self, place: Path, named: bool = False) -> None:
        self.place, self.named = place, named

    def on_solve(self, solver: Run) -> None:
        sources = nets.Sources(solver.param)
        plan = (sources.testing() or [sources.training()])[0]
        net = schema.NetParameter()
        net.CopyFrom(plan.model)
        net.ClearField("state")
        if plan.state.level or plan.state.stage:
            net.state.CopyFrom(plan.state)
            net.state.ClearField("phase")
        text = f"# The net of this run.\n{prototxt.to_text(net)}"
        files.write_all(self.place / store.NET, [text.encode()])
        found = preprocess.of_net(net)
        if found is not None:
            here = self._labels() if self.named or not found.labels else ()
            found = replace(found, labels=here or found.labels)
            found.write(self.place / preprocess.NAME)

    def _labels(self) -> tuple[str, ...]:
        """Return names of classes that were written here before, of a data set without them."""
        there = self.place / preprocess.NAME
        return preprocess.read(there).labels if there.is_file() else ()
