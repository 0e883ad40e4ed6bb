"""minidl gradcheck: right layers pass, wrong ones are named with index and both values."""

import re

import pytest

from minidl.cli import main
from minidl.layers.base import REGISTRY

WRONG = '''
"""Layers with one fault each."""
from minidl.layers.activation import {base}
from minidl.layers.base import register


@register("Wrong{base}")
class Wrong({base}):
    """Twice the gradient."""

    in_place = True

    def backward(self, top, wanted, bottom):
        super().backward(top, wanted, bottom)
        bottom[0].diff[1, 2] *= 2


@register("InPlaceWrong{base}")
class InPlaceWrong(Wrong):
    """Right with a top of its own; in place it reads the bottom after it is gone."""

    def backward(self, top, wanted, bottom):
        {base}.backward(self, top, wanted, bottom)
        bottom[0].diff[1, 2] += top[0].data[1, 2] - self.seen[1, 2]

    def forward(self, bottom, top):
        super().forward(bottom, top)
        self.seen = bottom[0].data if self.is_in_place else top[0].data
        self.seen = self.seen + (1 if self.is_in_place else 0)


@register("Raises{base}")
class Raises({base}):
    """Does not even run."""

    def forward(self, bottom, top):
        raise ZeroDivisionError("by hand")
'''
NET = """
layer {{ name: "in" type: "Input" top: "x" input_param {{ shape {{ dim: 9 dim: 5 }} }} }}
layer {{ name: "ip" type: "InnerProduct" bottom: "x" top: "y"
  inner_product_param {{ num_output: 4 }} }}
layer {{ name: "act" type: "{type}" bottom: "y" top: "{top}" }}
layer {{ name: "label" type: "Input" top: "l" input_param {{ shape {{ dim: 9 }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "{top}" bottom: "l" }}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = dict(REGISTRY)
    yield tmp_path
    REGISTRY.clear()
    REGISTRY.update(before)


def write(folder, type="Sigmoid", top="z"):
    (folder / "net.prototxt").write_text(NET.format(type=type, top=top))
    (folder / "wrong.py").write_text(WRONG.format(base="Sigmoid"))
    return "net.prototxt"


def rows(out):
    """{layer: columns} of the table."""
    return {line.split()[0]: re.split(r"  +", line) for line in out.splitlines()[2:] if line}


def test_a_right_net_passes_and_every_layer_is_listed(folder, capsys):
    assert main(["gradcheck", write(folder)]) == 0
    out = capsys.readouterr().out
    table = rows(out)
    assert table["in"][1:] == ["Input", "makes data"]
    assert table["ip"][2:] == ["34", "0", "agrees"]  # x: 10, weight: 20, bias: 4
    assert table["act"][2:] == ["8", "0", "agrees"]  # the batch is 2
    assert re.search(r"All \d+ gradients agree with finite differences\.", out)


def test_array_code_is_checked_where_it_is_to_run(folder, capsys, gpu):
    """Of the GPU, that is; every forward pass for every element launches."""
    assert main(["gradcheck", write(folder), "-gpu", "0"]) == 0
    assert rows(capsys.readouterr().out)["act"][2:] == ["8", "0", "agrees"]
    assert gpu.launches > 50
    gpu.reset()
    assert main(["gradcheck", write(folder, "WrongSigmoid"), "--import", "wrong.py", "-gpu=0"]) == 1
    assert "'act': dx[1, 2] is" in capsys.readouterr().err and gpu.launches > 50


@pytest.mark.parametrize("top", ["z", "y"], ids=["out of place", "in place"])
def test_a_wrong_layer_fails_and_is_named_with_blob_index_and_both_values(folder, capsys, top):
    words = ["gradcheck", write(folder, "WrongSigmoid", top), "--import", "wrong.py"]
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert rows(out)["act"][4] == "1 wrong"
    found = re.search(r"'act': dx\[1, 2\] is (\S+), finite differences say (\S+) \(ratio 2,", err)
    assert found, err
    assert err.splitlines()[-2] == "minidl: error: a gradient is not the derivative:"
    assert float(found[1]) == pytest.approx(2 * float(found[2]), rel=1e-3)


def test_a_layer_is_checked_in_place_where_the_net_has_it_so(folder, capsys):
    words = ["--import", "wrong.py", "--layer", "act"]
    assert main(["gradcheck", write(folder, "InPlaceWrongSigmoid", "z"), *words]) == 0
    REGISTRY.pop("WrongSigmoid"), REGISTRY.pop("InPlaceWrongSigmoid"), REGISTRY.pop("RaisesSigmoid")
    assert main(["gradcheck", write(folder, "InPlaceWrongSigmoid", "y"), *words]) == 1
    assert "layer 'act': dx[1, 2]" in capsys.readouterr().err


def test_modules_are_imported_by_name_from_the_current_folder(folder, capsys):
    (folder / "wrong_by_name.py").write_text(WRONG.format(base="TanH"))
    write(folder, "WrongTanH")
    assert main(["gradcheck", "net.prototxt", "--import=wrong_by_name"]) == 1
    assert "layer 'act': dx[1, 2]" in capsys.readouterr().err


def test_a_layer_that_raises_is_named(folder, capsys):
    words = ["gradcheck", write(folder, "RaisesSigmoid"), "--import", "wrong.py"]
    assert main(words) == 1
    err = capsys.readouterr().err
    assert "RaisesSigmoid layer 'act': failed with ZeroDivisionError: by hand" in err


@pytest.mark.parametrize("module", ["nowhere", "nowhere.py", "broken.py"])
def test_a_module_that_cannot_be_imported_is_named(folder, capsys, module):
    (folder / "broken.py").write_text("import")
    assert main(["gradcheck", write(folder), "--import", module]) == 2
    assert f"--import {module}: cannot be imported: " in capsys.readouterr().err


def test_layer_chooses(folder, capsys):
    assert main(["gradcheck", write(folder), "--layer", "act,loss"]) == 0
    assert list(rows(capsys.readouterr().out))[:2] == ["act", "loss"]
    assert main(["gradcheck", "net.prototxt", "--layer", "akt"]) == 2
    assert "did you mean 'act'?" in capsys.readouterr().err


def test_options_reach_the_check(folder, capsys):
    words = ["--batch", "3", "--limit", "7", "--seed", "4", "--layer", "act,ip"]
    assert main(["gradcheck", write(folder), *words]) == 0
    table = rows(capsys.readouterr().out)
    assert (table["act"][2], table["ip"][2]) == ("7 of 12", "18 of 39")
    assert main(["gradcheck", "net.prototxt", "--tolerance", "1e-30", "--step", "1e-3"]) == 1
    assert "> 1e-30" in capsys.readouterr().err


def test_how_much_was_looked_at_is_said(folder, capsys):
    assert main(["gradcheck", write(folder), "--limit", "7", "--layer", "ip,act"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "Looked at 25 of 42 gradients: all agree with finite differences."


def test_lenet_passes(folder, capsys, monkeypatch):
    from tests.support import ROOT

    monkeypatch.chdir(ROOT)
    words = ["gradcheck", "zoo/lenet/lenet_train_test.prototxt", "--shrink", "4", "--limit", "6"]
    assert main(words) == 0
    table = rows(capsys.readouterr().out)
    assert {"conv1", "pool1", "ip1", "relu1", "loss"} <= set(table)
    assert table["mnist"][1:] == ["Data", "makes data"]


def test_alexnet_shrunk_passes(folder, capsys, monkeypatch):
    from tests.support import ROOT

    monkeypatch.chdir(ROOT)
    words = ["gradcheck", "zoo/alexnet/train_val.prototxt", "--shrink", "16", "--limit", "3"]
    assert main(words) == 0
    table = rows(capsys.readouterr().out)
    assert {"conv1", "norm1", "conv2", "pool5", "drop6", "fc8", "loss"} <= set(table)
