"""Nets on GPUs, on several, and beside nets on the CPU.

That a net on a GPU computes what the same net computes on the CPU is tested where its parts are:
tests/net/test_program.py, tests/net/test_net.py and tests/solver run on both.
"""

import gc
import re

import numpy as np
import pytest

from minidl import TEST, TRAIN, Net, set_device
from minidl.arrays.device import Device
from minidl.errors import DeviceError, WeightsError
from minidl.net import run
from tests import fakegpu
from tests.data.support import image_lmdb, random_images
from tests.fakegpu import cudnn as fake_cudnn
from tests.net.test_program import END, PLAIN, close, conv, feed, make, text, train
from tests.places import on
from tests.solver.test_on_gpu import solver, weights

GPU = "cuda:0"


@pytest.fixture
def two(monkeypatch):
    """A machine with two GPUs."""
    machine = fakegpu.install(monkeypatch, devices=2)
    with machine.lenient_tests():
        yield machine
    machine.check()


@pytest.fixture
def lenient(gpu):
    """A machine with one, whose arrays tests may touch."""
    with gpu.lenient_tests():
        yield gpu


def passes(*nets, times=1):
    for net in nets:
        for _ in range(times):
            net.clear_param_diffs()
            net.forward_pass()
            net.backward_pass()


def same(one, other):
    for mine, theirs in zip(one.learnable, other.learnable, strict=True):
        close(one.device.to_host(mine.read()), other.device.to_host(theirs.read()))
        close(one.device.to_host(mine.read("diff")), other.device.to_host(theirs.read("diff")))


# ---------------------------------------------------------------------- several devices


def test_two_gpus_and_the_cpu_compute_side_by_side_in_one_process(two):
    nets = [make("like AlexNet", device=name) for name in ("cpu", "cuda:0", "cuda:1", "cuda:1")]
    passes(*nets)
    passes(*reversed(nets))
    for net in nets[1:]:
        assert net.loss == pytest.approx(nets[0].loss, rel=1e-5)
        same(net, nets[0])
        assert net.blobs["p1"].data.device == Device(net.device.name).xp.cuda.Device(
            net.device.index
        )


def test_two_gpus_train_in_turn_as_each_would_alone(two):
    both, alone = [train("few channels", device=f"cuda:{i}") for i in (0, 1)], train("few channels")
    for _ in range(3):
        for s in (*both, alone):
            s.step(1)
    for s in both:
        same(s.net, alone.net)


def test_parameters_move_between_devices_through_a_file_and_by_hand(two, tmp_path):
    nets = [make("residual", device=name) for name in ("cuda:1", "cpu", "cuda:0")]
    passes(nets[0], times=2)  # moves the statistics of the BatchNorm, too
    for param in nets[0].learnable:
        param.data[...] *= 1.5
    for i, (source, target) in enumerate(zip(nets, nets[1:], strict=False)):
        source.save(tmp_path / f"{i}.caffemodel")
        target.copy_from(tmp_path / f"{i}.caffemodel")
    for net in nets[1:]:
        for mine, theirs in zip(net.learnable, nets[0].learnable, strict=True):
            np.testing.assert_array_equal(mine.data, theirs.data)
    other = make("residual", device="cuda:1")
    for mine, theirs in zip(other.learnable, nets[2].learnable, strict=True):
        mine.data = nets[2].device.to_host(theirs.data)
        np.testing.assert_array_equal(mine.data, theirs.data)


def test_nets_on_different_devices_share_no_parameters(two):
    with pytest.raises(WeightsError, match="is on cuda:1(.|\n)*cuda:0, as the net it shares"):
        make("few channels", device="cuda:1").share_with(make("few channels", device="cuda:0"))


def test_the_default_device_is_that_of_new_nets_only(two):
    before = make("few channels")
    try:
        set_device("cuda:1")
        assert (make("few channels").device.name, before.device.name) == ("cuda:1", "cpu")
        assert make("few channels", device="cpu").device.name == "cpu"
    finally:
        set_device("cpu")


def test_arrays_of_one_gpu_are_not_read_on_another(two):
    net = make("few channels", device="cuda:1")
    with Device("cuda:0").current():  # a program's own; passes choose theirs
        passes(net)
    assert net.loss == pytest.approx(make("few channels", **PLAIN).forward_pass(), rel=1e-5)


# ---------------------------------------------------------------------- data in and out


def test_inputs_come_from_the_host_or_from_the_device(lenient):
    net, data = make("few channels", TEST, device=GPU), np.float32(np.ones((4, 3, 14, 13)))
    first = net.forward(data=data, label=np.zeros(4))["loss"].copy()
    there = Device(GPU).xp.full(data.shape, 1, np.float32)
    out = net.forward(data=there, label=Device(GPU).xp.zeros(4, np.int64))
    assert isinstance(out["loss"], Device(GPU).xp.ndarray) and out["loss"] == first
    assert net.forward(data=data[:2], label=[0, 0])["loss"] == pytest.approx(first, rel=1e-6)


def test_a_device_array_is_taken_without_a_way_over_the_host(lenient):
    net = make("few channels", TEST, device=GPU)
    there = Device(GPU).zeros((4, 3, 14, 13), np.float32)
    net.forward(data=there)
    with lenient.strict(allocations=False):
        net.forward(data=there)


def test_a_net_that_is_reshaped_there_and_back_is_as_before(lenient):
    net, plain = make("branches", device=GPU), make("branches", **PLAIN)
    for count in (4, 2, 7, 4):
        for n in (net, plain):
            n.blobs["data"].reshape(count, 3, 14, 13)
            n.blobs["label"].reshape(count)
            n.reshape()
            feed(n)
        passes(net, plain)
        same(net, plain)


def test_a_graph_of_old_shapes_is_not_launched_again(lenient):
    net, plain = make("few channels", device=GPU), make("few channels", **PLAIN)
    for count in (4, 4, 4, 2, 2, 2):
        for n in (net, plain):
            n.blobs["data"].reshape(count, 3, 14, 13)
            n.blobs["label"].reshape(count)
            feed(n, seed=count)
            n.clear_param_diffs()
        expected = plain.forward_pass()
        plain.backward_pass()
        assert float(net.training_pass()) == pytest.approx(expected, rel=1e-5)
        same(net, plain)
    assert lenient.graphs > 0


# ---------------------------------------------------------------------- what a step does


@pytest.mark.parametrize("engine", ["auto", "numpy", "cudnn"])
@pytest.mark.parametrize("name", ["like AlexNet", "residual", "branches", "deconvolution"])
def test_later_passes_only_launch(gpu, name, engine, monkeypatch):
    """Forward and backward neither wait nor copy between host and device nor allocate."""
    cudnn = fake_cudnn.install(monkeypatch, gpu) if engine == "cudnn" else None
    with gpu.lenient_tests():
        net = make(name, device=GPU, engine=engine)
    for _ in range(3):
        net.clear_param_diffs()
        net.training_pass()
    with gpu.strict():
        net.clear_param_diffs()
        net.training_pass()
        run.forward(net.state, 0, len(net.layers) - 1)  # forward_pass without a look at the loss
        net.backward_pass()
    if cudnn is not None:
        cudnn.close()


def test_a_step_on_a_data_set_copies_its_batch_and_waits_for_nothing(gpu, tmp_path):
    folder = image_lmdb(tmp_path / "db", random_images(5))
    source = f"""layer {{ name: "data" type: "Data" top: "data" top: "label"
      transform_param {{ mirror: true crop_size: 3 }}
      data_param {{ source: "{folder}" batch_size: 4 backend: LMDB }} }}"""
    gpu.lazy = True
    net, plain = (
        Net(source + conv("c1", "data", "last") + END, TRAIN, seed=3, **place)
        for place in ({"device": GPU}, PLAIN)
    )
    for _ in range(3):
        net.training_pass()
        plain.forward_pass()
    gpu.reset()
    with gpu.strict(transfers=False):
        for _ in range(4):
            net.training_pass()
            plain.forward_pass()
    # Images and labels of four batches, one more or less: a batch is copied ahead if the thread
    # that makes it was quick enough.
    assert gpu.h2d in (3 * 2, 4 * 2, 5 * 2) and gpu.d2h == 0
    assert net.loss == pytest.approx(plain.loss, rel=1e-5)
    for n in (net, plain):
        n.close()


def test_graphs_are_made_and_can_be_switched_off(gpu, monkeypatch):
    kept = solver(GPU, iter_size=2)
    kept.step(4)
    assert gpu.graphs > 0 and not kept.net.graph_off
    before = gpu.graphs
    monkeypatch.setenv("MINIDL_CUDA_GRAPHS", "0")
    without = solver(GPU, iter_size=2)
    without.step(4)
    assert gpu.graphs == before and without.net.graph_off == "MINIDL_CUDA_GRAPHS is 0"
    for mine, theirs in zip(weights(without), weights(kept), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_test_net_follows_the_training_net_on_the_gpu(lenient):
    trained = train("residual", device=GPU)
    test = Net(text("residual"), TEST, device=GPU)
    test.share_with(trained.net)
    plain = Net(text("residual"), TEST, **PLAIN)
    for _ in range(3):
        trained.step(1)
        for name, params in trained.net.params.items():
            for mine, theirs in zip(params, plain.params[name], strict=True):
                theirs.values.write(trained.net.device.to_host(mine.read()))
        for net in (test, plain):
            feed(net, 8)
        assert test.forward_pass() == pytest.approx(plain.forward_pass(), rel=1e-5)


# ---------------------------------------------------------------------- number types


@pytest.mark.parametrize("math, tolerance", [("tf32", 1e-2), ("fp16", 1e-2), ("bf16", 6e-2)])
@pytest.mark.parametrize("name", ["like AlexNet", "residual"])
@on("cuda:0", "cuda:0/cudnn")
def test_training_with_rounded_numbers_stays_near(name, math, tolerance):
    ours, plain = train(name, math=math), train(name, **PLAIN)
    losses = []
    for _ in range(3):
        for s in (ours, plain):
            s.step(1)
        losses.append((ours.loss.value, plain.loss.value))
    assert losses[0][0] == pytest.approx(losses[0][1], rel=tolerance)
    assert losses[2][0] == pytest.approx(losses[2][1], rel=0.15) and losses[2][0] != losses[2][1]
    assert all(p.read().dtype == np.float32 for p in ours.net.learnable)


@pytest.mark.parametrize(
    "engine, said",
    [
        ("auto", []),
        ("numpy", []),
        *(
            (name, [f"engine {name} applies to float32 nets: a float64 net runs in array code"])
            for name in ("cupy", "cudnn")
        ),
    ],
)
def test_float64_is_computed_by_array_code_and_a_named_engine_says_so(
    lenient, engine, said, monkeypatch, caplog
):
    cudnn = fake_cudnn.install(monkeypatch, lenient)
    net = make("like AlexNet", device=GPU, engine=engine, dtype=np.float64)
    plain = make("like AlexNet", dtype=np.float64, **PLAIN)
    passes(net, plain)
    assert net.loss == pytest.approx(plain.loss, rel=1e-12)
    assert net.params["c1"][0].diff.dtype == np.float64
    assert all(step.plan is None for step in net.schedule.steps)
    assert [m.partition(";")[0] for m in caplog.messages if "float64" in m] == said
    cudnn.close()


# ---------------------------------------------------------------------- snapshots


@pytest.mark.parametrize("ways", [("cpu", GPU), (GPU, "cpu")], ids=" to ".join)
def test_a_run_goes_on_from_a_snapshot_of_another_device(gpu, tmp_path, ways):
    fields = {"snapshot_prefix": str(tmp_path / "run"), "max_iter": 6, "average_loss": 3}
    whole, first, second = (solver(d, **fields) for d in (ways[1], *ways))
    whole.step(6)
    first.step(3)
    _, state = first.snapshot()
    second.restore(state)
    second.step(3)
    assert second.loss.value == pytest.approx(whole.loss.value, rel=1e-5)
    for mine, theirs in zip(weights(second), weights(whole), strict=True):
        close(mine, theirs)
    histories = zip(second.updater.history, whole.updater.history, strict=True)
    for mine, theirs in histories:
        close(second.net.device.to_host(mine), whole.net.device.to_host(theirs))


# ---------------------------------------------------------------------- memory


def test_a_gpu_without_room_is_refused_with_the_batch_that_would_fit(gpu):
    text = """layer { name: "in" type: "Input" top: "x"
      input_param { shape { dim: 64 dim: 3 dim: 64 dim: 64 } } }
    layer { name: "relu" type: "ReLU" bottom: "x" top: "y" }"""
    gpu.total = 2 << 20
    net = Net(text, device=GPU)
    with pytest.raises(DeviceError) as refused:
        net.forward()
    assert "needs" in str(refused.value) and "at a batch of 64" in str(refused.value)
    fits = int(re.search(r"batch_size of (\d+) would fit", str(refused.value))[1])
    for batch, works in ((fits, True), (fits + 2, False)):
        small = Net(text.replace("dim: 64 dim: 3", f"dim: {batch} dim: 3"), device=GPU)
        if works:
            small.forward()
        else:
            with pytest.raises(DeviceError):
                small.forward()


def test_nets_that_are_gone_leave_no_memory_behind(gpu):
    def train_one():
        trained = solver(GPU, clip_gradients=1.0)
        trained.step(3)
        del trained
        gc.collect()  # a net and what runs it know one another

    train_one()
    before = gpu.live[0]
    for _ in range(3):
        train_one()
    assert gpu.live[0] == before


def test_phases_are_those_of_the_cpu(lenient):
    net = make("array code between", TRAIN, device=GPU)
    plain = make("array code between", TRAIN, **PLAIN)
    passes(net, plain)
    np.testing.assert_array_equal(net.blobs["c2"].data == 0, plain.blobs["c2"].data == 0)
