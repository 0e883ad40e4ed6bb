"""--engine and its like on whole runs: what they say, and that all of them learn the same."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from minidl.cli import main, parser_for
from minidl.cli.train import resume
from tests.support import ROOT, need_onednn

DIGITS = "zoo/lenet/digits_solver.prototxt"
PASSES = ["--set", "max_iter=60", "--set", "test_interval=60", "--threads", "1"]


def train(folder: Path, *words: str, **variables: str) -> str:
    """The log of `minidl train` in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    done = subprocess.run(
        [sys.executable, "-m", "minidl", "train", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def accuracy(log: str) -> float:
    """The last one."""
    return float(re.findall(r"Test net output #0: accuracy = ([\d.]+)", log)[-1])


def computed(log: str) -> dict[str, str]:
    """{layer: who computes it} as the log says."""
    return dict(re.findall(r"\] (\w+): ((?:onednn|array code).*)", log))


# ------------------------------------------------------------------ learning


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A folder with the zoo and the digits."""
    pytest.importorskip("sklearn", reason="the digits come with scikit-learn")
    folder = tmp_path_factory.mktemp("digits")
    (folder / "zoo").symlink_to(ROOT / "zoo")
    before = os.getcwd()
    os.chdir(folder)
    try:
        assert main(["dataset", "digits", "-minloglevel", "3"]) == 0
    finally:
        os.chdir(before)
    return folder


def test_array_code_and_engine_train_lenet_to_the_same_accuracy(digits):
    need_onednn()
    logs = {name: train(digits, DIGITS, *PASSES, "--engine", name) for name in ("numpy", "onednn")}
    found = {name: accuracy(log) for name, log in logs.items()}
    assert min(found.values()) > 0.93
    # Both draw the same weights and batches; what rounding changes is a digit or two of 360.
    assert abs(found["numpy"] - found["onednn"]) <= 0.01
    assert computed(logs["numpy"]) == {}
    said = computed(logs["onednn"])
    for layer in ("conv1", "pool1", "conv2", "pool2"):
        assert re.fullmatch(r"onednn \S+( \S+)?, [\d.]+ ([KM]i)?B", said[layer]), said[layer]


def test_a_narrower_chip_learns_as_well(run_folder):
    """As on a machine without AVX-512."""
    need_onednn()
    write_conv_net(run_folder)
    wide = train(run_folder, "solver.prototxt")
    narrow = train(run_folder, "solver.prototxt", ONEDNN_MAX_CPU_ISA="AVX2")
    said = computed(narrow)
    assert said["conv"].startswith("onednn") and "avx512" not in " ".join(said.values())
    assert last_loss(narrow) == pytest.approx(last_loss(wide), rel=0.01)


def test_a_machine_without_the_library_learns_with_array_code(run_folder):
    write_conv_net(run_folder)
    log = train(run_folder, "solver.prototxt", MINIDL_DNNL_LIB="/nowhere/libdnnl.so.3")
    why = "oneDNN is not available, array code computes: MINIDL_DNNL_LIB is /nowhere/libdnnl.so.3"
    assert log.count(why) == 1
    assert computed(log) == {}
    assert last_loss(log) < 1.2


def last_loss(log: str) -> float:
    return float(re.findall(r"Iteration \d+, loss = ([\d.]+)", log)[-1])


def write_conv_net(folder: Path) -> None:
    """Let the run's net begin with a convolution."""
    file = folder / "net.prototxt"
    conv = """layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
      convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
    layer { name: "flat" type: "Flatten" bottom: "conv" """
    file.write_text(
        file.read_text().replace('layer { name: "flat" type: "Flatten" bottom: "data" ', conv)
    )


# ------------------------------------------------------------------ saying


def test_an_engine_that_is_named_and_not_there_is_refused(run_folder, capsys, monkeypatch):
    from minidl.engines.onednn import OneDNN
    from minidl.engines.request import Declined

    monkeypatch.setattr(OneDNN, "load", lambda device: Declined("it is not installed"))
    for command in (["train", "solver.prototxt"], ["time", "net.prototxt"]):
        assert main([*command, "--engine", "onednn", "-minloglevel", "2"]) == 2
        assert "engine onednn is not available: it is not installed" in capsys.readouterr().err


def test_why_array_code_runs_is_said_once_for_each_layer(run_folder, capsys):
    need_onednn()
    words = ["train", "solver.prototxt", "--engine", "onednn", "--algorithm", "winograd"]
    assert main(words) == 0
    said = computed(capsys.readouterr().err)
    assert re.fullmatch(r"array code \(onednn .+: not winograd\)", said["ip1"])


def test_the_command_to_go_on_asks_for_the_same_engines():
    words = ["solver.prototxt", "--engine", "numpy", "--workspace-limit", "8MB"]
    again = shlex.split(resume.command(parser_for("train").read(words), "x.solverstate"))
    assert again[-4:] == ["--engine", "numpy", "--workspace-limit", "8000000"]


def test_weights_score_alike_with_and_without_an_engine(run_folder, capsys):
    need_onednn()
    assert main(["train", "solver.prototxt", "-minloglevel", "2"]) == 0
    capsys.readouterr()
    words = ["test", "net.prototxt", "-weights", "run/tiny_iter_20.caffemodel"]
    found = []
    for engine in ("numpy", "onednn"):
        options = ["-iterations", "3", "--engine", engine, "--json", "-minloglevel", "2"]
        assert main([*words, *options]) == 0
        found.append(json.loads(capsys.readouterr().out)["outputs"])
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_debug_info_may_look_inside_a_net_that_shares_memory(run_folder, capsys):
    assert main(["train", "solver.prototxt", "--set", "debug_info=true"]) == 0
    log = capsys.readouterr().err
    for what in ("Layer ip1, top blob ip1 data", "Layer ip2, bottom blob ip1 diff"):
        values = re.findall(rf"{what}: ([\d.e-]+)", log)
        assert len(values) >= 4 and min(map(float, values)) > 0
