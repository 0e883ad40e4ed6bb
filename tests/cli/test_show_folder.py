"""minidl show --out FOLDER: every array of a net in figures and pictures."""

import json
import os
import re

import numpy as np
import pytest

from minidl import Net
from minidl.cli import main
from minidl.draw import colours
from minidl.evaluation import inside
from minidl.runs import job

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
RNG = np.random.default_rng(2)

NET = """
name: "eyes"
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 3 dim: 9 dim: 8 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 5 kernel_size: 3 weight_filler { type: "gaussian" std: 0.01 } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "conv2" type: "Convolution" bottom: "conv1" top: "conv2"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "ip" type: "InnerProduct" bottom: "conv2" top: "ip"
  inner_product_param { num_output: 7 weight_filler { type: "xavier" } } }
layer { name: "ip2" type: "InnerProduct" bottom: "ip" top: "ip2"
  inner_product_param { num_output: 6 weight_filler { type: "xavier" } } }
layer { name: "prob" type: "Softmax" bottom: "ip2" top: "prob" }
"""
LABELS = ["ant", "bee", "cow", "dog", "elk", "fox"]
PREPARE = {"mean_value": [100], "resize": {"height": 9, "width": 8}}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/trained_net.prototxt").write_text(NET)
    net = Net(NET, seed=3)
    net.params["conv1"][0].data[2] = 0
    net.save("run/x_iter_4.caffemodel")
    said = {"format": "minidl preprocess 1", "channels": "BGR", "transform_param": PREPARE}
    (tmp_path / "run/preprocess.json").write_text(json.dumps(said | {"labels": LABELS}))
    pixels = RNG.integers(0, 256, (9, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("p.png")
    return pixels


def shown(*words):
    assert main(["show", *words, "--out", "seen"]) == 0
    with open("seen/layers.json") as file:
        found = json.load(file)
    return found, {layer["name"]: layer for layer in found["layers"]}


def expected(pixels, stop=None):
    """The blobs by name, those before the ReLU as they were before it."""
    text = NET.replace('bottom: "conv1" top: "conv1" }', 'bottom: "conv1" top: "relu1" }')
    text = text.replace('bottom: "conv1" top: "conv2"', 'bottom: "relu1" top: "conv2"')
    net = Net(text, weights="run/x_iter_4.caffemodel")
    net.forward(data=pixels[:, :, ::-1].transpose(2, 0, 1)[None].astype("f4") - 100)
    return net


def test_all_layers_in_order_with_what_they_hold_and_make(folder):
    found, layers = shown("--run", "run", "p.png")
    net = expected(folder)
    names = ["data", "conv1", "relu1", "conv2", "ip", "ip2", "prob"]
    assert list(layers) == names
    assert layers["conv1"]["params"] == 5 * 3 * 9 + 5 and layers["relu1"]["params"] == 0
    assert found["params"] == sum(p.data.size for ps in net.params.values() for p in ps)
    weight, bias, top = layers["conv1"]["arrays"]
    assert [a["name"] for a in (weight, bias, top)] == ["conv1 weight", "conv1 bias", "conv1"]
    assert [a["kind"] for a in (weight, bias, top)] == ["weight", "weight", "activation"]
    for array, values in (
        (weight, net.params["conv1"][0].data),
        (top, net.blobs["conv1"].data),
        (layers["relu1"]["arrays"][0], net.blobs["relu1"].data),
        (layers["prob"]["arrays"][0], net.blobs["prob"].data),
    ):
        assert array["shape"] == list(values.shape)
        for name, value in (
            ("mean", values.mean()),
            ("std", values.std()),
            ("min", values.min()),
            ("max", values.max()),
            ("zeros", (values == 0).mean()),
        ):
            assert array[name] == pytest.approx(value, rel=1e-4, abs=1e-6)
        low, high = array["edges"]
        places = np.floor((values.astype("f8") - low) / (high - low) * 20).clip(0, 19)
        counts = np.bincount(places.astype(int).reshape(-1), minlength=20)
        assert sum(array["counts"]) == values.size
        assert np.abs(counts - array["counts"]).sum() <= 2  # values at an edge
    assert layers["relu1"]["arrays"][0]["name"] == "conv1" and top["min"] < 0
    prob = net.blobs["prob"].data[0]
    order = np.argsort(-prob)[:5]
    assert [label for label, _ in found["top"]] == [LABELS[i] for i in order]
    assert [score for _, score in found["top"]] == pytest.approx(prob[order], rel=1e-4)


def picture(name):
    with Image.open(os.path.join("seen", name)) as found:
        return np.asarray(found.convert("RGBA"))


def test_tiles_of_an_activation(folder):
    _, layers = shown("run", "p.png")
    (array,) = layers["relu1"]["arrays"]
    values = expected(folder).blobs["relu1"].data[0]
    rows, columns, h, w = array["tiles"]
    assert (h, w) == (7, 6) and rows * columns >= 5
    image = picture(array["picture"])
    assert image.shape == (rows * 8 - 1, columns * 7 - 1, 4)
    palette = colours.viridis(255)
    for i, plane in enumerate(values):
        top, left = i // columns * 8, i % columns * 7
        share = (plane - values.min()) / (values.max() - values.min())
        np.testing.assert_array_equal(
            image[top : top + 7, left : left + 6, :3], palette[np.rint(share * 254).astype(int)]
        )
    assert (image[7, :, 3] == 0).all() and (image[:7, 6, 3] == 0).all()  # the gap
    assert (image[:7, :6, 3] == 255).all()


def test_colours_are_shown_as_colours(folder):
    found, layers = shown("run", "p.png")
    np.testing.assert_array_equal(picture(found["picture"])[..., :3], folder)
    (data,) = layers["data"]["arrays"]
    image, low, high = picture(data["picture"]), folder.min(), folder.max()
    scaled = (folder.astype(float) - low) / (int(high) - low) * 255
    assert np.abs(image[..., :3] - scaled).max() <= 0.51
    weight = layers["conv1"]["arrays"][0]
    values = Net(NET, weights="run/x_iter_4.caffemodel").params["conv1"][0].data
    first = (values[0, ::-1].transpose(1, 2, 0) - values.min()) / (values.max() - values.min())
    assert np.abs(picture(weight["picture"])[:3, :3, :3] - first * 255).max() <= 0.51


def test_probabilities_are_not_stretched(folder):
    _, layers = shown("run", "p.png")
    (array,) = layers["prob"]["arrays"]
    prob = expected(folder).blobs["prob"].data[0]
    rows, columns, h, w = array["tiles"]
    assert (h, w) == (1, 1)
    flat = picture(array["picture"]).reshape(-1, 4)[:6, :3]
    np.testing.assert_array_equal(flat, colours.viridis(255)[np.rint(prob * 254).astype(int)])


def test_nothing_lies_between_tiles_of_one_pixel(folder):
    text = NET.replace("num_output: 4 kernel_size: 3", "num_output: 4 kernel_size: 1")
    with open("run/trained_net.prototxt", "w") as file:
        file.write(text)
    net = Net(text, seed=3)
    net.save("run/x_iter_9.caffemodel")
    _, layers = shown("run", "p.png", "--snapshot", "9")
    values = net.params["conv2"][0].data.reshape(-1)
    share = (values - values.min()) / (values.max() - values.min())
    image = picture(layers["conv2"]["arrays"][0]["picture"])
    flat = image.reshape(-1, 4)[:20, :3]
    np.testing.assert_array_equal(flat, colours.viridis(255)[np.rint(share * 254).astype(int)])


def test_what_cannot_be_drawn_says_why(folder):
    _, layers = shown("run", "p.png")
    matrix = layers["ip2"]["arrays"][0]
    assert matrix["picture"] is None and "6 x 7" in matrix["why_not"]
    assert layers["ip"]["arrays"][0]["tiles"] == [5, 6, 5, 4]  # rows that read a map


def test_large_arrays_are_cut_and_it_is_said(folder, monkeypatch):
    monkeypatch.setattr(inside, "WIDTH", 11)
    _, layers = shown("run", "p.png")
    weight = layers["conv2"]["arrays"][0]
    assert weight["cut"] == "the first 9 of 20 planes" and weight["tiles"] == [3, 3, 3, 3]
    assert picture(weight["picture"]).shape[:2] == (11, 11)
    assert weight["shape"] == [4, 5, 3, 3] and sum(weight["counts"]) == 180


def test_without_a_picture_there_are_weights_only(folder):
    found, layers = shown("run")
    assert found["picture"] is None and found["top"] == []
    assert [len(layer["arrays"]) for layer in found["layers"]] == [0, 2, 0, 2, 2, 2, 0]


def test_the_folder_is_a_job_and_not_written_to_twice(folder, capsys):
    shown("run", "p.png", "--layers", "conv1")
    found, status = job.read("seen"), job.status("seen")
    assert found.kind == "show" and found.needs == {"run": "../run"}
    assert (job.state(status), status.done, status.total) == ("done", 1, 1)
    capsys.readouterr()
    assert main(["show", "run", "p.png", "--out", "seen"]) == 2
    assert "holds layers.json already" in capsys.readouterr().err
    assert main(["show", "run", "p.png", "--out", "run"]) == 2
    assert "is not empty" in capsys.readouterr().err
    _, layers = shown("run", "p.png", "--force", "--snapshot", "4")
    assert len(layers) == 7


REFUSED = {
    "snapshot": (["run", "p.png", "--snapshot", "5"], "no weights of iteration 5\n  expected: 4"),
    "layer": (["run", "p.png", "--layers", "conv3"], "no layer 'conv3'(.|\n)*conv"),
    "picture": (["run", "gone.png"], "gone.png: there is no such image"),
    "two": (["run", "p.png", "--picture", "p.png"], "2 pictures are given"),
    "two after run": (["--run", "run", "p.png", "p.png"], "2 pictures are given"),
    "no run": (["--run", "gone", "p.png"], "gone: there is no such folder"),
}


@pytest.mark.parametrize("words, message", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_refused(words, message, capsys):
    assert main(["show", *words, "--out", "seen"]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not os.path.exists("seen/layers.json")
