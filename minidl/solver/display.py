"""The display of an iteration: loss, rate, outputs, and speed."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from minidl.net import Net
from minidl.solver import schedules
from minidl.solver.run import Run

Figure = float | list[float]  # one number, or all numbers of an array


class Display:
    """Tells hooks the losses of an iteration, and the time since the last one that was shown."""

    def __init__(self) -> None:
        self.restart(0)

    def restart(self, iteration: int) -> None:
        """Count time and iterations from here on."""
        self._then, self._iteration = time.perf_counter(), iteration

    def begin(self, iteration: int) -> None:
        """Leave out the time before the first iteration, and between two calls of `step`."""
        if self._iteration == iteration:
            self.restart(iteration)

    def show(self, run: Run, final: bool = False) -> None:
        """Call `on_display` of all hooks.

        final    after the last update, and one more forward pass

        Errors: DivergedError where weights are not finite.
        """
        loss = run.loss.value
        _check_weights(run)
        then, iterations = self._then, run.iter - self._iteration
        self.restart(run.iter)
        info = {
            "iter": run.iter,
            "loss": loss,
            "lr": schedules.shown(run.param, run.iter, run.plateau.best.count),
            "outputs": {name: plain(_values(run.net, name)) for name in run.net.outputs},
            "loss_weights": loss_weights(run.net),
            "seconds": self._then - then,
            "iterations": iterations,
            "images": iterations * run.param.iter_size * batch_size(run.net),
            "final": final,
        }
        run.tell("on_display", info)


def plain(array: Any) -> Figure:
    """Return a float for one number, else a flat list."""
    values = np.asarray(array).reshape(-1).tolist()
    return values[0] if len(values) == 1 else values


def loss_weights(net: Net) -> dict[str, float]:
    """Return by how much each output counts in the loss, if it does."""
    return {name: weight for name, weight in net.blob_loss_weights.items() if weight}


def batch_size(net: Net) -> int:
    """Return the items in a batch: the first extent of the first blob that has one."""
    return next((blob.shape[0] for top in net.tops for blob in top if blob.shape), 0)


def _values(net: Net, name: str) -> Any:
    return net.device.to_host(net.blobs[name].data)


def _check_weights(run: Run) -> None:
    """Refuse weights that are not finite although the loss is.

    An engine's ReLU turns NaN into 0, so weights below it can be lost in silence.
    """
    device = run.net.device
    for param in run.net.learnable:
        values = param.values.memory.array.reshape(-1).view(param.dtype)
        with device.current():
            square = float(device.to_host(param.device.xp.dot(values, values)))
        if not math.isfinite(square):
            raise run.diverged(f"weights of '{param.name}' are not finite")
