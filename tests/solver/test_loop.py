"""An iteration: Caffe's order and its arithmetic."""

import math

import numpy as np
import pytest

from minidl.errors import DivergedError, LabelError
from minidl.solver import Hook
from minidl.solver.flat import FlatUpdater
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


def test_test_initialization_can_be_left_out():
    solver, notes = diary("test_iter: 1 test_interval: 2 test_initialization: false max_iter: 4")
    solver.solve()
    assert [i for i, _, _ in notes.tests] == [2, 4]


def test_tests_see_the_weights_of_their_moment():
    solver, notes = diary("test_iter: 1 test_interval: 1 max_iter: 2 base_lr: 0.5")
    train = solver.net.params["ip1"][0]
    solver.step(1)
    solver.test_all()
    assert np.shares_memory(solver.test_nets[0].params["ip1"][0].data, train.data)


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


def test_display_has_what_watchers_need():
    solver, notes = diary("display: 2 iter_size: 3")
    solver.step(3)
    first, second = (e[2] for e in notes.events if e[0] == "display")
    assert (second["iter"], second["iterations"]) == (2, 2)
    assert second["images"] == 2 * 3 * 6
    assert second["seconds"] > 0
    assert second["lr"] == pytest.approx(0.1 * (1 + 0.1 * 2) ** -0.75)
    assert second["outputs"] == {"loss": pytest.approx(second["outputs"]["loss"])}
    assert second["loss_weights"] == {"loss": 1.0}
    assert first["images"] == 0


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


def test_a_loss_that_diverges_names_the_layer_and_the_last_snapshot(tmp_path):
    solver, notes = diary(f'snapshot: 2 snapshot_prefix: "{tmp_path}/s" max_iter: 9')

    def spoil():
        if solver.iter == 5:
            solver.net.params["ip2"][0].data[0, 0] = np.nan

    solver.add_callback(spoil, lambda: None)
    with pytest.raises(DivergedError) as caught:
        solver.solve()
    text = str(caught.value)
    assert "net 'tiny', iteration 5: the loss is nan; first in blob 'ip2/0' of layer 'ip2'" in text
    assert f"go on from {tmp_path}/s_iter_4.solverstate" in text
    assert notes.events[-1][0] == "error"
    assert solver.iter == 5


def spoilt(tmp_path, iteration, resume=None, fields="snapshot: 2 max_iter: 9"):
    """The error of a run with a NaN in its weights before the forward pass of an iteration."""
    solver = make(f'{fields} snapshot_prefix: "{tmp_path}/s"')

    def spoil():
        if solver.iter == iteration:
            solver.net.params["ip2"][0].data[0, 0] = np.nan

    solver.add_callback(spoil, lambda: None)
    with pytest.raises(DivergedError) as caught:
        solver.solve(resume)
    return caught.value.fix


def test_a_snapshot_whose_own_iteration_diverged_is_not_the_one_to_go_back_to(tmp_path):
    state = f"{tmp_path}/s_iter_{{}}.solverstate".format
    again = "which leads here again"
    fix = f"go on from {state(4)} with a lower base_lr, not from {state(6)}, {again}"
    assert spoilt(tmp_path, 6) == fix
    assert spoilt(tmp_path, 7) == f"go on from {state(6)} with a lower base_lr"
    fix = f"lower base_lr and start again; {state(2)} leads here again"
    assert spoilt(tmp_path, 2) == fix
    assert spoilt(tmp_path, 2, state(2)) == fix  # what was restored is not proven either
    fix = f"go on from {state(2)} with a lower base_lr, not from {state(4)}, {again}"
    assert spoilt(tmp_path, 4, state(2)) == fix


def test_one_iteration_written_twice_does_not_prove_its_snapshot(tmp_path):
    solver = make(f'snapshot_prefix: "{tmp_path}/s" base_lr: 1e30 lr_policy: "fixed"')
    first = solver.snapshot()[1]
    solver.step(1)
    solver.snapshot()
    last = solver.snapshot()[1]
    with pytest.raises(DivergedError) as caught:
        solver.step(5)
    assert f"go on from {first} with a lower base_lr, not from {last}" in caught.value.fix


def test_a_test_that_diverges_ends_the_run_too(tmp_path):
    solver, notes = diary(
        f'base_lr: 1e30 lr_policy: "fixed" max_iter: 1 test_iter: 1 test_iter: 2 test_interval: 1 '
        f'snapshot_after_train: true snapshot_prefix: "{tmp_path}/s"'
    )
    with pytest.raises(DivergedError) as caught:
        solver.solve()
    assert str(caught.value).splitlines()[0] == (
        "net 'tiny', iteration 1: test net #0: the loss is inf; "
        "first in blob 'loss' of layer 'loss'"
    )
    assert f"start again; {tmp_path}/s_iter_1.solverstate leads here again" in caught.value.fix
    assert [name for name in notes.names() if name.startswith("test")] == [
        "test_start", "test", "test_start", "test", "test_start"
    ]  # fmt: skip
    assert notes.names()[-1] == "error"


class _Spoil(Hook):
    """Puts a NaN into an output of the second test net, in its second batch of three."""

    def on_test_start(self, solver, index):
        net, self.batches = solver.test_nets[1], 0
        net.after_forward[:] = [lambda layer: self.spoil(net, layer)]

    def spoil(self, net, layer):
        self.batches += net.layer_names[layer] == "spare"
        if self.batches == 2:
            net.blobs["spare"].data[0, 1] = np.nan


def test_an_output_that_is_no_number_in_one_batch_of_a_test_is_named():
    spare = 'layer { name: "spare" type: "TanH" bottom: "ip2" top: "spare" }'
    fields = "test_iter: 1 test_iter: 3 test_interval: 2"
    solver = make(fields, NET + spare, hooks=[_Spoil()])
    with pytest.raises(DivergedError) as caught:
        solver.test_all()
    assert "test net #1: the output 'spare' is not finite" in str(caught.value)
    assert "first in blob 'spare' of layer 'spare'" in str(caught.value)
    assert solver.hooks[-1].batches == 2


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
    clipped_on_the_device = isinstance(solver.updater, FlatUpdater) and solver.updater._fits()
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


def test_weights_that_are_lost_below_a_relu_are_noticed_when_the_loss_is_shown():
    """oneDNN's ReLU makes 0 of NaN: the loss stays finite."""
    solver = make("display: 2")
    solver.step(3)
    param = solver.net.params["ip1"][0]
    param.data[0, 0] = np.nan
    solver.net.forward_pass = solver.net.training_pass = lambda: 1.0
    solver.net.backward_pass = lambda: None
    with pytest.raises(DivergedError, match="weights of 'ip1/0' are not finite"):
        solver.step(2)
