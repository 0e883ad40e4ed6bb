"""An iteration: Caffe's order and its arithmetic."""

import math

import numpy as np
import pytest

from minidl.errors import DivergedError, LabelError
from minidl.solver import Hook
from tests.places import on
from tests.solver.support import NET, diary, make, weights

pytestmark = on("cpu", "cuda:0", "cuda:0/numpy")


def test_an_iteration_runs_in_caffes_order(tmp_path):
    solver, notes = diary(
        "test_iter: 1 test_interval: 2 display: 2 snapshot: 1 clip_gradients: 0.001 "
        f'lr_policy: "multistep" stepvalue: 0 snapshot_prefix: "{tmp_path}/s"'
    )
    solver.step(1)
    assert notes.names() == [
        "test_start",
        "test",
        "start",
        "display",
        "gradients",
        "step_passed",
        "rate",
        "clip",
        "step",
        "snapshot",
    ]
    assert [e[1] for e in notes.events] == [0] * 8 + [1, 1]


def test_a_whole_run_begins_and_ends_as_caffes():
    solver, notes = diary("max_iter: 4 test_iter: 1 test_interval: 2 display: 4")
    solver.solve()
    quiet = ["start", "gradients", "step"]
    tested = ["test_start", "test"]
    assert notes.names() == [
        "solve",
        *tested,
        "start",
        "display",
        "gradients",
        "rate",
        "step",
        *quiet,
        *tested,
        *quiet,
        *quiet,
        "display",
        *tested,
        "end",
    ]
    assert notes.events[-1] == ("end", 4, "done")
    shown = [e[2] for e in notes.events if e[0] == "display"]
    assert [info["final"] for info in shown] == [False, True]


@pytest.mark.parametrize("size", [2, 3])
def test_iter_size_averages_gradients_and_losses(size):
    """Against the same passes done by hand, with plain SGD."""
    fields = 'lr_policy: "fixed" momentum: 0 weight_decay: 0 average_loss: 1'
    solver, twin = make(f"{fields} iter_size: {size}"), make(fields)
    losses = []
    twin.net.clear_param_diffs()
    for _ in range(size):
        losses.append(twin.net.forward_pass())
        twin.net.backward_pass()
    start = weights(twin)
    solver.step(1)
    assert solver.loss.value == pytest.approx(np.mean(losses), rel=1e-12)
    for new, old, param in zip(weights(solver), start, twin.net.learnable, strict=True):
        expected = old - 0.1 * param.lr_mult * param.diff / size
        np.testing.assert_allclose(new, expected, rtol=1e-5, atol=1e-7)


def test_clipping_comes_before_averaging_and_decay():
    fields = 'lr_policy: "fixed" momentum: 0 weight_decay: 0.5 iter_size: 2 clip_gradients: 0.01'
    solver = make(fields)
    before = weights(solver)
    solver.step(1)
    params = solver.net.learnable
    norm = math.sqrt(sum(float((p.diff.astype(np.float64) ** 2).sum()) for p in params))
    assert norm > 0.01
    for new, old, p in zip(weights(solver), before, params, strict=True):
        gradient = p.diff * (0.01 / norm) / 2 + 0.5 * p.decay_mult * old
        np.testing.assert_allclose(new, old - 0.1 * p.lr_mult * gradient, rtol=1e-5, atol=1e-7)


def test_gradients_below_the_limit_are_left_alone():
    free, limited = make(""), make("clip_gradients: 1e6")
    for solver in (free, limited):
        solver.step(2)
    assert weights(free)[0].tobytes() == weights(limited)[0].tobytes()


def test_a_change_of_the_parameters_takes_effect_at_once():
    solver = make('lr_policy: "fixed"')
    assert solver.lr == pytest.approx(0.1)
    solver.param.base_lr = 0
    solver.param.momentum = 0
    before = weights(solver)
    solver.step(1)
    assert weights(solver)[0].tobytes() == before[0].tobytes()
    assert (solver.lr, solver.iter) == (0, 1)


def test_apply_update_alone_works_as_in_pycaffe():
    solver = make('lr_policy: "fixed" base_lr: 0.01 momentum: 0 weight_decay: 0')
    for param in solver.net.learnable:
        param.data[...], param.diff[...] = 0, 1
    solver.apply_update()
    assert solver.net.params["ip1"][0].data.flat[0] == np.float32(-0.01)
    assert solver.net.params["ip1"][1].data[0] == np.float32(-0.02)  # lr_mult: 2
    assert solver.iter == 1


def test_callbacks_run_before_forward_and_before_the_update():
    solver, calls = make(""), []
    solver.add_callback(lambda: calls.append("start"), lambda: calls.append("gradients"))
    solver.step(2)
    assert calls == ["start", "gradients"] * 2


def test_a_hook_may_change_gradients():
    class Nothing(Hook):
        def on_gradients(self, solver):
            for param in solver.net.learnable:
                param.diff[...] = 0

    solver = make("weight_decay: 0", hooks=[Nothing()])
    before = weights(solver)
    solver.step(3)
    assert weights(solver)[0].tobytes() == before[0].tobytes()


def test_a_rate_far_too_high_ends_in_that_error_without_a_warning_of_numpy():
    solver = make('base_lr: 1e30 lr_policy: "fixed"')
    with pytest.raises(DivergedError, match="no snapshot was written"):
        solver.step(20)


def test_an_infinite_gradient_is_not_clipped_but_named():
    solver = make("clip_gradients: 1 display: 1")
    solver.add_callback(
        lambda: None, lambda: solver.net.params["ip1"][0].diff.__setitem__((0, 0), np.inf)
    )
    before = weights(solver)
    with pytest.raises(DivergedError) as caught:
        solver.step(1)
    clipped_on_the_device = solver.updater._clips
    if clipped_on_the_device:  # then the norm is looked at after the update
        first = "blob 'ip1/0' of layer 'ip1'"
    else:
        first = "the gradient of blob 'ip1/0' of layer 'ip1'"
        assert weights(solver)[0].tobytes() == before[0].tobytes()
    assert f"the norm of the gradient is inf; first in {first}" in str(caught.value)


def test_a_label_out_of_range_is_passed_on():
    net = (
        NET.replace('type: "EuclideanLoss"', 'type: "SoftmaxWithLoss"')
        .replace("shape { dim: 6 dim: 2 }", "shape { dim: 6 }")
        .replace('type: "uniform" min: -1', 'type: "constant" value: 9')
    )
    with pytest.raises(LabelError):
        make("", net).step(1)
