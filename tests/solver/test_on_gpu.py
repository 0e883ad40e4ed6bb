"""Training on a GPU: the losses and weights of the CPU, without a wait in between."""

import numpy as np
import pytest

from minidl import get_solver, prototxt, schema
from minidl.arrays.memory import place
from minidl.errors import DivergedError, LabelError
from minidl.solver.loop import iterate, read_losses
from minidl.solver.rules import RULES

NET = """name: "digits"
layer { name: "data" type: "DummyData" top: "data"
  dummy_data_param { shape { dim: 8 dim: 1 dim: 12 dim: 12 }
                     data_filler { type: "constant" value: 0.5 } } }
layer { name: "label" type: "DummyData" top: "label"
  dummy_data_param { shape { dim: 8 } data_filler { type: "constant" value: 3 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  param { lr_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
  pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "relu" type: "ReLU" bottom: "pool" top: "pool" }
layer { name: "drop" type: "Dropout" bottom: "pool" top: "pool" }
layer { name: "ip" type: "InnerProduct" bottom: "pool" top: "ip"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


def solver(device, engine=None, net=NET, **fields):
    """A solver without files; `fields` of its SolverParameter go over the defaults."""
    settings = dict(base_lr=0.1, lr_policy="inv", gamma=0.1, power=0.75, momentum=0.9)
    settings |= dict(weight_decay=0.01, random_seed=5, snapshot_after_train=False, max_iter=6)
    param = schema.SolverParameter(**(settings | fields))
    param.net_param.CopyFrom(prototxt.read_net(net))
    return get_solver(param, device=device, engine=engine)


def weights(trained):
    return [trained.net.device.to_host(p.read()) for p in trained.net.learnable]


TYPES = {
    "plain": {},
    "in two halves": {"iter_size": 2},
    "clipped": {"clip_gradients": 0.05},
    "decayed by sign": {"regularization_type": "L1"},
    "averaged": {"average_loss": 3, "display": 2},
    "Nesterov": {"type": "Nesterov"},
    "AdaGrad, clipped": {"type": "AdaGrad", "momentum": 0, "clip_gradients": 0.05},
    "RMSProp in two halves": {"type": "RMSProp", "momentum": 0, "iter_size": 2, "base_lr": 0.01},
    "AdaDelta": {"type": "AdaDelta", "delta": 1e-4},
    "Adam, decayed by sign": {"type": "Adam", "base_lr": 0.01, "regularization_type": "L1"},
    "AdamW": {"type": "AdamW", "base_lr": 0.01},
    "on plateaus": {"lr_policy": "plateau", "plateau_winsize": [2, 1], "average_loss": 2},
}


@pytest.mark.parametrize("engine", ["numpy", "cupy", "auto"])
@pytest.mark.parametrize("fields", TYPES.values(), ids=TYPES)
def test_a_run_is_that_of_the_cpu(gpu, engine, fields):
    one, other = solver("cpu", "numpy", **fields), solver("cuda:0", engine, **fields)
    one.solve()
    other.solve()
    assert other.loss.value == pytest.approx(one.loss.value, rel=1e-5)
    for mine, theirs in zip(weights(one), weights(other), strict=True):
        assert np.abs(mine - theirs).max() <= 1e-5 * max(1, np.abs(mine).max())
    for mine, theirs in zip(one.updater.history, other.updater.history, strict=True):
        theirs = other.net.device.to_host(theirs)
        assert np.abs(mine - theirs).max() <= 1e-5 * max(1, np.abs(mine).max())


def test_a_step_waits_for_nothing_copies_nothing_and_allocates_nothing(gpu):
    trained = solver("cuda:0", clip_gradients=1.0)
    trained.step(3)
    with gpu.strict():
        for _ in range(3):
            iterate(trained)
    read_losses(trained)


@pytest.mark.parametrize("name", [name for name in RULES if name != "SGD"])
def test_nor_does_a_step_of_another_type(gpu, name):
    momentum = 0.9 if "momentum" in RULES[name].reads else 0
    trained = solver("cuda:0", type=name, momentum=momentum, base_lr=0.01, iter_size=2)
    trained.step(3)
    with gpu.strict():
        for _ in range(3):
            iterate(trained)


@pytest.mark.parametrize("name", RULES)
def test_a_step_is_a_handful_of_launches(gpu, name):
    momentum = 0.9 if "momentum" in RULES[name].reads else 0
    trained = solver("cuda:0", type=name, momentum=momentum, base_lr=0.01)
    trained.step(3)
    before = gpu.launches
    trained.step(1)
    assert gpu.launches - before <= 3  # the loss is put aside, the weights are updated


def test_where_memory_lies_is_looked_at_only_when_some_has_moved(gpu, monkeypatch):
    """It takes longer than the launch."""
    made, looks = solver("cuda:0"), []
    look = made.updater.arena.gather
    monkeypatch.setattr(made.updater.arena, "gather", lambda *of: looks.append(1) or look(*of))
    made.step(3)
    looks.clear()
    made.step(3)
    assert not looks
    one = made.net.learnable[0]
    with gpu.lenient_tests():
        one.values.move(place(one.shape, None, np.float32, made.net.device))
    made.step(1)
    assert looks and made.updater._clips, "it is inside again, and all of it is one launch"


def test_a_loss_that_is_not_finite_names_the_iteration(gpu):
    trained = solver("cuda:0", base_lr=1e30, max_iter=8)
    with pytest.raises(DivergedError, match="since iteration|the loss is"):
        trained.solve()


def test_losses_are_looked_at_when_a_snapshot_is_due_and_the_way_back_is_to_one_before(
    gpu, tmp_path
):
    trained = solver("cuda:0", snapshot=2, snapshot_prefix=str(tmp_path / "s"), max_iter=9)
    bias = trained.net.params["ip"][1]

    def spoil():
        if trained.iter == 6:
            bias.values.write(np.full(bias.shape, np.nan))

    trained.add_callback(spoil, lambda: None)
    with pytest.raises(DivergedError) as caught:
        trained.solve()
    assert "iteration 8: the loss is nan since iteration 6" in str(caught.value)
    good, bad = (f"{tmp_path}/s_iter_{i}.solverstate" for i in (4, 6))
    assert caught.value.fix.startswith(f"go on from {good} with a lower base_lr, not from {bad}")


def test_whoever_reads_the_loss_sees_that_of_now(gpu):
    trained, seen = solver("cuda:0"), []
    trained.add_callback(lambda: None, lambda: seen.append((trained.loss.value, trained.net.loss)))
    trained.step(4)
    assert seen[3][0] == pytest.approx(seen[3][1], rel=1e-6)
    assert len({loss for loss, _ in seen}) == 4


def test_a_label_that_is_no_class_is_found_when_the_loss_is_read(gpu):
    trained = solver("cuda:0", net=NET.replace("value: 3", "value: 7"), display=1)
    with pytest.raises(LabelError, match="is 7(.|\n)*from 0 to 4"):
        trained.solve()


def test_arrays_that_somebody_holds_stay_live(gpu):
    trained = solver("cuda:0")
    trained.step(2)
    held = trained.net.params["ip"][0].data
    before = held.get()
    trained.step(2)
    assert not np.array_equal(before, held.get())
    held[...] = 0
    trained.net.forward_pass()
    assert not trained.net.device.to_host(trained.net.params["ip"][0].read()).any()


def test_a_resumed_run_is_the_unbroken_one(gpu, tmp_path):
    fields = {"snapshot_prefix": str(tmp_path / "run"), "max_iter": 6}
    whole, first = solver("cuda:0", **fields), solver("cuda:0", **fields)
    whole.step(6)
    first.step(3)
    _, state = first.snapshot()
    second = solver("cuda:0", **fields)
    second.restore(state)
    second.step(3)
    for mine, theirs in zip(weights(whole), weights(second), strict=True):
        assert np.array_equal(mine, theirs)


def test_multipliers_that_change_count_from_the_next_update_on(gpu):
    one, other = solver("cpu", "numpy"), solver("cuda:0")
    for trained in (one, other):
        trained.step(3)
        trained.net.params["conv"][0].lr_mult = 0.25
        trained.net.params["ip"][0].decay_mult = 8
        trained.step(3)
    for mine, theirs in zip(weights(one), weights(other), strict=True):
        assert np.abs(mine - theirs).max() <= 1e-5 * max(1, np.abs(mine).max())
