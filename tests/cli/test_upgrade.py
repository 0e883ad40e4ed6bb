"""minidl upgrade: old nets, solvers and caffemodels as files of today."""

import re

import numpy as np
import pytest

from minidl import prototxt, schema
from minidl.cli import main
from minidl.storage import caffemodel
from tests.support import SHARED, shared

# Of BVLC's own; among the others are nets of forks, which are refused by name.
OLD = sorted(p.name for p in SHARED.glob("prototxt/BVLC+caffe__*-V[01].prototxt"))
OLD = [name for name in OLD if re.search(r"data-lenet|cifar10_quick|autoencoder", name)]

NET = """
name: "old" # a comment
input: "x" input_dim: 2 input_dim: 3 input_dim: 4 input_dim: 4
layers { name: "conv" type: CONVOLUTION bottom: "x" top: "y" blobs_lr: 1 blobs_lr: 2
  convolution_param { num_output: 2 kernel_size: 3 } }
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_old_net_becomes_one_of_today(folder, capsys):
    (folder / "old.prototxt").write_text(NET)
    assert main(["upgrade", "old.prototxt", "new.prototxt"]) == 0
    text = (folder / "new.prototxt").read_text()
    assert 'type: "Convolution"' in text and "layers" not in text and "minidl_origin" not in text
    notes = []
    got = prototxt.read_net(folder / "new.prototxt", notes)
    assert notes == []
    expected = prototxt.read_net(NET, [])
    for message in (got, expected):
        prototxt.clear_origins(message)
    assert got == expected
    out = capsys.readouterr().out.splitlines()
    assert out[-1] == "new.prototxt: written"
    assert any("old.prototxt: turned input" in line for line in out)


@pytest.mark.parametrize("name", OLD)
def test_real_old_nets_are_read_without_a_remark_afterwards(folder, name):
    path = shared(f"prototxt/{name}")
    assert main(["upgrade", str(path), "new.prototxt"]) == 0
    notes = []
    got, expected = prototxt.read_net(folder / "new.prototxt", notes), prototxt.read_net(path, [])
    assert notes == []
    for message in (got, expected):
        prototxt.clear_origins(message)
    assert got == expected


def test_an_old_solver_becomes_one_of_today(folder, capsys):
    (folder / "s.prototxt").write_text('net: "n" base_lr: 0.1 lr_policy: "fixed" solver_type: ADAM')
    assert main(["upgrade", "s.prototxt", "new.prototxt"]) == 0
    assert 'type: "Adam"' in (folder / "new.prototxt").read_text()
    assert 'turned solver_type: ADAM into type: "Adam"' in capsys.readouterr().out


def test_what_is_of_today_is_written_and_said_to_be(folder, capsys):
    (folder / "n.prototxt").write_text('layer { name: "a" type: "ReLU" bottom: "x" top: "y" }')
    assert main(["upgrade", "n.prototxt", "new.prototxt"]) == 0
    assert capsys.readouterr().out == "new.prototxt: nothing was old\n"
    assert (folder / "new.prototxt").exists()


def test_an_old_caffemodel_keeps_its_blobs(folder, capsys):
    net = schema.NetParameter(name="old")
    layer = net.layers.add(name="conv", type=schema.V1LayerParameter.CONVOLUTION)
    layer.convolution_param.num_output = 2
    layer.blobs.add(num=1, channels=1, height=1, width=2, data=[1, 2])
    (folder / "old.caffemodel").write_bytes(net.SerializeToString())
    assert main(["upgrade", "old.caffemodel", "new.caffemodel"]) == 0
    (got,) = caffemodel.read("new.caffemodel").layers
    assert (got.name, got.type) == ("conv", "Convolution")
    np.testing.assert_array_equal(got.blobs[0], [[[[1, 2]]]])
    new = schema.NetParameter.FromString((folder / "new.caffemodel").read_bytes())
    assert new.layer[0].convolution_param.num_output == 2 and not new.layers
    assert "new.caffemodel: written" in capsys.readouterr().out


def test_nothing_is_written_over_without_force(folder, capsys):
    (folder / "old.prototxt").write_text(NET)
    (folder / "new.prototxt").write_text("precious")
    assert main(["upgrade", "old.prototxt", "new.prototxt"]) == 2
    assert "new.prototxt: exists already" in capsys.readouterr().err
    assert main(["upgrade", "old.prototxt", "old.prototxt", "--force"]) == 2
    assert (folder / "new.prototxt").read_text() == "precious"
    assert main(["upgrade", "old.prototxt", "new.prototxt", "--force"]) == 2, "force is for nets"
    assert (folder / "new.prototxt").read_text() == "precious"
    (folder / "new.prototxt").write_text("# an older one\n" + NET)
    assert main(["upgrade", "old.prototxt", "new.prototxt", "--force"]) == 0


BAD = {
    "a typo": (b'layers { name: "a" type: RELUU }', "old.prototxt:1"),
    "both forms": (b"layer { } layers { layer { } }", "has both 'layer'"),
    "a picture": (b"\x89PNG\r\n\x1a\n\x00\x00", "not a prototxt"),
    "a cut caffemodel": (b"\x0a\x01n\xa2\x06\x09\x0a\x01", "is damaged at byte"),
}


@pytest.mark.parametrize("data, message", BAD.values(), ids=BAD.keys())
def test_bad_input_is_refused_and_nothing_written(folder, capsys, data, message):
    (folder / "old.prototxt").write_bytes(data)
    assert main(["upgrade", "old.prototxt", "new.prototxt"]) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "new.prototxt").exists()
