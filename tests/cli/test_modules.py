"""--import: layer types of the user's own, in every command that builds a net."""

import sys

import pytest

from minidl import Net
from minidl.cli import main, parser_for
from minidl.cli.modules import load
from minidl.cli.train import resume
from minidl.layers import base

TWICE = """
from minidl.layers.base import Layer, register

@register("Twice{0}")
class Twice(Layer):
    def top_shapes(self, bottom):
        return (bottom,)
    def forward(self, bottom, top):
        top[0].data[...] = 2 * bottom[0].data
    def backward(self, top, wanted, bottom):
        bottom[0].diff[...] = 2 * top[0].diff
"""
NET = """
layer { name: "in" type: "DummyData" top: "x" dummy_data_param { shape { dim: 2 dim: 3 } } }
layer { name: "mine" type: "TwiceHere" bottom: "x" top: "y" }
layer { name: "ip" type: "InnerProduct" bottom: "y" top: "z" inner_product_param { num_output: 2 } }
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "mine.py").write_text(TWICE.format("Here"))
    known = dict(base.REGISTRY)
    yield tmp_path
    base.REGISTRY.clear()
    base.REGISTRY.update(known)
    sys.modules.pop("mine", None)


@pytest.fixture
def weights(folder):
    """Weights of the net, made while its layer was known."""
    load(["mine.py"])
    Net(NET).save("w.caffemodel")
    del base.REGISTRY["TwiceHere"]


@pytest.mark.parametrize(
    "words",
    [
        "check net.prototxt",
        "summarize net.prototxt",
        "draw net.prototxt --out net.svg",
        "time net.prototxt -iterations 1",
        "gradcheck net.prototxt",
        "test net.prototxt -weights w.caffemodel -iterations 1",
        "extract_features w.caffemodel net.prototxt z out.npz 1",
    ],
)
def test_a_layer_of_ones_own_is_known_to_the_command(weights, words):
    assert main(words.split()) == 2
    assert main([*words.split(), "--import", "mine.py"]) == 0


def test_a_run_that_is_stopped_says_how_to_go_on_with_its_modules():
    args = parser_for("train").read(["s.prototxt", "--import", "a.py,b", "--import=c"])
    assert "--import a.py --import b --import c" in resume.command(args, "x.solverstate")


@pytest.mark.parametrize("code", ["exit(0)", "import sys; sys.exit()", "1 / 0"])
def test_a_module_that_fails_or_exits_is_an_error(folder, capsys, code):
    (folder / "mine.py").write_text(code)
    assert main(["check", "net.prototxt", "--import", "mine.py"]) == 2
    assert "--import mine.py: cannot be imported: " in capsys.readouterr().err
