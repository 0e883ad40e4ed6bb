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
from minidl.errors import DivergedError, MinidlError, SolverError, UsageError
from minidl.net import Net
from minidl.solver import debug_info, figures, monitor, nets, parameters
from minidl.solver import resume as resuming
from minidl.solver.caffe_log import CaffeLog
from minidl.solver.hooks import Callbacks, Hook
from minidl.solver.loop import Loop

log = logging.getLogger("minidl")


class Solver(Loop):
    """Trains a net as its solver file says; the names are pycaffe's.

    model     path of a solver prototxt, its text, or a SolverParameter
    device    where the nets live; by default what `minidl.set_device` said. As in pycaffe, the
              solver file's solver_mode is for the command line
    dtype     np.float32, or np.float64 for checks
    hooks     further hooks (`minidl.solver.Hook`); they may also be appended to `hooks` later
    options   engine, math, algorithm, workspace_limit, tuning, share: of all its nets, see Net

    net, test_nets    the nets        param    the SolverParameter, read anew in every iteration
    iter    updates done              lr       the rate of the next update
    seed    of everything random      loss     the smoothed loss: `loss.value`

    What an iteration does, `Loop` says.
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
        p = parameters.upgraded(model)
        parameters.check(p)
        parameters.say_what_has_no_effect(p)
        if p.snapshot:
            resuming.check_paths(_prefix(p))
        self.seed = p.random_seed if p.random_seed >= 0 else secrets.randbits(31)
        if p.random_seed < 0:
            log.info("random_seed: %d, drawn by lot", self.seed)
        net, self.test_nets = nets.make(p, self.seed, device=device, dtype=dtype, **options)
        super().__init__(p, net)
        resuming.check_names(net, p)
        for field in ("plateau_monitor", "early_stop_monitor"):
            monitor.check(p, field, self.test_nets)
        self.hooks += [CaffeLog(), *hooks]
        self._before_test: list[resuming.Mark] | None = None  # where the test nets stood
        for net in self.nets:
            net.prepare()
        log.info("Solver scaffolding done.")

    @property
    def nets(self) -> list[Net]:
        """The training net, then the test nets."""
        return [self.net, *self.test_nets]

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
                resuming.check_paths(_prefix(p))
            self._tell("on_solve")
            if resume is not None:
                self.restore(resume)
            if self.iter >= p.max_iter:
                log.warning("nothing to train: iteration %d of %d", self.iter, p.max_iter)
            stopped = self._run(p.max_iter - self.iter)
            if p.snapshot_after_train and self._last_snapshot[0] != self.iter:
                self.snapshot()
            if not stopped:
                self._show_the_end()
            self._tell("on_end", "stopped" if stopped else "done")
        except Exception as error:
            with contextlib.suppress(MinidlError):  # what went wrong first is what is raised
                self._tell("on_error", error)
            raise
        finally:
            self._stop = False

    def step(self, iterations: int) -> None:
        """Do so many iterations, or fewer if `request_stop` is called."""
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
            self._stop = False

    def _show_the_end(self) -> None:
        """Caffe's last forward pass and tests."""
        p = self.param
        if p.display and self.iter % p.display == 0:
            with self._without_trace(), np.errstate(all="ignore"):
                self.loss.add(self._forward(), p.average_loss)
                self._display(final=True)
        if p.test_interval and self.iter % p.test_interval == 0:
            with self._without_trace():
                self.test_all()

    @contextlib.contextmanager
    def _without_trace(self) -> Iterator[None]:
        """What runs inside is as if it had not run, so that a run which ended can go on.

        In Caffe the pass for the last display moves the data on and the statistics of BatchNorm.
        """
        places, loss = [resuming.mark(net) for net in self.nets], self.loss.copy()
        moved = [getattr(la, name).data for la in self.net.own_layers for name in la.statistics]
        statistics = [array.copy() for array in moved]
        yield
        self.loss = loss
        for array, values in zip(moved, statistics, strict=True):
            self.net.device.write(array, values)
        for net, place in zip(self.nets, places, strict=True):
            resuming.go_to(net, place)

    # ------------------------------------------------------------------ testing

    def test_all(self) -> list[dict[str, Any]] | None:
        """Run every test net over its `test_iter` batches with the present weights.

        Returns for each net what `Hook.on_test` is told, or None if a request to stop broke it
        off; the data then stands where it stood, so that the test can be run again in full.

        Errors: DivergedError for a loss or an output that is NaN or infinite in any batch.
        """
        self._read_losses()
        with self._marked_test() as places, np.errstate(all="ignore"):
            results = []
            for i, net in enumerate(self.test_nets):
                self._tell("on_test_start", i)
                net.share_with(self.net)
                with debug_info.shown(net, self.param.debug_info):
                    means = figures.test(
                        net, self.param.test_iter[i], self._goes_on, self._test_diverged(i)
                    )
                if means is None:
                    for other, place in zip(self.test_nets, places, strict=True):
                        resuming.go_to(other, place)
                    self._tell("on_test_stopped")
                    return None
                if not self.param.test_compute_loss:
                    means.pop("loss", None)
                results.append({"iter": self.iter, "net": i, **means})
                if self.param.test_iter[i]:
                    self._tell("on_test", results[-1])
            return results

    def _test_diverged(self, index: int) -> Callable[[str], DivergedError]:
        """What turns words into the error for a bad number in this test net."""
        return lambda what: self._diverged(f"test net #{index}: {what}", self.test_nets[index])

    def _tested(self) -> bool:
        p = self.param
        watched = self.test_nets if p.HasField("early_stop_monitor") else []
        places = [resuming.mark(net) for net in watched]
        results = self.test_all()
        if results is None:
            return False
        found = self.early_stop.ends(p, self.iter, results)
        if found is not None:
            for net, place in zip(watched, places, strict=True):
                resuming.go_to(net, place)
            self._tell("on_early_stop", found)
            self.request_stop()
            return False
        self.plateau.see_tests(p, self.iter, results)
        return True

    @contextlib.contextmanager
    def _marked_test(self) -> Iterator[list[resuming.Mark]]:
        """Keeps where the test nets stand: what a snapshot in the middle of a test has to say."""
        self._before_test = [resuming.mark(net) for net in self.test_nets]
        try:
            yield self._before_test
        finally:
            self._before_test = None

    def _goes_on(self) -> bool:
        """Before each test batch: honour requests; False to break the test off."""
        if self._snapshot:
            self.snapshot()
        return not self._stop

    # ------------------------------------------------------------------ snapshots

    def snapshot(self) -> tuple[str, str]:
        """Write weights and state; returns their paths. Each file appears whole or not at all.

        Refuses weights that are not finite: no run can go on from them.
        """
        self._snapshot = False
        self._read_losses()
        for param in self.net.learnable:
            if not np.isfinite(self.net.device.to_host(param.read())).all():
                raise self._diverged("a snapshot would hold weights that are not finite")
        tests = self._before_test or [resuming.mark(net) for net in self.test_nets]
        weights, state = resuming.save(self, _prefix(self.param), [resuming.mark(self.net), *tests])
        self._remember_snapshot(state)
        self._tell("on_snapshot", {"iter": self.iter, "weights": weights, "state": state})
        return weights, state

    def restore(self, path: str | os.PathLike[str]) -> None:
        """Go on from a .solverstate: what follows is bit for bit what would have followed it.

        States that Caffe wrote are taken, too; what they lack is said in the log.
        """
        state = os.fspath(path)
        weights = resuming.load(self, state)
        self._remember_snapshot(state)
        self._restart_clock()
        self._tell("on_resume", {"iter": self.iter, "weights": weights, "state": state})

    # ------------------------------------------------------------------ sharing, callbacks, seed

    def share_weights(self, net: Net) -> None:
        """Let `net` use the weights that are trained here, in layers of the same name."""
        net.share_with(self.net)

    def add_callback(
        self, on_start: Callable[[], Any], on_gradients_ready: Callable[[], Any]
    ) -> None:
        """pycaffe's callbacks: before an iteration's first forward, and before its update."""
        self.hooks.append(Callbacks(on_start, on_gradients_ready))

    def set_seed(self, seed: int) -> None:
        """Let everything random from now on derive from `seed`."""
        self.seed = seed
        for net, own in zip(self.nets, nets.seeds(seed, len(self.test_nets)), strict=True):
            net.reseed(own)

    def close(self) -> None:
        """Let go of the files and threads of all nets."""
        for net in self.nets:
            net.close()


def _prefix(param: Any) -> str:
    """What names of snapshots start with; refuses a solver that cannot know."""
    prefix = parameters.snapshot_prefix(param)
    if not prefix:
        raise SolverError(
            "snapshot_prefix is missing, and there is no solver file to name snapshots after",
            where=parameters.where(param),
            fix="set snapshot_prefix; or, for a run without snapshots, snapshot: 0 and "
            "snapshot_after_train: false",
        )
    return prefix
