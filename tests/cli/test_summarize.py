"""minidl summarize: the net as its prototxt has it, with sums by layer type."""

import json

import pytest

from minidl.cli import main
from tests.support import ROOT

LENET = "zoo/lenet/lenet_train_test.prototxt"
BRANCHES = """
name: "branches"
layer { name: "in" type: "Input" top: "x" top: "z"
        input_param { shape { dim: 2 dim: 3 } shape { dim: 2 dim: 3 } } }
layer { name: "a" type: "InnerProduct" bottom: "x" top: "a" param { name: "w" }
        inner_product_param { num_output: 4 bias_term: false } }
layer { name: "b" type: "InnerProduct" bottom: "z" top: "b" param { name: "w" }
        inner_product_param { num_output: 4 bias_term: false } }
layer { name: "relu" type: "ReLU" bottom: "a" top: "a" }
layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "sum" }
layer { name: "p" type: "Softmax" bottom: "sum" top: "prob" }
layer { name: "q" type: "Power" bottom: "sum" top: "rest" }
"""


def summarized(capsys, *words):
    assert main(["summarize", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def branches(tmp_path):
    (tmp_path / "net.prototxt").write_text(BRANCHES)
    return str(tmp_path / "net.prototxt")


def test_lenet_worked_out_by_hand(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    net = summarized(capsys, LENET, "-phase", "TRAIN")
    assert net["batch"] == 64
    assert net["types"]["Convolution"] == {
        "layers": 2,
        "params": 20 * 25 + 20 + 50 * 20 * 25 + 50,
        "multiply_adds": 64 * (20 * 25 * 24 * 24 + 50 * 20 * 25 * 8 * 8),
        "bytes": 4 * 64 * (20 * 24 * 24 + 50 * 8 * 8),
    }
    assert list(net["types"])[0] == "Convolution"
    assert net["totals"]["params"] == 431080


def test_splits_are_not_shown_and_blobs_have_their_own_names(capsys, branches):
    layers = {layer["name"]: layer for layer in summarized(capsys, branches)["layers"]}
    assert list(layers) == ["in", "a", "b", "relu", "sum", "p", "q"]
    assert layers["p"]["bottoms"] == layers["q"]["bottoms"] == ["sum"]
    assert layers["p"]["tops"] == ["prob"]


def test_shared_parameters_count_once_in_the_sum(capsys, branches):
    net = summarized(capsys, branches)
    assert net["types"]["InnerProduct"]["params"] == 24
    assert net["totals"]["params"] == 12
    assert main(["summarize", branches]) == 0
    assert "48 B of parameters" in (out := capsys.readouterr().out)
    assert "parameters that layers share count once" in out


def test_the_table(capsys, branches):
    assert main(["summarize", branches]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "branches, phase TEST, batch 2"
    rows = {line.split()[0]: " ".join(line.split()) for line in lines[3:11]}
    assert rows["in"] == "in Input x 2 3, z 2 3 48 B"
    assert rows["a"] == "a InnerProduct x 2 4 4 3 12 24 32 B"
    assert rows["relu"] == "relu ReLU a in place"
    assert rows["p"] == "p Softmax sum prob 2 4 8 32 B"


def test_a_net_that_makes_no_sense_is_refused(tmp_path, capsys):
    (tmp_path / "net.prototxt").write_text('layer { name: "r" type: "ReLU" bottom: "x" top: "y" }')
    assert main(["summarize", str(tmp_path / "net.prototxt")]) == 2
    assert "bottom[0] 'x' is unknown" in capsys.readouterr().err
