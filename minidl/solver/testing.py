"""The tests of a run: every test net over its batches, with the weights of the moment."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl.solver import debug_info, early_stop, parameters, plateau
from minidl.solver.detection import Detections
from minidl.solver.display import loss_weights
from minidl.solver.marks import go_back, mark
from minidl.solver.means import Means
from minidl.solver.run import Run


def between_iterations(run: Run) -> bool:
    """Run the tests that are due; return False where no iteration is to follow them."""
    p = run.param
    watched = run.test_nets if p.HasField("early_stop_monitor") else []
    places = [mark(net) for net in watched]
    results = run.test_all()
    if results is None:
        return False
    run.early_stop, ending = early_stop.after_tests(run.early_stop, p, run.iter, results)
    if ending is not None:
        go_back(watched, places)
        run.tell("on_early_stop", ending)
        run.request_stop()
        return False
    run.plateau = plateau.after_tests(run.plateau, p, run.iter, results)
    return True


def all_nets(run: Run) -> list[dict[str, Any]] | None:
    """Run every test net over its `test_iter` batches; see `Solver.test_all`."""
    run.before_test = [mark(net) for net in run.test_nets]
    try:
        results = []
        for index in range(len(run.test_nets)):
            means = _test(run, index)
            if means is None:
                go_back(run.test_nets, run.before_test)
                run.tell("on_test_stopped")
                return None
            results.append({"iter": run.iter, "net": index, **means})
            if run.param.test_iter[index]:
                run.tell("on_test", results[-1])
        return results
    finally:
        run.before_test = None


def _test(run: Run, index: int) -> dict[str, Any] | None:
    """Test one net; return `outputs`, `loss_weights`, and `loss` if that is asked for."""
    net = run.test_nets[index]
    run.tell("on_test_start", index)
    net.share_with(run.net)
    with debug_info.shown(net, run.param.debug_info), np.errstate(all="ignore"):
        means = _means(run, index)
    if means is not None and not run.param.test_compute_loss:
        means.pop("loss", None)
    return means


def _means(run: Run, index: int) -> dict[str, Any] | None:
    """Return what eval_type makes of the batches, None if a stop broke them off.

    A number that is not finite is looked for in every batch, while the batch is still in the net:
    so the first bad layer can be named.
    """
    net, batches = run.test_nets[index], run.param.test_iter[index]
    summary, loss = _summary(run.param), 0.0
    for _ in range(batches):
        if run.snapshot_requested:
            run.snapshot()
        if run.stop_requested:
            return None
        batch_loss = net.forward_pass()
        if not math.isfinite(batch_loss):
            raise run.diverged(f"test net #{index}: the loss is {batch_loss}", net)
        loss += batch_loss
        for name in net.outputs:
            array = net.device.to_host(net.blobs[name].data)
            if not np.isfinite(array).all():
                raise run.diverged(f"test net #{index}: the output '{name}' is not finite", net)
            summary.add(name, array)
    found: dict[str, Any] = {"outputs": {}, "loss_weights": loss_weights(net)}
    if batches:
        found["outputs"] = summary.figures(batches)
        found["loss"] = loss / batches
    if isinstance(summary, Detections) and run.param.show_per_class_result:
        found["classes"] = summary.classes
    return found


def _summary(param: Any) -> Means | Detections:
    """Return what collects the outputs of a test."""
    if param.eval_type == "detection":
        return Detections(param.ap_version, parameters.where(param, "eval_type"))
    return Means(parameters.where(param))
