"""minidl show: figures of parameters and blobs, and the page that draws them."""

import json

import numpy as np
import pytest
from PIL import Image

from minidl import Net
from minidl.cli import main

NET = """
name: "eyes"
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 2 dim: 3 dim: 9 dim: 8 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 5 kernel_size: 3 weight_filler { type: "gaussian" std: 0.01 } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "conv2" type: "Convolution" bottom: "conv1" top: "conv2"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "ip" type: "InnerProduct" bottom: "conv1" top: "ip"
  inner_product_param { num_output: 6 weight_filler { type: "xavier" } } }
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text(NET)
    net = Net(NET, seed=3)
    net.params["conv1"][0].data[2] = 0
    net.save("w.caffemodel")
    pixels = np.random.default_rng(2).integers(0, 256, (9, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("p.png")
    return net, pixels


def show(*words):
    return main(["show", "net.prototxt", "--weights", "w.caffemodel", *words])


def test_a_row_for_each_parameter(folder, capsys):
    assert show("--json") == 0
    found = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    names = [f"{layer} {kind}" for layer in ("conv1", "conv2", "ip") for kind in ("weight", "bias")]
    assert list(found) == names
    weight = folder[0].params["conv1"][0].data
    row = found["conv1 weight"]
    assert row["shape"] == [5, 3, 3, 3] and row["idle"] == 1
    assert row["mean"] == pytest.approx(weight.mean(), rel=1e-5)
    assert row["std"] == pytest.approx(weight.std(), rel=1e-5)
    assert row["zeros"] == pytest.approx(0.2)


def test_with_a_picture_a_row_for_each_blob_as_it_is_at_the_end(folder, capsys):
    net, pixels = folder
    assert show("--picture", "p.png", "--json") == 0
    found = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    x = pixels[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32)
    net.forward(data=x)
    for name, blob in {"data": "data", "conv1 (after relu1)": "conv1", "ip": "ip"}.items():
        values, row = net.blobs[blob].data, found[name]
        assert row["shape"] == list(values.shape)
        assert row["mean"] == pytest.approx(values.mean(), rel=1e-4)
        assert row["most"] == pytest.approx(values.max(), rel=1e-4)
    assert found["conv1 (after relu1)"]["least"] == 0
    idle = (net.blobs["conv1"].data[0] == 0).all(axis=(1, 2)).sum()
    assert found["conv1 (after relu1)"]["idle"] == idle >= 1


def test_the_table_is_for_people(folder, capsys):
    assert show("--layers", "conv1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["array", "shape", "mean"]
    assert [line.split("  ")[0] for line in lines[2:]] == ["conv1 weight", "conv1 bias"]
    assert "20.0%" in lines[2]


@pytest.mark.parametrize(
    "ending, begins", [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_a_page_of_filters_and_maps(folder, capsys, ending, begins):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    assert show("--picture", "p.png", "--out", f"page.{ending}") == 0
    out = capsys.readouterr().out
    # data, conv1's filters and maps, conv2's, and the rows of ip as maps of 5 x 7 x 6
    assert f"page.{ending}  6 arrays" in out
    with open(f"page.{ending}", "rb") as file:
        content = file.read()
    assert content.startswith(begins)
    if ending == "svg":
        for name in ("data", "conv1 weight", "conv1 (after relu1)", "conv2 weight", "ip weight"):
            assert name in content.decode()


def test_what_is_left_out_is_said(folder, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    assert show("--out", "page.png", "--most", "1") == 0
    assert "1 array, 2 more are not drawn: --layers, --most" in capsys.readouterr().out


def test_names_from_a_file_are_no_markup(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    monkeypatch.chdir(tmp_path)
    text = NET.replace('name: "conv1"', 'name: "$\\\\frac{_<b>"')
    (tmp_path / "net.prototxt").write_text(text)
    Net(text, seed=3).save("w.caffemodel")
    assert show("--out", "page.svg") == 0


@pytest.mark.parametrize(
    "words, said",
    [
        (["--layers", "conv3"], "has no layer 'conv3'"),
        (["--out", "page.bmp"], "cannot write 'page.bmp'"),
        (["--picture", "none.png"], "no such image file"),
        (["--layers", "relu1", "--out", "page.png"], "there is nothing to draw"),
    ],
)
def test_wrong_words_are_refused(folder, capsys, words, said):
    if "page.png" in words:
        pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    assert show(*words) == 2
    assert said in capsys.readouterr().err


def test_without_weights_it_asks_for_them(folder, capsys):
    assert main(["show", "net.prototxt"]) == 2
    assert "which weights?" in capsys.readouterr().err


def test_an_input_that_is_called_like_a_layer_has_no_parameters(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = NET.replace('name: "data" type', 'name: "conv1" type')
    (tmp_path / "net.prototxt").write_text(text)
    Net(text, seed=3).save("w.caffemodel")
    assert show("--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [r["shape"] for r in rows if r["name"] == "conv1 weight"] == [[5, 3, 3, 3]]
