"""minidl explain: pages on a terminal, in a pipe and as JSON; one layer of a net."""

import json

import pytest

from minidl.arrays.device import Device
from minidl.cli import check, main, parser_for
from minidl.engines.onednn import OneDNN
from minidl.engines.request import Declined

NET = """name: "small"
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 6 dim: 6 } } }
layer {
  name: "conv" type: "Convolution" bottom: "x" top: "y"
  param { lr_mult: 2 decay_mult: 0.5 } param { lr_mult: 0 }
  convolution_param { num_output: 4 kernel_size: 3 }
}
layer { name: "relu" type: "ReLU" bottom: "y" top: "y" }
layer { name: "drop" type: "Dropout" bottom: "y" top: "y" include { phase: TRAIN } }
layer { name: "turned" type: "Permute" bottom: "y" top: "z" permute_param { order: 1 } }
"""


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "small.prototxt"
    path.write_text(NET)
    return str(path)


def explained(capsys, *words):
    assert main(["explain", *words]) == 0
    return capsys.readouterr().out


def facts(capsys, *words):
    (page,) = json.loads(explained(capsys, *words, "--json"))
    return page["facts"]


def test_a_page_is_its_text_then_fields_then_facts(capsys):
    lines = explained(capsys, "pooling_param").split("\n")
    assert lines[0] == "pooling_param, PoolingParameter, field 121 of a layer"
    assert "stride          uint32, default 1" in lines
    assert (
        lines[lines.index("stride          uint32, default 1") + 1].strip() == "Step of the window."
    )
    assert "read by        Pooling" in lines


@pytest.mark.parametrize("columns", [60, 72, 300])
def test_what_is_filled_is_as_wide_as_the_screen(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    for topic in ([], ["SolverParameter.momentum"], ["kernel_size"]):
        lines = explained(capsys, *topic).split("\n")
        assert max(map(len, lines[2:-2])) <= min(columns, 100)


def test_without_a_topic_everything_is_listed(capsys):
    text = explained(capsys)
    for name in (
        "Convolution",
        "pooling_param",
        "SGD",
        "poly",
        "xavier",
        "LayerConfigError",
        "train",
    ):
        assert name in text
    groups = json.loads(explained(capsys, "--json"))
    assert groups["solver types"][0] == "SGD"


def test_a_name_of_several_things_has_several_pages(capsys):
    text = explained(capsys, "step")
    assert text.startswith("step, an lr_policy")
    assert "\n\n\nstep, a field of prior_box_param" in text


def test_a_name_that_nobody_has_is_an_error(capsys):
    assert main(["explain", "Convolutoin"]) == 2
    assert "did you mean 'Convolution'" in capsys.readouterr().err


# ------------------------------------------------------------------ a layer of a net


def test_a_layer_of_a_net_has_its_equation_shapes_parameters_and_cost(capsys, net):
    text = explained(capsys, net, "conv")
    assert text.startswith(f"conv, a Convolution layer in {net}:3, phase TEST\n")
    assert "y = W X + b" in text and "bottom[i]" not in text
    assert "reads          x  2 x 3 x 6 x 6\n" in text
    assert "makes          y  2 x 4 x 4 x 4\n" in text
    weight = "weight  4 x 3 x 3 x 3, 108 numbers, lr_mult 2, decay_mult 0.5"
    assert f"learns         {weight}\n" in text
    assert "bias  4, 4 numbers, lr_mult 0: it stays as it is, decay_mult 1\n" in text
    assert "costs          3.46 k multiply-adds forward\n" in text
    assert 'as prototxt    name: "conv"\n' in text


def test_what_is_said_is_what_check_knows(capsys, net):
    args = parser_for("check").read([net, "-phase", "TEST", "--engine", "numpy"])
    known = {layer["name"]: layer for layer in check._net(args).facts["layers"]}["conv"]
    said = facts(capsys, net, "conv", "--engine", "numpy")
    assert known["multiply_adds"] == 2 * 4 * 16 * 27 == 3456
    assert known["data_bytes"] == 512 and said["memory"].startswith("tops 512 B")
    assert said["engine"] == "array code: --engine numpy asks for it"


def test_the_engine_is_said_with_the_reason(capsys, net):
    if isinstance(OneDNN.load(Device("cpu")), Declined):
        pytest.skip("oneDNN is not installed")
    assert facts(capsys, net, "conv")["engine"].startswith("onednn ")
    assert "(--engine auto)" in facts(capsys, net, "conv")["engine"]
    assert "in the same pass over memory" in facts(capsys, net, "relu")["engine"]
    assert (
        facts(capsys, net, "turned")["engine"] == "array code: no engine has a plan for this type"
    )
    assert facts(capsys, net, "in")["engine"].startswith("none")


def test_a_net_alone_lists_its_layers(capsys, net):
    text = explained(capsys, net)
    assert text.startswith("small, a net of 4 layers, phase TEST\n")
    assert "\nturned  Permute\n" in text


def test_a_layer_of_the_other_phase_is_found_there(capsys, net):
    assert main(["explain", net, "drop"]) == 2
    assert "-phase TRAIN" in capsys.readouterr().err
    assert explained(capsys, net, "drop", "-phase", "TRAIN").startswith("drop, a Dropout layer")


@pytest.mark.parametrize(
    "words, fix",
    [
        (["NET", "convv"], "did you mean 'conv'"),
        (["conv-algorithms"], "minidl time --algorithms"),
        (["NET", "zzz"], "lists them"),
        (["Convolution", "conv1"], "minidl explain NET.prototxt LAYER"),
        (["absent.prototxt", "conv"], "no such file"),
    ],
)
def test_what_cannot_be_explained_is_said_with_a_way_out(capsys, net, words, fix):
    assert main(["explain", *(net if w == "NET" else w for w in words)]) == 2
    assert fix in capsys.readouterr().err


def test_a_solver_file_is_not_a_net(capsys, tmp_path):
    path = tmp_path / "s.prototxt"
    path.write_text('net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 3')
    assert main(["explain", str(path), "conv1"]) == 2
    assert "is a solver" in capsys.readouterr().err
