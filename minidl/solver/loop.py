"""One iteration after the other, in Caffe's order."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from minidl.engines import select
from minidl.errors import DivergedError
from minidl.net import Net
from minidl.solver import debug_info, figures, rules, schedules
from minidl.solver.hooks import Hook
from minidl.solver.smoothing import SmoothedLoss


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
        engines = select.engines(net.policy)
        self.updater = rules.Updater(net.learnable, rules.RULES[param.type], engines)
        self.iter = 0
        self.loss = SmoothedLoss()
        self.hooks: list[Hook] = []
        self._stop = self._snapshot = False  # requests
        self._last_snapshot = (-1, "")  # its iteration and state file
        self._proven = ""  # the state file before it, whose iteration went well
        self._restart_clock()

    @property
    def lr(self) -> float:
        """The learning rate of the next update."""
        return schedules.rate(self.param, self.iter)

    def _run(self, iterations: int) -> bool:
        """Iterate; returns whether a request stopped it."""
        last = self.iter + iterations
        if self._shown[1] == self.iter:
            self._restart_clock()
        with np.errstate(all="ignore"):  # NaN and infinity are looked for in the loss
            while self.iter < last:
                self._iterate()
                if self._stop:
                    return True
        return False

    def _iterate(self) -> None:
        p = self.param
        self.net.clear_param_diffs()
        interval = p.test_interval
        if interval and self.iter % interval == 0 and (self.iter or p.test_initialization):
            if self.test_all() is None:
                return
        self._tell("on_start")
        shown = p.display > 0 and self.iter % p.display == 0
        with debug_info.shown(self.net, shown and p.debug_info):
            loss = sum(self._forward_backward() for _ in range(p.iter_size)) / p.iter_size
        self.loss.add(loss, p.average_loss)
        if shown:
            self._display()
        self._tell("on_gradients")
        self.apply_update()
        self._tell("on_step")
        if self._snapshot or (p.snapshot and self.iter % p.snapshot == 0):
            self.snapshot()

    def _forward_backward(self) -> float:
        loss = self._forward()
        self.net.backward_pass()
        return loss

    def _forward(self) -> float:
        loss = self.net.forward_pass()
        if not math.isfinite(loss):
            raise self._diverged(f"the loss is {loss}")
        return loss

    def apply_update(self) -> None:
        """Turn the gradients into new weights and count the iteration, as `step` does."""
        p = self.param
        rate = schedules.rate(p, self.iter)
        if p.lr_policy == "multistep":
            step = schedules.passed(p.stepvalue, self.iter)
            if step != schedules.passed(p.stepvalue, self.iter - 1):
                self._tell("on_step_passed", step)
        if p.display and self.iter % p.display == 0:
            self._tell("on_rate", rate)
        scale = 1 / p.iter_size
        if p.clip_gradients >= 0:
            scale *= self._clip(p.clip_gradients)
        self.updater.apply(rate, scale, p)
        self.iter += 1

    def _clip(self, limit: float) -> float:
        """The factor that brings the norm of the gradient down to `limit`."""
        norm = self.updater.gradient_norm()
        if not math.isfinite(norm):
            raise self._diverged(f"the norm of the gradient is {norm}")
        if norm <= limit:
            return 1.0
        self._tell("on_clip", norm, limit / norm)
        return limit / norm

    # ------------------------------------------------------------------ what a Solver adds

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
        for param in self.net.learnable:
            values = param.memory.array.reshape(-1).view(param.dtype)
            if not math.isfinite(float(param.device.xp.dot(values, values))):
                raise self._diverged(f"weights of '{param.name}' are not finite")

    def _display(self, final: bool = False) -> None:
        self._check_weights()
        (then, iteration), now = self._shown, time.perf_counter()
        self._shown = (now, self.iter)
        count = self.iter - iteration
        info = {
            "iter": self.iter,
            "loss": self.loss.value,
            "lr": schedules.shown(self.param, self.iter),
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

    def _diverged(self, what: str, net: Net | None = None) -> DivergedError:
        """The error for a bad number in `net`, by default the net that is trained.

        It names no snapshot of this very iteration to go back to: that leads here again.
        """
        iteration, last = self._last_snapshot
        again = iteration == self.iter
        good = self._proven if again else last
        return figures.diverged(net or self.net, what, self.iter, good, last if again else "")
