"""minidl test: the means of a net's outputs over batches."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from minidl.cli import as_json, main

NET = """
name: "scores"
layer { name: "data" type: "DummyData" top: "x" top: "label" dummy_data_param {
  shape { dim: 4 dim: 2 } shape { dim: 4 }
  data_filler { type: "gaussian" std: 2 } data_filler { } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
  inner_product_param { num_output: 3 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "label" top: "loss"
  loss_weight: 0.5 }
layer { name: "mean" type: "Reduction" bottom: "x" top: "row"
  reduction_param { axis: 1 operation: SUM } }
layer { name: "accuracy" type: "Accuracy" bottom: "y" bottom: "label" top: "accuracy" }
"""


@pytest.fixture
def model(tmp_path, monkeypatch):
    """net.prototxt and a weights file w.caffemodel; the passes that `minidl test` will see."""
    from minidl import Net

    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text(NET)
    with Net(NET, seed=3) as net:
        net.params["ip"][0].data[...] = [[1, -1], [0.5, 2], [-1, 0.25]]
        net.save("w.caffemodel")
        passes = []
        for _ in range(3):
            loss = net.forward_pass()
            passes.append((loss, {n: net.blobs[n].data.astype("f8") for n in net.outputs}))
    return passes


WORDS = ["test", "net.prototxt", "-weights", "w.caffemodel", "-iterations", "3", "--seed", "3"]


def test_json_has_the_means(model, capsys):
    assert main([*WORDS, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["loss"] == pytest.approx(np.mean([loss for loss, _ in model]))
    for name in ("accuracy", "loss", "row"):
        mean = np.mean([outputs[name] for _, outputs in model], axis=0)
        np.testing.assert_allclose(result["outputs"][name], mean, rtol=1e-12)
    assert np.shape(result["outputs"]["row"]) == (4,)
    assert result["loss_weights"] == {"loss": 0.5}


def test_the_lines_are_caffes(model, capsys):
    assert main(WORDS) == 0
    out, err = capsys.readouterr()
    lines = [line.partition("] ")[2] for line in err.splitlines()]
    lines = lines[lines.index("Running for 3 iterations.") + 1 :]
    expected = [
        f"Batch {i}, {name} = {value:g}"
        for i, (_, outputs) in enumerate(model)
        for name in ("accuracy", "loss", "row")
        for value in outputs[name].flat
    ]
    mean = np.mean([outputs["loss"] for _, outputs in model])
    assert lines[: len(expected)] == expected
    last = lines[len(expected) :]
    assert last[0] == f"Loss: {0.5 * mean:g}"
    assert re.fullmatch(r"accuracy = [\d.]+", last[1])
    assert last[2] == f"loss = {mean:g} (* 0.5 = {0.5 * mean:g} loss)"
    assert [line.partition(" = ")[0] for line in last[3:]] == ["row"] * 4
    assert out.splitlines() == last[1:]


REFUSALS = {
    "no weights": ([], "which weights?"),
    "two weights": (["-weights", "a,b"], "takes one file of weights, not 'a,b'"),
    "no such weights": (["-weights", "w.caffemodl"], "did you mean 'w.caffemodel'?"),
    "not weights": (["-weights", "net.prototxt"], "net.prototxt"),
}


@pytest.mark.parametrize("words, text", REFUSALS.values(), ids=REFUSALS.keys())
def test_bad_weights_are_refused(model, words, text, capsys):
    assert main(["test", "net.prototxt", *words]) == 2
    err = capsys.readouterr().err
    assert text in err and err.count("minidl: error:") == 1


def test_json_of_a_net_that_gives_nan_is_json(model, capsys):
    from minidl import Net

    with Net(NET) as net:
        net.params["ip"][0].data[...] = np.nan
        net.save("nan.caffemodel")
    words = ["test", "net.prototxt", "-weights", "nan.caffemodel", "-iterations", "1", "--json"]
    assert main(words) == 0

    def refuse(constant):
        raise ValueError(f"{constant} is no JSON")

    result = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert result["loss"] is result["outputs"]["loss"] is None
    assert all(isinstance(value, float) for value in result["outputs"]["row"])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_json_does_not_have_is_null_however_deep(value):
    text = as_json.dumps({"a": [1.5, (value, "b", None, True)], "b": value, "n": 3})
    assert json.loads(text) == {"a": [1.5, [None, "b", None, True]], "b": None, "n": 3}


def test_an_output_that_has_another_shape_in_each_batch_has_no_mean(model, capsys):
    from minidl import Net

    text = (
        NET
        + """
    layer { name: "some" type: "DummyData" top: "z" top: "s"
      dummy_data_param { shape { dim: 9 dim: 2 } shape { dim: 9 }
        data_filler { type: "constant" } data_filler { type: "gaussian" } } }
    layer { name: "positive" type: "ReLU" bottom: "s" top: "s" }
    layer { name: "kept" type: "Filter" bottom: "z" bottom: "s" top: "kept" }"""
    )
    Path("changing.prototxt").write_text(text)
    with Net(text) as net:
        net.save("changing.caffemodel")
    words = ["test", "changing.prototxt", "-weights", "changing.caffemodel", "--seed", "1"]
    assert main(words) == 2
    err = capsys.readouterr().err
    assert "the output 'kept' has the shape (" in err and 'eval_type: "detection"' in err
