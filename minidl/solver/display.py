"""The display of an iteration: loss, rate, outputs, and speed."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from minidl.net import Net
from minidl.solver import schedules
from minidl.solver.run import Run, Shown

Figure = float | list[float]  # one number, or all numbers of an array


def start_clock(run: Run) -> None:
    """Count time and iterations from here on."""
    run.shown = Shown(time.perf_counter(), run.iter)


def show(run: Run, final: bool = False) -> None:
    """Tell hooks the losses of an iteration, and the time since the last one that was shown.

    final    after the last update, and one more forward pass

    Errors: DivergedError where weights are not finite.
    """
    loss, before = run.loss.value, run.shown
    _check_weights(run)
    start_clock(run)
    iterations = run.iter - before.iter
    info = {
        "iter": run.iter,
        "loss": loss,
        "lr": schedules.shown(run.param, run.iter, run.plateau.count),
        "outputs": {name: plain(_values(run.net, name)) for name in run.net.outputs},
        "loss_weights": loss_weights(run.net),
        "seconds": run.shown.seconds - before.seconds,
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
