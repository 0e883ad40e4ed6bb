"""The solver: nets, parameters and a loop, put together as a solver file says."""

from __future__ import annotations

import contextlib
import logging
import operator
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minidl import prototxt, schema
from minidl.engines import select
from minidl.errors import DivergedError, MinidlError, SolverError, UsageError
from minidl.net import Net
from minidl.solver import display, monitor, nets, parameters, rules, schedules, snapshots, testing
from minidl.solver.caffe_log import CaffeLog
from minidl.solver.hooks import Callbacks, Hook
from minidl.solver.loop import forward, iterate, read_losses, update
from minidl.solver.losses import PendingLosses
from minidl.solver.marks import Mark, go_back, mark
from minidl.solver.monitor import Best
from minidl.solver.resume import check_names, check_paths
from minidl.solver.run import Shown, Written
from minidl.solver.smoothing import SmoothedLoss
from minidl.solver.updater import Updater

log = logging.getLogger("minidl")


class Solver:
    """Trains a net as its solver file says; the names are pycaffe's.

    model     path of a solver prototxt, its text, or a SolverParameter
    device    where the nets live; by default what `minidl.set_device` said. As in pycaffe, the
              solver file's solver_mode is for the command line
    dtype     np.float32, or np.float64 for checks
    hooks     further hooks (`minidl.solver.Hook`); they may also be appended to `hooks` later
    options   engine, math, algorithm, workspace_limit, tuning, share: of all its nets, see Net

    net, test_nets    the nets        param    the SolverParameter, read again in every iteration
    iter    updates done              lr       the rate of the next update
    seed    of everything random      loss     the smoothed loss: `loss.value`

    What an iteration does, `minidl.solver.loop.iterate` says.
    """

    def __init__(
        self,
        model: Any,
        *,
        device: Any = None,
        dtype: Any = np.float32,
        hooks: Sequence[Hook] = (),
        **options: Any,
    ) -> None:
        if not isinstance(model, schema.SolverParameter):
            model = prototxt.read_solver(model)
        self.param = p = parameters.upgraded(model)
        parameters.check(p)
        parameters.say_what_has_no_effect(p)
        if p.snapshot:
            check_paths(snapshots.prefix(p))
        self.seed = p.random_seed if p.random_seed >= 0 else secrets.randbits(31)
        if p.random_seed < 0:
            log.info("random_seed: %d, drawn by lot", self.seed)
        self.net, self.test_nets = nets.make(p, self.seed, device=device, dtype=dtype, **options)
        check_names(self.net, p)
        for field in ("plateau_monitor", "early_stop_monitor"):
            monitor.check(p, field, self.test_nets)
        self.iter = 0
        engines, rule = select.engines(self.net.policy), rules.RULES[p.type]
        self.updater = Updater(self.net.learnable, rule, engines, self.net.arena)
        waits = self.net.device.kind != "cpu"
        self.pending = PendingLosses(self.net.device, self.net.dtype) if waits else None
        self.smoothed = SmoothedLoss()
        self.plateau, self.early_stop = Best(), Best()
        self.hooks: list[Hook] = [CaffeLog(), *hooks]
        self.stop_requested = self.snapshot_requested = False
        self.shown, self.snapshots = Shown(), list[Written]()
        self.before_test: list[Mark] | None = None
        for net in self.nets:
            net.prepare()
        log.info("Solver scaffolding done.")

    @property
    def nets(self) -> list[Net]:
        """The training net, then the test nets."""
        return [self.net, *self.test_nets]

    @property
    def lr(self) -> float:
        """The learning rate of the next update, unless its loss ends a plateau."""
        return schedules.rate(self.param, self.iter, self.plateau.count)

    @property
    def loss(self) -> SmoothedLoss:
        """The smoothed loss of all that has run; a GPU is waited for."""
        read_losses(self)
        return self.smoothed

    # ------------------------------------------------------------------ running

    def solve(self, resume: str | os.PathLike[str] | None = None) -> None:
        """Train to `max_iter`, from the snapshot `resume` if given; snapshot and test at the end.

        Errors: everything that goes wrong is a MinidlError; DivergedError names the layer where
        the first NaN or infinity appeared.
        """
        p = self.param
        try:
            if not p.HasField("max_iter"):
                raise SolverError("max_iter is missing", where=parameters.where(p))
            if p.snapshot_after_train:
                check_paths(snapshots.prefix(p))
            self.tell("on_solve")
            if resume is not None:
                self.restore(resume)
            if self.iter >= p.max_iter:
                log.warning("nothing to train: iteration %d of %d", self.iter, p.max_iter)
            stopped = self._run(p.max_iter - self.iter)
            if p.snapshot_after_train and [s.iter for s in self.snapshots[-1:]] != [self.iter]:
                self.snapshot()
            if not stopped:
                self._show_the_end()
            self.tell("on_end", "stopped" if stopped else "done")
        except Exception as error:
            with contextlib.suppress(MinidlError):  # what went wrong first is what is raised
                self.tell("on_error", error)
            raise
        finally:
            self.stop_requested = False

    def step(self, iterations: int) -> None:
        """Do this number of iterations, or fewer if `request_stop` is called."""
        try:
            count = operator.index(iterations)
        except TypeError:
            count = -1
        if count < 0:
            raise UsageError(
                f"step was given {iterations!r}", expected="a whole number of iterations, 0 or more"
            )
        try:
            self._run(count)
        finally:
            self.stop_requested = False

    def _run(self, iterations: int) -> bool:
        """Iterate; return whether a request stopped it."""
        last = self.iter + iterations
        if self.shown.iter == self.iter:  # leave out the time before, and between two calls
            display.start_clock(self)
        with np.errstate(all="ignore"):  # NaN and infinity are looked for in the loss
            while self.iter < last:
                iterate(self)
                if self.stop_requested:
                    break
            read_losses(self)
        return self.stop_requested

    def _show_the_end(self) -> None:
        """Do Caffe's last forward pass and tests."""
        p = self.param
        if p.display and self.iter % p.display == 0:
            with _without_trace(self), np.errstate(all="ignore"):
                self.loss.add(forward(self), p.average_loss)
                display.show(self, final=True)
        if p.test_interval and self.iter % p.test_interval == 0:
            with _without_trace(self):
                self.test_all()

    def test_all(self) -> list[dict[str, Any]] | None:
        """Run every test net over its `test_iter` batches with the present weights.

        Return for each net what `Hook.on_test` is told, or None if a request to stop broke it
        off; the data is then where it was, so that the test can be run again in full.

        Errors: DivergedError for a loss or an output that is NaN or infinite in any batch.
        """
        read_losses(self)
        return testing.all_nets(self)

    def apply_update(self) -> None:
        """Turn the gradients into new weights and count the iteration, as `step` does."""
        update(self)

    def request_stop(self) -> None:
        """Stop after this iteration or test batch; safe to call from a signal handler."""
        self.stop_requested = True

    def request_snapshot(self) -> None:
        """Write a snapshot after this iteration or test batch; safe from a signal handler."""
        self.snapshot_requested = True

    # ------------------------------------------------------------------ snapshots

    def snapshot(self) -> tuple[str, str]:
        """Write weights and state; return their paths. Each file appears whole or not at all.

        Errors: DivergedError for weights that are not finite: no run can go on from them.
        """
        self.snapshot_requested = False
        read_losses(self)
        info = snapshots.write(self)
        self.tell("on_snapshot", info)
        return info["weights"], info["state"]

    def restore(self, path: str | os.PathLike[str]) -> None:
        """Go on from a .solverstate: what follows is bit for bit what would have followed it.

        States that Caffe wrote are accepted too; the log reports what they lack.
        """
        info = snapshots.restore(self, path)
        display.start_clock(self)
        self.tell("on_resume", info)

    def diverged(
        self, what: str, net: Net | None = None, since: int | None = None
    ) -> DivergedError:
        """Return the error for a number that is not finite, with the first place that has one.

        net      which holds it, by default the one that is trained
        since    the iteration that had it, if it is noticed only now. The error names no snapshot
                 of that very iteration to go back to: it leads here again
        """
        return snapshots.diverged(self, what, net, since)

    # ------------------------------------------------------------------ sharing, hooks, seed

    def share_weights(self, net: Net) -> None:
        """Let `net` use the weights that are trained here, in layers of the same name."""
        net.share_with(self.net)

    def tell(self, event: str, *values: Any) -> None:
        """Call this method of every hook."""
        for hook in self.hooks:
            getattr(hook, event)(self, *values)

    def add_callback(
        self, on_start: Callable[[], Any], on_gradients_ready: Callable[[], Any]
    ) -> None:
        """Add pycaffe's callbacks: before an iteration's first forward, and before its update."""
        self.hooks.append(Callbacks(on_start, on_gradients_ready))

    def set_seed(self, seed: int) -> None:
        """Let everything random from now on derive from `seed`."""
        self.seed = seed
        for net, own in zip(self.nets, nets.seeds(seed, len(self.test_nets)), strict=True):
            net.reseed(own)

    def close(self) -> None:
        """Release the files and threads of all nets."""
        for net in self.nets:
            net.close()


@contextlib.contextmanager
def _without_trace(run: Solver) -> Iterator[None]:
    """Undo what runs inside this context, so that a run which ended can continue.

    In Caffe the pass for the last display moves the data on and the statistics of BatchNorm.
    """
    places, loss = [mark(net) for net in run.nets], run.loss.copy()
    moved = [getattr(la, name).data for la in run.net.own_layers for name in la.statistics]
    statistics = [array.copy() for array in moved]
    yield
    run.smoothed = loss
    for array, values in zip(moved, statistics, strict=True):
        run.net.device.write(array, values)
    go_back(run.nets, places)
