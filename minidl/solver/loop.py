"""One iteration after the other, in Caffe's order."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from minidl.engines import select
from minidl.errors import DivergedError
from minidl.net import Net, diagnosis
from minidl.solver import debug_info, figures, rules, schedules
from minidl.solver.early_stop import EarlyStop
from minidl.solver.flat import FlatUpdater
from minidl.solver.hooks import Hook
from minidl.solver.losses import Iteration, PendingLosses
from minidl.solver.plateau import Plateau
from minidl.solver.smoothing import SmoothedLoss
from minidl.solver.updater import Updater


class Loop:
    """The iterations of a Solver.

    Clear gradients; test if `test_interval` divides `iter`; forward and backward `iter_size`
    times; display; then, with the rate of `iter`: clip the summed gradient, divide it by iter_size,
    add weight decay, apply the rule; count `iter` up; snapshot if `snapshot` divides it.

    A gradient stays in `param.diff` after the update, as backward left it (Caffe puts the update
    there instead).
    """

    def __init__(self, param: Any, net: Net) -> None:
        self.param, self.net = param, net
        engines, rule = select.engines(net.policy), rules.RULES[param.type]
        self.updater: Updater
        if net.arena is None:
            self.updater = Updater(net.learnable, rule, engines)
        else:
            # the kernel for all parameters knows one rate alone
            own_rates = () if param.larc else engines
            self.updater = FlatUpdater(net.learnable, rule, own_rates, net.arena)
        self.iter = 0
        self._loss = SmoothedLoss()
        self.plateau, self.early_stop = Plateau(), EarlyStop()
        self._pending = PendingLosses(net.device, net.dtype) if net.arena is not None else None
        self.hooks: list[Hook] = []
        self._stop = self._snapshot = False  # requests
        self._last_snapshot = (-1, "")  # its iteration and state file
        self._proven = ""  # the state file before it, whose iteration went well
        self._restart_clock()

    @property
    def lr(self) -> float:
        """The learning rate of the next update, unless its loss ends a plateau."""
        return schedules.rate(self.param, self.iter, self.plateau.best.count)

    @property
    def loss(self) -> SmoothedLoss:
        """The smoothed loss of all that has run; a GPU is waited for."""
        self._read_losses()
        return self._loss

    @loss.setter
    def loss(self, loss: SmoothedLoss) -> None:
        self._loss = loss

    def _run(self, iterations: int) -> bool:
        """Iterate; returns whether a request stopped it."""
        last = self.iter + iterations
        if self._shown[1] == self.iter:
            self._restart_clock()
        with np.errstate(all="ignore"):  # NaN and infinity are looked for in the loss
            while self.iter < last:
                self._iterate()
                if self._stop:
                    break
            self._read_losses()
        return self._stop

    def _iterate(self) -> None:
        p = self.param
        self.net.clear_param_diffs()
        interval = p.test_interval
        if interval and self.iter % interval == 0 and (self.iter or p.test_initialization):
            if not self._tested():
                return
        self._tell("on_start")
        shown = p.display > 0 and self.iter % p.display == 0
        with debug_info.shown(self.net, shown and p.debug_info):
            self._passes()
        if p.lr_policy == "plateau":
            self._look_for_plateau()
        if shown:
            self._display()
        self._tell("on_gradients")
        self.apply_update()
        self._tell("on_step")
        if self._snapshot or (p.snapshot and self.iter % p.snapshot == 0):
            self.snapshot()

    def _passes(self) -> None:
        """Forward and backward `iter_size` times; the mean loss goes into `loss`."""
        p = self.param
        if self._pending is None:
            loss = sum(self._forward_backward() for _ in range(p.iter_size)) / p.iter_size
            self._loss.add(loss, p.average_loss)
            return
        done = self.net.streams.passes
        passes = range(done + 1, done + 1 + p.iter_size)
        self._pending.begin(Iteration(self.iter, passes), self._see_loss)
        for _ in range(p.iter_size):
            self._pending.add(self.net.training_pass())

    def _look_for_plateau(self) -> None:
        """Let the rate drop if the time has come. On a GPU, to see the loss is to wait for it."""
        p = self.param
        if not p.HasField("plateau_monitor"):
            self.plateau.see_loss(p, self.iter, self.loss.value)
        if self.plateau.met(p, self.iter):
            self._tell("on_plateau", self.plateau.best.count)

    def _forward_backward(self) -> float:
        loss = self._forward()
        self.net.backward_pass()
        return loss

    def _read_losses(self) -> None:
        """Look at the losses that a GPU has computed by now."""
        if self._pending is not None:
            self._pending.read(self._see_loss)

    def _see_loss(self, iteration: Iteration, loss: float) -> None:
        if not math.isfinite(loss):
            diagnosis.refuse_bad_label(self.net, iteration.passes)
            since = "" if iteration.number == self.iter else f" since iteration {iteration.number}"
            raise self._diverged(f"the loss is {loss}{since}", since=iteration.number)
        self._loss.add(loss, self.param.average_loss)

    def _forward(self) -> float:
        loss = self.net.forward_pass()
        if not math.isfinite(loss):
            raise self._diverged(f"the loss is {loss}")
        return loss

    def apply_update(self) -> None:
        """Turn the gradients into new weights and count the iteration, as `step` does."""
        p = self.param
        rate = self.lr
        if p.lr_policy == "multistep":
            step = schedules.passed(p.stepvalue, self.iter)
            if step != schedules.passed(p.stepvalue, self.iter - 1):
                self._tell("on_step_passed", step)
        if p.display and self.iter % p.display == 0:
            self._tell("on_rate", rate)
        limit = p.clip_gradients if p.clip_gradients >= 0 else math.inf
        norm = self.updater.apply(rate, 1 / p.iter_size, p, self.iter, limit)
        shown = p.display and self.iter % p.display == 0
        if norm is not None and (norm.known or shown):  # a GPU is waited for only to show it
            self._tell_of_clipping(norm.value, limit)
        self.iter += 1

    def _tell_of_clipping(self, norm: float, limit: float) -> None:
        if not math.isfinite(norm):
            raise self._diverged(f"the norm of the gradient is {norm}")
        if norm > limit:
            self._tell("on_clip", norm, limit / norm)

    # ------------------------------------------------------------------ what a Solver adds

    def _tested(self) -> bool:
        """Run the tests that are due; False where no iteration is to follow them."""
        raise NotImplementedError

    def test_all(self) -> list[dict[str, Any]] | None:
        raise NotImplementedError

    def snapshot(self) -> tuple[str, str]:
        raise NotImplementedError

    # ------------------------------------------------------------------ requests and watchers

    def request_stop(self) -> None:
        """Stop after this iteration, or test batch; safe to call from a signal handler."""
        self._stop = True

    def request_snapshot(self) -> None:
        """Write a snapshot after this iteration, or test batch; safe from a signal handler."""
        self._snapshot = True

    def _restart_clock(self) -> None:
        self._shown = (time.perf_counter(), self.iter)  # when losses were last shown, and where

    def _tell(self, event: str, *values: Any) -> None:
        for hook in self.hooks:
            getattr(hook, event)(self, *values)

    def _check_weights(self) -> None:
        """Refuse weights that are not finite although the loss is.

        An engine's ReLU turns NaN into 0, so weights below it can be lost in silence.
        """
        host = self.net.device.to_host
        for param in self.net.learnable:
            values = param.memory.array.reshape(-1).view(param.dtype)
            with self.net.device.current():
                square = float(host(param.device.xp.dot(values, values)))
            if not math.isfinite(square):
                raise self._diverged(f"weights of '{param.name}' are not finite")

    def _display(self, final: bool = False) -> None:
        self._read_losses()
        self._check_weights()
        (then, iteration), now = self._shown, time.perf_counter()
        self._shown = (now, self.iter)
        count = self.iter - iteration
        info = {
            "iter": self.iter,
            "loss": self.loss.value,
            "lr": schedules.shown(self.param, self.iter, self.plateau.best.count),
            **figures.now(self.net),
            "seconds": now - then,
            "iterations": count,
            "images": count * self.param.iter_size * figures.batch_size(self.net),
            "final": final,
        }
        self._tell("on_display", info)

    def _remember_snapshot(self, state: str) -> None:
        iteration, last = self._last_snapshot
        if self.iter != iteration:
            self._proven = last if self.iter > iteration else ""
        self._last_snapshot = (self.iter, state)

    def _diverged(
        self, what: str, net: Net | None = None, since: int | None = None
    ) -> DivergedError:
        """The error for a bad number in `net`, by default the net that is trained.

        since   the iteration that had it, if it is noticed only now. The error names no snapshot
                of that very iteration to go back to: it leads here again
        """
        iteration, last = self._last_snapshot
        again = iteration == (self.iter if since is None else since)
        good = self._proven if again else last
        return figures.diverged(net or self.net, what, self.iter, good, last if again else "")
