"""A net on engines is the net that its layers describe, however its arrays are laid out.

The oracle is the same net run on the CPU by the layers' own array code (`plain`). Channels are
multiples of 16 and not, so that oneDNN's blobs live in blocks, in N H W C and plain.
"""

import logging
import os
import re
import signal

import numpy as np
import pytest

from minidl import TEST, TRAIN, Net, get_solver, prototxt, schema
from minidl.arrays.home import Home
from minidl.errors import UsageError
from minidl.net import run
from tests.places import on

pytestmark = on("cpu/onednn", "cuda:0", "cuda:0/numpy", "cuda:0/cudnn")

INPUT = """
layer { name: "in" type: "Input" top: "data"
  input_param { shape { dim: 4 dim: 3 dim: 14 dim: 13 } } }
layer { name: "labels" type: "Input" top: "label" input_param { shape { dim: 4 } } }
"""
FILLERS = """weight_filler { type: "gaussian" std: 0.2 } bias_filler { type: "uniform" }"""
END = f"""
layer {{ name: "fc" type: "InnerProduct" bottom: "last" top: "fc"
  inner_product_param {{ num_output: 5 {FILLERS} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }}
"""


def conv(name, bottom, top, outputs=32, extra="kernel_size: 3 pad: 1"):
    return f"""layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{top}"
      convolution_param {{ num_output: {outputs} {extra} {FILLERS} }} }}"""


def layer(kind, name, bottoms, top, extra=""):
    bottoms = " ".join(f'bottom: "{b}"' for b in bottoms.split())
    return f'layer {{ name: "{name}" type: "{kind}" {bottoms} top: "{top}" {extra} }}'


SCALE = """scale_param { bias_term: true filler { type: "uniform" min: 0.5 max: 1.5 }
  bias_filler { type: "uniform" } }"""
POOL = "pooling_param { kernel_size: 3 stride: 2 }"
NETS = {
    "like AlexNet": [
        conv("c1", "data", "c1"),
        layer("ReLU", "r1", "c1", "c1"),
        layer("LRN", "n1", "c1", "n1", "lrn_param { alpha: 0.5 }"),
        layer("Pooling", "p1", "n1", "p1", POOL),
        conv("c2", "p1", "c2", 32, "kernel_size: 3 group: 2"),
        layer("ReLU", "r2", "c2", "c2"),
        layer("Pooling", "p2", "c2", "last", POOL),
    ],
    "few channels": [
        conv("c1", "data", "c1", 20),
        layer("Pooling", "p1", "c1", "p1", POOL),
        conv("c2", "p1", "last", 50),
    ],
    "residual": [
        conv("c1", "data", "c1"),
        conv("c2", "c1", "c2"),
        layer("BatchNorm", "b2", "c2", "b2"),
        layer("ReLU", "r2", "b2", "b2"),
        layer("Eltwise", "sum", "b2 c1", "sum"),
        layer("ReLU", "r3", "sum", "last"),
    ],
    "normalised": [
        conv("c1", "data", "c1").replace("pad: 1", "pad: 1 bias_term: false"),
        layer("BatchNorm", "b1", "c1", "c1"),
        layer("Scale", "s1", "c1", "c1", SCALE),
        layer("ReLU", "r1", "c1", "c1"),
        conv("c2", "c1", "c2").replace("pad: 1", "pad: 1 bias_term: false"),
        layer("BatchNorm", "b2", "c2", "c2"),
        layer("Scale", "s2", "c2", "c2", SCALE),
        layer("Eltwise", "sum", "c1 c2", "sum"),
        layer("ReLU", "r3", "sum", "last"),
    ],
    # In place on what needs no gradient: there is one of the top all the same.
    "in place at the input": [
        layer("BatchNorm", "b", "data", "n"),
        layer("Scale", "s", "n", "n", SCALE),
        layer("Power", "p", "n", "p", "power_param { power: 2 }"),
        layer("PReLU", "r", "p", "p", "prelu_param { filler { value: 0.3 } }"),
        layer("Bias", "o", "p", "p", "bias_param { filler { value: 0.3 } }"),
        conv("c1", "p", "last"),
    ],
    "branches": [
        conv("c1", "data", "c1"),
        conv("a", "c1", "a", 16),
        layer("ReLU", "ra", "a", "a"),
        conv("b", "c1", "b", 48, "kernel_size: 1"),
        layer("Pooling", "p", "c1", "p", "pooling_param { kernel_size: 3 stride: 1 pad: 1 }"),
        layer("Concat", "cat", "a b p", "last"),
    ],
    "array code between": [
        conv("c1", "data", "c1"),
        layer("Power", "square", "c1", "sq", "power_param { power: 2 scale: 0.5 }"),
        conv("c2", "sq", "c2"),
        layer("Dropout", "drop", "c2", "c2"),
        conv("c3", "c2", "c3"),
        layer("Sigmoid", "sig", "c3", "last"),
    ],
    "shared weights": [
        conv("c1", "data", "c1").replace(
            "convolution_param", 'param { name: "w" } convolution_param'
        ),
        layer(
            "Slice",
            "cut",
            "c1",
            "s1",
            'top: "s2" top: "s3" slice_param { slice_point: 3 slice_point: 9 }',
        ),
        conv("c2", "s1", "last").replace(
            "convolution_param", 'param { name: "w" } convolution_param'
        ),
        layer("Silence", "shh", "s2 s3", "").replace('top: "" ', ""),
    ],
    "flattened": [
        conv("c1", "data", "c1"),
        layer("Flatten", "flat", "c1", "flat"),
        layer("ReLU", "r", "flat", "last"),
    ],
    "deconvolution": [
        conv("c1", "data", "c1", 16, "kernel_size: 3 stride: 2"),
        conv("up", "c1", "up", 16, "kernel_size: 4 stride: 2").replace(
            "Convolution", "Deconvolution"
        ),
        layer("TanH", "t", "up", "last"),
    ],
}


def text(name):
    return "\n".join([INPUT, *NETS[name], END])


def make(name, phase=TRAIN, **given):
    net = Net(text(name), phase, seed=3, **given)
    feed(net)
    return net


PLAIN = {"engine": "numpy", "device": "cpu"}


def feed(net, seed=5):
    random = np.random.default_rng(seed)
    net.blobs["data"].data[...] = random.standard_normal(net.blobs["data"].shape)
    net.blobs["label"].data[...] = random.integers(0, 5, net.blobs["label"].shape)


def close(a, b, least=1e-3):
    scale = max(least, float(np.abs(b).max()))
    np.testing.assert_allclose(a / scale, b / scale, atol=2e-5)


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_losses_and_gradients_are_those_of_array_code(name, share):
    ours, plain = make(name, share=share), make(name, **PLAIN)
    for seed in (5, 6):
        for net in (ours, plain):
            feed(net, seed)
            net.clear_param_diffs()
            net.forward_pass()
            net.backward_pass()
        assert ours.loss == pytest.approx(plain.loss, rel=1e-5)
        for mine, theirs in zip(ours.params.values(), plain.params.values(), strict=True):
            # The gradient of a bias below a BatchNorm is 0 but for rounding.
            largest = max(1e-3, *(float(np.abs(p.read("diff")).max()) for p in theirs))
            for m, t in zip(mine, theirs, strict=True):
                close(m.read("diff"), t.read("diff"), largest)


@pytest.mark.parametrize("name", NETS)
def test_every_blob_and_its_gradient_can_be_read(name):
    ours, plain = make(name), make(name, **PLAIN)
    for net in (ours, plain):
        net.forward_pass()
        net.backward_pass()
    for blob in plain.blobs:
        close(ours.blobs[blob].data, plain.blobs[blob].data)
        close(ours.blobs[blob].diff, plain.blobs[blob].diff)


@pytest.mark.parametrize("name", NETS)
def test_one_forward_in_test_phase_with_shared_memory(name):
    ours, plain = make(name, phase=TEST, share=True), make(name, TEST, **PLAIN)
    assert ours.forward_pass() == pytest.approx(plain.forward_pass(), rel=1e-5)
    assert ours.schedule.memory.total < sum(s.nbytes for s in ours.schedule.spans)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("share", [False, True])
def test_the_same_seed_gives_the_same_bits(name, share):
    def steps():
        solver = train(name, share=share)
        solver.step(3)
        return [p.read() for p in solver.net.learnable]

    for first, second in zip(steps(), steps(), strict=True):
        np.testing.assert_array_equal(first, second)


def train(name, fields="", **given):
    param = prototxt.read_solver(
        'base_lr: 0.01 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.01 max_iter: 100 '
        f"random_seed: 4 snapshot_after_train: false {fields}"
    )
    param.net_param.CopyFrom(prototxt.read_net(text(name)))
    param.net_param.state.phase = schema.TRAIN
    solver = get_solver(param, **given)
    for net in solver.nets:
        feed(net)
    return solver


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("fields", ["", "iter_size: 2 clip_gradients: 1"])
def test_training_follows_array_code(name, fields):
    solvers = train(name, fields, share=True), train(name, fields, **PLAIN)
    for _ in range(4):
        for solver in solvers:
            solver.step(1)
    ours, plain = ([p.read() for p in s.net.learnable] for s in solvers)
    for mine, theirs in zip(ours, plain, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=2e-5 * np.abs(theirs).max())


# ---------------------------------------------------------------------- what users hold


def test_a_blob_that_is_held_stays_live():
    net, plain = make("like AlexNet"), make("like AlexNet", **PLAIN)
    net.forward_pass()
    held = net.blobs["n1"].data
    for n in (net, plain):
        feed(n, 9)
        n.forward_pass()
    close(held, plain.blobs["n1"].data)
    net.forward_pass()
    assert net.blobs["n1"].data is held or np.shares_memory(net.blobs["n1"].data, held)


def test_what_is_written_to_a_blob_reaches_the_layers_above():
    net, plain = make("like AlexNet"), make("like AlexNet", **PLAIN)
    for n in (net, plain):
        n.forward_pass()
        n.blobs["p1"].data[...] *= -2
        n.forward(start="c2")
    assert net.loss == pytest.approx(plain.loss, rel=1e-5)


def test_a_copy_that_a_skipped_layer_made_is_made_again():
    net, plain = make("branches"), make("branches", **PLAIN)
    for n in (net, plain):
        n.forward_pass()
        n.blobs["c1"].data[...] *= 2
        n.forward(start="b")
    assert net.loss == pytest.approx(plain.loss, rel=1e-5)


def test_forward_up_to_a_layer_gives_its_own_top_though_a_relu_follows():
    net, plain = make("like AlexNet"), make("like AlexNet", **PLAIN)
    out, expected = net.forward(end="c1"), plain.forward(end="c1")
    assert (expected["c1"] < 0).any()
    close(out["c1"], expected["c1"])
    for n in (net, plain):
        n.blobs["c1"].data[...] = -1
        n.forward(start="r1")
    assert not net.blobs["c1"].data.any()


def test_a_weight_that_is_written_counts_in_the_next_pass():
    net, plain = make("like AlexNet"), make("like AlexNet", **PLAIN)
    for n in (net, plain):
        n.forward_pass()
        n.params["c2"][0].data[1] = 0.25
        n.forward_pass()
    assert net.loss == pytest.approx(plain.loss, rel=1e-5)


def test_a_weight_that_is_held_follows_training_and_training_follows_it():
    solver, plain = train("like AlexNet"), train("like AlexNet", **PLAIN)
    held = [s.net.params["c2"][0].data for s in (solver, plain)]
    for _ in range(2):
        for s, w in zip((solver, plain), held, strict=True):
            s.step(1)
            w *= 0.5
    close(held[0], held[1])
    solver.step(1)
    assert np.shares_memory(solver.net.params["c2"][0].data, held[0])
    del held
    solver.step(1)
    if solver.net.device.kind == "cpu":  # on a GPU it is plain as ever
        assert solver.net.params["c2"][0].values.memory.layout is not None


def test_gradients_that_are_held_are_live_too():
    solver, plain = train("like AlexNet"), train("like AlexNet", **PLAIN)
    solver.step(1)
    held = solver.net.params["c2"][0].diff
    solver.step(1)
    plain.step(2)
    close(held, plain.net.params["c2"][0].diff)


ARRAYS = {
    "data of a blob": lambda net: net.blobs["p1"].data,
    "gradient of a blob": lambda net: net.blobs["p1"].diff,
    "a weight": lambda net: net.params["c2"][0].data,
    "gradient of a weight": lambda net: net.params["c2"][0].diff,
    "blob of a layer": lambda net: net.layers[net.layer_names.index("c2")].params[0].data,
    "a view that is let go": lambda net: net.blobs["n1"].data[0].sum(),
}


@pytest.mark.parametrize("find", ARRAYS.values(), ids=ARRAYS)
def test_an_array_taken_between_forward_and_backward_changes_no_gradient(find):
    net, plain = make("like AlexNet"), make("like AlexNet", **PLAIN)
    held = []
    for n in (net, plain):
        n.forward_pass()
        held.append(find(n))
        n.backward_pass()
    close(*held)
    for mine, theirs in zip(net.learnable, plain.learnable, strict=True):
        close(mine.read("diff"), theirs.read("diff"))


@pytest.mark.parametrize("by_array", [True, False])
@pytest.mark.parametrize("kind", ["ReLU", "BatchNorm", "Scale", "TanH", "Softmax", "Dropout"])
def test_a_gradient_given_for_what_an_in_place_layer_wrote_reaches_the_input(kind, by_array):
    lines = [INPUT, conv("c1", "data", "h", 16), layer(kind, "m", "h", "h"), "force_backward: true"]
    found, gradient = [], np.random.default_rng(2).standard_normal((4, 16, 14, 13))
    for given in ({}, PLAIN):
        net = Net("\n".join(lines), TRAIN, seed=3, **given)
        feed(net)
        net.forward()
        if by_array:
            net.blobs["h"].diff[...] = gradient.astype(np.float32)
            net.backward()
        else:
            net.backward(h=gradient)
        found.append(np.array(net.blobs["data"].read("diff")))
    assert np.abs(found[1]).max() > 0
    close(*found)


def test_a_held_gradient_is_zero_once_cleared_and_what_is_written_then_is_used():
    solver = train("like AlexNet")
    net = solver.net
    net.forward_pass()
    net.backward_pass()
    held, before = net.params["c2"][0].diff, np.array(net.params["c2"][0].data)
    net.clear_param_diffs()
    assert not held.any()
    held[...] = 1
    solver.apply_update()
    decayed = before - 0.01 * (1 + 0.01 * before)
    np.testing.assert_allclose(net.params["c2"][0].data, decayed, rtol=1e-5)


@pytest.mark.parametrize("share", [False, True])
def test_a_reshape_to_the_same_shapes_leaves_a_forward_to_its_backward(share):
    net, plain = make("like AlexNet", share=share), make("like AlexNet", **PLAIN)
    for n in (net, plain):
        n.forward_pass()
        n.blobs["data"].reshape(*n.blobs["data"].shape)
        n.reshape()
        n.backward_pass()
    for mine, theirs in zip(net.learnable, plain.learnable, strict=True):
        close(mine.read("diff"), theirs.read("diff"))


def test_a_callback_sees_each_layers_own_top_and_what_it_writes_counts():
    net, plain = make("like AlexNet"), make("like AlexNet", **PLAIN)
    seen = {net: [], plain: []}
    net.forward_pass()  # by then the ReLU is computed with the convolution
    for n in (net, plain):

        def look(i, n=n):
            if n.layer_names[i] == "c1":
                seen[n].append(np.array(n.blobs["c1"].data))
                n.blobs["c1"].data[:, 3] = 1

        n.after_forward(look)
        n.forward_pass()
    assert (seen[plain][0] < 0).any()
    close(seen[net][0], seen[plain][0])
    close(net.blobs["c1"].data, plain.blobs["c1"].data)
    assert net.loss == pytest.approx(plain.loss, rel=1e-5)


def test_a_pass_in_which_nobody_held_anything_settles_nothing():
    solver = train("like AlexNet", share=True)
    solver.step(2)
    before = Home.changes
    program = run.ready(solver.net.state)
    solver.step(2)
    assert Home.changes == before
    assert run.ready(solver.net.state) is program


def test_nets_that_share_weights_agree_though_their_layouts_differ():
    train_net, test_net = make("few channels"), make("few channels", phase=TEST)
    test_net.share_with(train_net)
    train_net.forward_pass()
    assert test_net.forward_pass() == pytest.approx(train_net.loss, rel=1e-5)
    train_net.params["c1"][0].data[...] *= 1.5
    train_net.forward_pass()
    assert test_net.forward_pass() == pytest.approx(train_net.loss, rel=1e-5)
    for _ in range(2):
        program = run.ready(train_net.state)
        test_net.forward_pass()
        train_net.forward_pass()
        assert run.ready(train_net.state) is program


def test_reshaping_a_net_keeps_its_weights():
    net, plain = make("residual"), make("residual", **PLAIN)
    for n in (net, plain):
        n.forward_pass()
        n.blobs["data"].reshape(2, 3, 14, 13)
        n.blobs["label"].reshape(2)
        n.reshape()
        feed(n)
        n.forward_pass()
    assert net.loss == pytest.approx(plain.loss, rel=1e-5)
    close(net.blobs["last"].data, plain.blobs["last"].data)


@pytest.mark.cpu_only("a forked process cannot use the GPU of its parent")
def test_a_net_goes_on_in_a_forked_process():
    """With threads of an engine that the child does not have; a hang would end by the alarm."""
    net = make("like AlexNet")
    expected = net.forward_pass()
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        good = False
        try:
            good = abs(net.forward_pass() - expected) < 1e-5
        finally:
            os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert net.forward_pass() == expected


# ---------------------------------------------------------------------- shared memory


def test_a_blob_whose_memory_was_used_again_is_refused_by_name():
    net = make("like AlexNet", share=True, phase=TEST)
    net.forward_pass()
    with pytest.raises(UsageError, match=r"blob 'c1' is gone(.|\n)*keep=\['c1'\]"):
        print(net.blobs["c1"].data)


def test_a_blob_that_is_kept_can_be_read():
    net = make("like AlexNet", share=True, phase=TEST, keep=["c1"])
    plain = make("like AlexNet", TEST, **PLAIN)
    net.forward_pass()
    plain.forward_pass()
    close(net.blobs["c1"].data, plain.blobs["c1"].data)


def test_shared_memory_runs_whole_passes_only_and_tests_have_no_gradients():
    net = make("like AlexNet", share=True, phase=TEST)
    net.forward_pass()
    with pytest.raises(UsageError, match=r"cannot start at layer 'c2'(.|\n)*without share"):
        net.forward(start="c2")
    with pytest.raises(UsageError, match=r"forward only(.|\n)*without share"):
        net.backward()


def test_training_with_shared_memory_takes_less():
    free, shared = make("like AlexNet"), make("like AlexNet", share=True)
    assert shared.schedule.memory.total < sum(s.nbytes for s in shared.schedule.spans)
    free.forward_pass()
    shared.forward_pass()
    assert free.loss == shared.loss


# ---------------------------------------------------------------------- what is said


def test_every_plan_is_said_once(caplog, place):
    with caplog.at_level(logging.INFO, "minidl"):
        net = make("array code between")
        net.forward_pass()
        net.forward_pass()
    lines = [m for m in caplog.messages if re.match(r"\w+: (onednn|cupy|cudnn) ", m)]
    said = [line.split(":")[0] for line in lines]
    assert said == [step.node.name for step in net.schedule.steps if step.plan is not None]
    if place != "cuda:0/numpy":
        assert {"c1", "c2", "c3", "sig"} <= set(said) and lines[0].endswith("B")


def test_float64_is_computed_by_array_code():
    net = make("like AlexNet", engine="auto", dtype=np.float64)
    net.forward_pass()
    assert all(step.plan is None for step in net.schedule.steps)
