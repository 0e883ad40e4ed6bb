"""One iteration, in Caffe's order."""

from __future__ import annotations

import math

from minidl.net import diagnosis
from minidl.solver import debug_info, display, plateau, schedules, testing
from minidl.solver.losses import Iteration
from minidl.solver.run import Run


def iterate(run: Run) -> None:
    """Test if it is due; train on `iter_size` batches; display; update; snapshot if it is due.

    A gradient stays in `param.diff` after the update, as backward left it (Caffe puts the update
    there instead). An iteration whose test is broken off, or ends the run, is not done.
    """
    p = run.param
    run.net.clear_param_diffs()
    if _due(p.test_interval, run.iter) and (run.iter or p.test_initialization):
        if not testing.between_iterations(run):
            return
    run.tell("on_start")
    shown = _due(p.display, run.iter)
    with debug_info.shown(run.net, shown and p.debug_info):
        forward_backward(run)  # gradients add up in `param.diff`
    if p.lr_policy == "plateau":
        _look_for_plateau(run)
    if shown:
        display.show(run)
    run.tell("on_gradients")
    run.apply_update()
    run.tell("on_step")
    if run.snapshot_requested or _due(p.snapshot, run.iter):
        run.snapshot()


def forward_backward(run: Run) -> None:
    """Do the `iter_size` passes of an iteration: gradients add up, the mean loss counts."""
    net, size, pending = run.net, run.param.iter_size, run.pending
    if pending is None:
        total = 0.0
        for _ in range(size):
            total += forward(run)
            net.backward_pass()
        run.smoothed.add(total / size, run.param.average_loss)
        return
    if not pending.has_room(size):
        read_losses(run)
    done = net.streams.passes
    pending.begin(Iteration(run.iter, range(done + 1, done + 1 + size)))
    for _ in range(size):
        pending.add(net.training_pass())


def forward(run: Run) -> float:
    """Do a forward pass of the training net; refuse a loss that is not finite."""
    loss = run.net.forward_pass()
    if not math.isfinite(loss):
        raise run.diverged(f"the loss is {loss}")
    return loss


def read_losses(run: Run) -> None:
    """Look at the losses that a GPU has computed by now; wait for it."""
    for iteration, loss in run.pending.take() if run.pending is not None else ():
        if not math.isfinite(loss):
            diagnosis.refuse_bad_label(run.net.state, iteration.passes)
            since = "" if iteration.number == run.iter else f" since iteration {iteration.number}"
            raise run.diverged(f"the loss is {loss}{since}", since=iteration.number)
        run.smoothed.add(loss, run.param.average_loss)


def update(run: Run) -> None:
    """Turn the gradients into new weights, with the rate of `iter`, and count `iter` up.

    The gradient is the sum over `iter_size` batches. As in Caffe this sum is clipped first, then
    divided by `iter_size`; then weight decay is added, and the rule of the solver type applied.
    """
    p, rate = run.param, run.lr
    shown = _due(p.display, run.iter)
    if p.lr_policy == "multistep":
        step = schedules.passed(p.stepvalue, run.iter)
        if step != schedules.passed(p.stepvalue, run.iter - 1):
            run.tell("on_step_passed", step)
    if shown:
        run.tell("on_rate", rate)
    limit = p.clip_gradients if p.clip_gradients >= 0 else math.inf
    norm = run.updater.apply(rate, 1 / p.iter_size, p, run.iter, limit)
    if norm is not None and (norm.known or shown):  # a GPU is waited for only to show it
        if not math.isfinite(norm.value):
            raise run.diverged(f"the norm of the gradient is {norm.value}")
        if norm.value > limit:
            run.tell("on_clip", norm.value, limit / norm.value)
    run.iter += 1


def _due(interval: int, iteration: int) -> bool:
    return interval > 0 and iteration % interval == 0


def _look_for_plateau(run: Run) -> None:
    """Let the rate drop if the time has come. On a GPU, to see the loss is to wait for it."""
    if not run.param.HasField("plateau_monitor"):
        run.plateau = plateau.after_loss(run.plateau, run.iter, run.loss.value)
    if plateau.ends(run.plateau, run.param, run.iter):
        run.plateau = plateau.counted(run.plateau, run.iter)
        run.tell("on_plateau", run.plateau.count)
