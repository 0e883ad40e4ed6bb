"""The figures that a solver reports: outputs of a net, and what to say when they go bad."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minidl.errors import DivergedError
from minidl.net import Net

Figure = float | list[float]  # one number, or all numbers of an array


def plain(array: Any) -> Figure:
    """A float for one number, else a flat list."""
    values = np.asarray(array).reshape(-1).tolist()
    return values[0] if len(values) == 1 else values


def now(net: Net) -> dict[str, Any]:
    """`outputs` and `loss_weights` as hooks are told them, from the last pass."""
    held = {name: plain(net.device.to_host(net.blobs[name].data)) for name in net.outputs}
    return {"outputs": held, "loss_weights": _loss_weights(net)}


def test(
    net: Net,
    batches: int,
    goes_on: Callable[[], bool],
    diverged: Callable[[str], DivergedError],
) -> dict[str, Any] | None:
    """Means over so many batches: `outputs`, `loss_weights`, `loss`; of no batches, no means.

    goes_on     asked before each batch; where it says False, the test is broken off: None
    diverged    makes the error for a loss or an output that is NaN or infinite; asked while the
                batch is still in the net, so that the first bad layer can be found
    """
    sums: dict[str, Any] = dict.fromkeys(net.outputs, 0.0)
    loss = 0.0
    for _ in range(batches):
        if not goes_on():
            return None
        batch_loss = net.forward_pass()
        if not math.isfinite(batch_loss):
            raise diverged(f"the loss is {batch_loss}")
        loss += batch_loss
        for name in net.outputs:
            array = net.device.to_host(net.blobs[name].data)
            if not np.isfinite(array).all():
                raise diverged(f"the output '{name}' is not finite")
            sums[name] = sums[name] + array.astype(np.float64)
    found: dict[str, Any] = {"outputs": {}, "loss_weights": _loss_weights(net)}
    if batches:
        found["outputs"] = {name: plain(total / batches) for name, total in sums.items()}
        found["loss"] = loss / batches
    return found


def _loss_weights(net: Net) -> dict[str, float]:
    return {name: weight for name, weight in net.blob_loss_weights.items() if weight}


def batch_size(net: Net) -> int:
    """Items in a batch: the first extent of the first blob that has one."""
    return next((blob.shape[0] for top in net.tops for blob in top if blob.shape), 0)


def diverged(net: Net, what: str, iteration: int, good: str, bad_one: str) -> DivergedError:
    """The error for a number that is not finite, with the first place where there is one.

    good       path of the last state from which the run went on well, or ''
    bad_one    path of a state that leads to this number, or ''
    """
    bad = net.first_bad()
    if bad:
        layer, blob, part = bad
        gradient = "the gradient of " if part == "diff" else ""
        what += f"; first in {gradient}blob '{blob}' of layer '{layer}'"
    return DivergedError(
        what,
        where=f"net '{net.name}', iteration {iteration}",
        expected="a finite number",
        fix=_way_back(good, bad_one),
    )


def _way_back(good: str, bad_one: str) -> str:
    if good:
        not_from = f", not from {bad_one}, which leads here again" if bad_one else ""
        return f"go on from {good} with a lower base_lr{not_from}"
    if bad_one:
        return f"lower base_lr and start again; {bad_one} leads here again"
    return "lower base_lr and start again; no snapshot was written so far"
