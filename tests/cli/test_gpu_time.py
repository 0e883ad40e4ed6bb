"""minidl time on a GPU: the fake one, whose clock is the host's."""

import json
import re

import pytest

from minidl.cli import gpu_floors, gpu_time, main
from minidl.layers.inner_product import InnerProduct
from minidl.net import Net


@pytest.fixture(autouse=True)
def small_measurements(monkeypatch, gpu):
    monkeypatch.setattr(gpu_floors, "PRODUCTS", (16,))
    monkeypatch.setattr(gpu_floors, "SIZES", (1 << 10, 1 << 12))
    monkeypatch.setattr(gpu_floors, "ENOUGH", 1e-6)


def timed(capsys, *words):
    assert main(["time", "net.prototxt", "-gpu", "0", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_layer_has_its_times_and_its_floor(run_folder, capsys):
    result = timed(capsys, "-iterations", "3", "-minloglevel", "1")
    layers = {layer["name"]: layer for layer in result["layers"]}
    assert list(layers) == ["digits", "flat", "ip1", "relu1", "drop1", "ip2", "loss"]
    assert (result["device"], result["gpu"], result["math"]) == ("cuda:0", "Fake GPU", "float32")
    assert layers["ip2"]["forward_ms"] > 0 and layers["ip2"]["backward_ms"] > 0
    assert layers["ip2"]["floor_ms"] > 0 and layers["ip2"]["engine"] == "cupy"
    assert result["floor_ms"] == pytest.approx(sum(each["floor_ms"] for each in layers.values()))
    assert 1 <= len(result["worst"]) <= 3


def test_whole_iterations_are_timed_as_a_solver_runs_them(run_folder, capsys):
    result = timed(capsys, "-iterations", "3", "-minloglevel", "1")
    assert result["graph"] is True and result["graph_off"] == ""
    assert result["iteration_median_ms"] > 0
    over = result["iteration_median_ms"] / result["floor_ms"]
    assert result["iteration_x_floor"] == pytest.approx(over)


def test_why_there_was_no_graph_is_said(run_folder, capsys, monkeypatch):
    monkeypatch.setenv("MINIDL_CUDA_GRAPHS", "0")
    assert main(["time", "net.prototxt", "-gpu", "0", "-iterations", "2"]) == 0
    out = capsys.readouterr().out
    assert "as a solver runs it, no CUDA graph (MINIDL_CUDA_GRAPHS is 0): " in out
    assert re.search(r"floors: .*; float32 on Fake GPU\n", out)


def test_nothing_waits_between_the_layers(run_folder, gpu, monkeypatch):
    """Not even for the loss; a data set that is read may copy its batch."""
    net = Net("net.prototxt", "TRAIN", device="cuda:0", share=True)
    with net:
        net.forward_pass()
        net.backward_pass()
        layers = gpu_time._Layers(net)
        layers.run()
        with gpu.strict(transfers=False):
            layers.run()
        found = layers.read()
    assert len(found.both) == 2 and len(found.forward[2]) == len(found.backward[2]) == 2
    assert not net.before_forward and not net.after_backward


def test_a_layers_time_is_its_own(run_folder, monkeypatch):
    """Between its two points in the stream lies what it launched."""
    net = Net("net.prototxt", "TRAIN", device="cuda:0", share=True, engine="numpy")
    marked, original = [], gpu_time.Marks.now
    monkeypatch.setattr(gpu_time.Marks, "now", lambda self: marked.append("mark") or original(self))
    forward = InnerProduct.forward
    monkeypatch.setattr(
        InnerProduct, "forward", lambda *args: marked.append("ip") or forward(*args)
    )
    with net:
        layers = gpu_time._Layers(net)
        layers.run()
    count = len(net.layers)
    # a point before the pass; two a layer; ip1 and ip2 are layers 2 and 5
    assert [i for i, what in enumerate(marked) if what == "ip"] == [1 + 2 * 2 + 1, 1 + 2 * 5 + 2]
    assert marked.count("mark") == 3 + 2 * count + 2 * sum(
        node.needs_backward for node in net.blueprint.nodes
    )


def test_the_device_has_other_work_while_a_pass_is_launched(run_folder, gpu, monkeypatch):
    monkeypatch.setattr(gpu_floors, "seconds", lambda device, run: 1e-4)
    net = Net("net.prototxt", "TRAIN", device="cuda:0", share=True)
    with net:
        lead = gpu_time._Lead(net)
        assert lead._count >= 1
        before = gpu.launches + gpu.d2d
        lead()
    assert gpu.launches + gpu.d2d - before == lead._count
