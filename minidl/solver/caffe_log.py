"""Caffe's log lines, to the letter: parsers of its logs keep working."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl.solver import early_stop
from minidl.solver.display import batch_size
from minidl.solver.hooks import Hook, Info
from minidl.solver.run import Run

log = logging.getLogger("minidl")


class CaffeLog(Hook):
    """Writes the lines of Caffe's solver to the log `minidl`; every solver has one.

    What Caffe does not do or does not say has lines of its own: gradients summed over several
    batches, early stopping; for a plateau, that of the forks which know the policy. Numbers have
    six significant digits, as C++ prints them.
    """

    def on_solve(self, solver: Run) -> None:
        log.info("Solving %s", solver.net.name)
        p = solver.param
        log.info("Learning Rate Policy: %s", p.lr_policy)
        if p.iter_size > 1:
            items = batch_size(solver.net)
            log.info(
                "Gradient accumulation: iter_size %d, so %d batches of %d make one update of %d",
                *(p.iter_size, p.iter_size, items, p.iter_size * items),
            )

    def on_resume(self, solver: Run, info: Info) -> None:
        log.info("Resuming from %s", info["state"])
        log.info("SGDSolver: restoring history")  # for every type: Caffe's others inherit it

    def on_display(self, solver: Run, info: Info) -> None:
        if info["final"]:
            log.info("Iteration %d, loss = %g", info["iter"], info["loss"])
            return
        seconds = info["seconds"]
        log.info(
            "Iteration %d (%g iter/s, %gs/%d iters), loss = %g",
            info["iter"],
            info["iterations"] / seconds if seconds else 0,
            seconds,
            solver.param.display,
            info["loss"],
        )
        for line in outputs(info):
            log.info("    Train net output %s", line)

    def on_step_passed(self, solver: Run, step: int) -> None:
        log.info("MultiStep Status: Iteration %d, step = %d", solver.iter, step)

    def on_plateau(self, solver: Run, count: int) -> None:
        log.info("Plateau Status: Iteration %d, step = %d", solver.iter, count)

    def on_rate(self, solver: Run, rate: float) -> None:
        log.info("Iteration %d, lr = %g", solver.iter, rate)

    def on_clip(self, solver: Run, norm: float, factor: float) -> None:
        log.info(
            "Gradient clipping: scaling down gradients (L2 norm %g > %g) by scale factor %g",
            norm,
            solver.param.clip_gradients,
            factor,
        )

    def on_test_start(self, solver: Run, index: int) -> None:
        log.info("Iteration %d, Testing net (#%d)", solver.iter, index)

    def on_test(self, solver: Run, info: Info) -> None:
        if "loss" in info:
            log.info("Test loss: %g", info["loss"])
        for classes in info.get("classes", {}).values():
            for label, precision in classes.items():
                log.info("class%d: %g", label, precision)
        for line in outputs(info):
            log.info("    Test net output %s", line)

    def on_test_stopped(self, solver: Run) -> None:
        log.info("Test interrupted.")

    def on_early_stop(self, solver: Run, info: Info) -> None:
        log.info("Early stopping: Iteration %d, %s", info["iter"], early_stop.reason(info))

    def on_snapshot(self, solver: Run, info: Info) -> None:
        kind = "HDF5" if info["state"].endswith(".h5") else "binary proto"
        log.info("Snapshotting to %s file %s", kind, info["weights"])
        log.info("Snapshotting solver state to %s file %s", kind, info["state"])

    def on_end(self, solver: Run, reason: str) -> None:
        log.info("Optimization Done." if reason == "done" else "Optimization stopped early.")


def outputs(info: Info) -> Iterator[str]:
    """Yield '#0: loss = 0.26 (* 1 = 0.26 loss)' for every number of every output."""
    index = 0
    for name, value in info["outputs"].items():
        weight = info["loss_weights"].get(name, 0)
        for number in value if isinstance(value, list) else [value]:
            yield f"#{index}: {name} = {number:g}{share(number, weight)}"
            index += 1


def share(value: float, weight: float) -> str:
    """Return ' (* 1 = 0.26 loss)', what an output adds to the loss, or '' if it adds nothing."""
    with np.errstate(all="ignore"):
        product: Any = np.float32(weight) * np.float32(value)
    return f" (* {weight:g} = {product:g} loss)" if weight else ""
