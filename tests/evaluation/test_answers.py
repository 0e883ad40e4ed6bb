"""minidl classify --json of nets whose answers are pictures, maps or boxes."""

import base64
import io
import json

import numpy as np
import pytest

import minidl
from minidl.cli import main
from minidl.data import lmdb_writer
from tests.evaluation.test_images import DENOISER as TRAINED
from tests.evaluation.test_maps import NET as MAPS

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
RNG = np.random.default_rng(5)

DENOISER = """
name: "denoiser"
layer { name: "x" type: "Input" top: "data" input_param { shape { dim: [1, 3, 6, 5] } } }
layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param {
  num_output: 3 kernel_size: 3 pad: 1 weight_filler { type: "gaussian" std: 0.1 } } }
"""
FINDER = """
name: "finder"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 3, 6, 5] } } }
layer { name: "loc" type: "DummyData" top: "loc" dummy_data_param { shape { dim: [1, 8] } } }
layer { name: "flat" type: "Flatten" bottom: "data" top: "flat" }
layer { name: "conf" type: "InnerProduct" bottom: "flat" top: "conf" inner_product_param {
  num_output: 4 weight_filler { type: "constant" } bias_filler { type: "gaussian" std: 0.3 } } }
layer { name: "priors" type: "DummyData" top: "priors" dummy_data_param {
  shape { dim: [1, 2, 8] } data_filler { type: "uniform" min: 0.25 max: 0.75 } } }
layer { name: "found" type: "DetectionOutput" bottom: "loc" bottom: "conf" bottom: "priors"
  top: "found" detection_output_param { num_classes: 2 keep_top_k: 4 nms_param {
    nms_threshold: 1.0 } } }
"""
PREPARE = {
    "format": "minidl preprocess 1",
    "channels": "BGR",
    "transform_param": {"scale": 0.01, "mean_value": [100], "resize": {"height": 6, "width": 5}},
    "labels": ["background", "cat"],
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        Image.fromarray(RNG.integers(0, 256, (6, 5, 3), np.uint8)).save(f"{name}.png")
    (tmp_path / "preprocess.json").write_text(json.dumps(PREPARE))
    return tmp_path


def asked(net, capsys, *words):
    with open("net.prototxt", "w") as file:
        file.write(net)
    made = minidl.Net(net, seed=2)
    made.save("net.caffemodel")
    capsys.readouterr()
    flags = ["--model", "net.prototxt", "--weights", "net.caffemodel", "--json"]
    assert main(["classify", *words, *flags]) == 0
    return made, json.loads(capsys.readouterr().out)


def pixels(text):
    with Image.open(io.BytesIO(base64.b64decode(text))) as picture:
        return np.asarray(picture).astype(int)


def seen(name):
    """What the net takes, by hand."""
    picture = np.asarray(Image.open(name), "f4")[:, :, ::-1].transpose(2, 0, 1)
    return (picture - 100) / 100


def test_a_picture_comes_out_beside_what_went_in(capsys):
    net, found = asked(DENOISER, capsys, "a.png", "--target", "b.png")
    (item,) = found["pictures"]
    net.forward(data=seen("a.png")[None])
    made = net.blobs["c"].data[0].astype("f8") * 100 + 100
    target = seen("b.png").astype("f8") * 100 + 100
    assert item["psnr"] == pytest.approx(
        10 * np.log10(255**2 / np.mean((made - target) ** 2)), abs=1e-3
    )
    shown = np.clip(made, 0, 255)[::-1].transpose(1, 2, 0)
    assert np.abs(pixels(item["output_png"]) - shown).max() <= 0.51
    np.testing.assert_array_equal(pixels(item["png"]), np.asarray(Image.open("a.png")))
    np.testing.assert_array_equal(pixels(item["target_png"]), np.asarray(Image.open("b.png")))


def test_what_comes_out_is_in_the_scale_of_what_the_net_was_trained_towards(capsys, folder):
    noisy = RNG.integers(0, 256, (2, 3, 6, 5)).astype(np.uint8)
    (folder / "data").mkdir()
    for name in ("val", "val_target"):
        lmdb_writer.write(folder / f"data/{name}_lmdb", noisy, np.zeros(2, int))
    words = ["a.png", "--preprocess", "preprocess.json"]
    _, found = asked(TRAINED, capsys, *words)
    (item,) = found["pictures"]
    own = minidl.Net(DENOISER, weights="net.caffemodel")
    own.forward(data=seen("a.png")[None])
    made = np.clip(own.blobs["c"].data[0].astype("f8") / 0.02 + 90, 0, 255)
    assert np.abs(pixels(item["output_png"]) - made[::-1].transpose(1, 2, 0)).max() <= 0.51


def test_a_map_with_the_shares_of_its_classes(capsys):
    net = minidl.prototxt.deploy.for_use(minidl.prototxt.read_net(MAPS), (1, 3, 6, 5))
    del net.layer[-1]
    text = minidl.prototxt.to_text(net)
    text += 'layer { name: "p" type: "Softmax" bottom: "score" top: "p" }'
    net, found = asked(text, capsys, "a.png")
    (item,) = found["pictures"]
    net.forward(data=seen("a.png")[None])
    answers = net.blobs["p"].data[0].argmax(axis=0)
    counts = {str(n): np.mean(answers == n) for n in range(4)}
    names = {"0": "background", "1": "cat"}
    assert {label: share for label, share in item["shares"]} == pytest.approx(
        {names.get(n, n): share for n, share in counts.items() if share}
    )


def test_boxes_of_each_picture(capsys):
    _, found = asked(FINDER, capsys, "a.png", "b.png")
    assert found["task"] == "detection"
    for item in found["pictures"]:
        assert item["size"] == [6, 5] and item["boxes"]
        assert all(label == "cat" for label, *_ in item["boxes"])
        scores = [score for _, score, *_ in item["boxes"]]
        assert scores == sorted(scores, reverse=True)
        assert all(0.25 <= edge <= 0.75 for _, _, *edges in item["boxes"] for edge in edges)


def test_a_target_needs_a_net_that_answers_with_one_picture(capsys):
    asked(DENOISER, capsys, "a.png")
    flags = ["--model", "net.prototxt", "--weights", "net.caffemodel", "--target", "b.png"]
    assert main(["classify", "a.png", *flags]) == 2
    assert "--target needs --json" in capsys.readouterr().err
    assert main(["classify", "a.png", "b.png", *flags, "--json"]) == 2
    assert "given for 2 pictures" in capsys.readouterr().err
