"""minidl convert: formats by name or flag, what is said, what is refused."""

import re
from pathlib import Path

import numpy as np
import pytest

from minidl import schema
from minidl.cli import main
from minidl.storage import content, legacy, weight_files
from tests.storage import support
from tests.support import SHARED, shared

pytest.importorskip("h5py")
pytest.importorskip("safetensors")

MODELS = sorted(p.parent.name for p in SHARED.glob("models/*/weights.caffemodel"))
ROUND = ["w.h5", "w.npz", "w.safetensors", "w.caffemodel"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def weights(folder):
    found = support.weights()
    weight_files.write("in.npz", found, "npz")
    return found


@pytest.mark.parametrize("model", MODELS)
def test_real_weights_survive_a_journey_through_all_formats(model, capsys):
    first = shared(f"models/{model}/weights.caffemodel")
    source = str(first)
    for target in ROUND:
        assert main(["convert", source, target]) == 0
        source = target
    before, after = legacy.modern(weight_files.read(first)), weight_files.read("w.caffemodel")
    support.check_same(after, before)
    old = any(any(la.legacy) for la in weight_files.read(first).layers)
    assert (" becomes " in capsys.readouterr().out) == old


def test_it_says_what_was_written_and_which_shapes_are_new(capsys):
    blobs = [np.zeros((1, 1, 2, 3), "f"), np.zeros((1, 1, 1, 2), "f")]
    layer = content.LayerWeights("ip", "INNER_PRODUCT", blobs, [True, True])
    weight_files.write("old.npz", content.Weights("n", [layer], []), "npz")
    assert main(["convert", "old.npz", "new.npz"]) == 0
    *changes, last = capsys.readouterr().out.splitlines()
    assert changes == [
        "ip/0: (1, 1, 2, 3) becomes (2, 3)",
        "ip/1: (1, 1, 1, 2) becomes (2,)",
    ]
    assert re.fullmatch(r"new\.npz: npz, 1 layer, 2 blobs, 8 numbers, \d+ B", last)
    assert weight_files.read("new.npz").layers[0].type == "InnerProduct"


@pytest.mark.parametrize("target", ROUND)
def test_of_two_layers_of_one_name_the_last_counts(target, capsys):
    net = schema.NetParameter(name="n", layer=[{"name": "a"}, {"name": "b"}, {"name": "a"}])
    for i, layer in enumerate(net.layer):
        layer.blobs.add(shape={"dim": [1]}, data=[i])
    Path("in.caffemodel").write_bytes(net.SerializeToString())
    assert main(["convert", "in.caffemodel", target]) == 0
    assert "in.caffemodel: has 2 layers called a: the last one counts" in capsys.readouterr().out
    found = {la.name: float(la.blobs[0][0]) for la in weight_files.read(target).layers}
    assert found == {"a": 2, "b": 1}


def test_the_format_may_be_told_whatever_the_name(weights, capsys):
    assert main(["convert", "in.npz", "out.bin", "--to", "safetensors"]) == 0
    support.check_same(weight_files.read("out.bin"), weights)
    assert main(["convert", "in.npz", "other.bin"]) == 2
    said = capsys.readouterr().err
    assert "other.bin: which format?" in said and "--to caffemodel" in said


def test_nothing_is_written_over_without_force(weights, folder, capsys):
    (folder / "out.npz").write_text("precious")
    assert main(["convert", "in.npz", "out.npz"]) == 2
    assert "out.npz: exists already\n  fix: --force" in capsys.readouterr().err
    assert (folder / "out.npz").read_text() == "precious"
    assert main(["convert", "in.npz", "out.npz", "--force"]) == 2, "force is for weights only"
    assert (folder / "out.npz").read_text() == "precious"
    (folder / "out.npz").unlink()
    other = content.Weights("other", [content.LayerWeights("a", "", [np.zeros(3)])], [])
    weight_files.write("out.npz", other, "npz")
    assert main(["convert", "in.npz", "out.npz", "--force"]) == 0
    support.check_same(weight_files.read("out.npz"), weights)


def test_a_file_is_not_written_over_itself(weights, capsys):
    assert main(["convert", "in.npz", "./in.npz", "--force"]) == 2
    assert "is the file that is read" in capsys.readouterr().err


BAD = {
    "damaged": (lambda p: p.write_bytes(p.read_bytes()[:-30]), "in.npz: cannot be read as .npz"),
    "text": (lambda p: p.write_text("layer { }"), r"in.npz: is a text file"),
    "absent": (lambda p: p.unlink(), "in.npz: there is no such file"),
}


@pytest.mark.parametrize("spoil, message", BAD.values(), ids=BAD.keys())
def test_bad_input_is_a_sentence_and_status_2(weights, folder, capsys, spoil, message):
    spoil(folder / "in.npz")
    assert main(["convert", "in.npz", "out.caffemodel"]) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "out.caffemodel").exists()
