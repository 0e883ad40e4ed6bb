"""minidl time on a GPU: the fake one, whose clock is the host's."""

import json
import re

import pytest

from minidl.cli import main
from minidl.profile import gpu_clock, gpu_floors


@pytest.fixture(autouse=True)
def small_measurements(monkeypatch, gpu):
    monkeypatch.setattr(gpu_floors, "PRODUCTS", (16,))
    monkeypatch.setattr(gpu_floors, "SIZES", (1 << 10, 1 << 12))
    monkeypatch.setattr(gpu_clock, "ENOUGH", 1e-6)


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
