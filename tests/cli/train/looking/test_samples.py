"""samples/ITER: the pictures as the net sees them, and what it answers, for every kind of net."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from minidl import preprocess, schema
from minidl.cli import main
from minidl.data import described, lmdb_writer
from minidl.data.described import DataSet, Split

image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
pytest.importorskip("lmdb", reason="lmdb is not installed")


def samples(iteration, folder="run"):
    return json.loads(Path(folder, f"samples/{iteration:06d}/samples.json").read_text())


def pixels(iteration, name, folder="run"):
    data = Path(folder, f"samples/{iteration:06d}", name).read_bytes()
    return np.asarray(image.open(io.BytesIO(data)))


def test_a_classifiers_samples_have_its_best_answers(run_folder, capsys):
    text = (run_folder / "net.prototxt").read_text()
    parts = text.split("transform_param { scale: 0.0039 crop_size: 7 }")
    text = "transform_param { scale: 0.0039 crop_size: 7 mean_value: 100 }".join(parts)
    (run_folder / "net.prototxt").write_text(text)
    assert main(["train", "solver.prototxt", "--samples", "2", "--sample-count", "7"]) == 0
    events = [json.loads(line) for line in Path("run/events.jsonl").read_text().splitlines()]
    found = [(e["iter"], e["folder"]) for e in events if e["event"] == "samples"]
    assert found == [(1, "samples/000001"), (13, "samples/000013"), (20, "samples/000020")]
    told = samples(13)
    assert told["iter"] == 13 and len(told["items"]) == 7  # of batches of 5
    assert [item["label"] for item in told["items"]] == ["0", "1", "2"] * 2 + ["0"]
    for i, item in enumerate(told["items"]):
        names, scores = zip(*item["predicted"], strict=True)
        assert sorted(names) == ["0", "1", "2"] and sum(scores) == pytest.approx(1, abs=1e-4)
        assert list(scores) == sorted(scores, reverse=True)
        assert item["input"] == f"{i}.png" and "output" not in item
    from minidl.data.sources.lmdb import Lmdb

    store = Lmdb(Path("test_lmdb"))
    for i in (0, 6):
        whole = store[i].image[0, 1:8, 1:8].astype(int)  # the middle, with scale and mean undone
        assert np.abs(pixels(13, f"{i}.png").astype(int) - whole).max() <= 1
    store.close()


def test_the_samples_are_the_same_every_time_and_answers_get_better(run_folder, capsys):
    words = ["--samples", "2", "--sample-count", "15", "--set", "max_iter=200"]
    assert main(["train", "solver.prototxt", *words]) == 0
    first, last = samples(1), samples(200)
    for a, b in zip(first["items"], last["items"], strict=True):
        assert a["label"] == b["label"]
        np.testing.assert_array_equal(pixels(1, a["input"]), pixels(200, b["input"]))
    right = [
        sum(x["predicted"][0][0] == x["label"] for x in told["items"]) for told in (first, last)
    ]
    assert right[1] > right[0]


def pair_set(targets, **more):
    """The data set `p` of pairs of 8 x 8: dark and light pictures, or pictures and labels."""
    rng = np.random.default_rng(2)
    for name, count in [("train", 16), ("val", 6)]:
        first = rng.integers(40, 200, (count, 1, 8, 8)).astype(np.uint8)
        second = first + 20 if targets == "image" else (first > 120).astype(np.uint8) * 2
        lmdb_writer.write(Path(f"p/{name}_a"), first, np.zeros(count, int))
        lmdb_writer.write(Path(f"p/{name}_b"), second, np.zeros(count, int))
    splits = {n: Split(c, f"{n}_a", target=f"{n}_b") for n, c in [("train", 16), ("val", 6)]}
    found = DataSet("pairs", splits, "", (8, 8), 1, targets=targets)
    described.write("p", replace(found, **more))
    transform = schema.TransformationParameter(mean_value=[70])
    labels = more.get("labels", ())
    preprocess.Preprocess(transform, "gray", labels).write("p/preprocess.json")


DENOISE = """
layer { name: "in" type: "Data" top: "data" transform_param { scale: 0.00390625 } }
layer { name: "out" type: "Data" top: "label" transform_param { scale: 0.0078125 } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param {
  num_output: 1 kernel_size: 1 weight_filler { type: "constant" value: WEIGHT }
  bias_filler { type: "constant" value: BIAS } } param { lr_mult: 0 } param { lr_mult: 0 } }
layer { name: "loss" type: "EuclideanLoss" bottom: "conv" bottom: "label" top: "loss" }
"""


def test_an_image_net_shows_input_output_target_and_psnr(tmp_path, monkeypatch, capsys):
    """A net that cannot learn, and whose output is the target less 10: it leaves out half of it."""
    monkeypatch.chdir(tmp_path)
    Path("p").mkdir()
    pair_set("image")
    # conv = 2 * x / 256 + bias, which is (x + 10) / 128 for this bias
    text = DENOISE.replace("WEIGHT", "2").replace("BIAS", str(10 / 128))
    Path("net.prototxt").write_text(text)
    words = ["--net", "net.prototxt", "--data", "p", "--out", "run", "--epochs", "1"]
    assert main(["train", *words, "--samples", "1"]) == 0
    told = samples(1)
    assert len(told["items"]) == 6  # there are no more, and none comes twice
    for i, item in enumerate(told["items"]):
        assert item == {
            "input": f"{i}.png",
            "output": f"{i}_out.png",
            "target": f"{i}_target.png",
            "psnr": pytest.approx(10 * np.log10(255**2 / 10**2), abs=0.01),
        }
        given, made, wanted = (
            pixels(1, item[n]).astype(int) for n in ("input", "output", "target")
        )
        assert np.abs(made - (given + 10)).max() <= 1 and np.abs(wanted - (given + 20)).max() <= 1


def test_a_class_for_each_pixel_has_its_colour(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("p").mkdir()
    pair_set("classes", labels=("a", "b", "c"))
    Path("net.prototxt").write_text("""
layer { name: "in" type: "Data" top: "data" top: "label" transform_param { scale: 0.00390625 } }
layer { name: "score" type: "Convolution" bottom: "data" top: "score"
  convolution_param { num_output: 3 kernel_size: 1 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }
""")
    words = ["--net", "net.prototxt", "--data", "p", "--out", "run", "--epochs", "1"]
    assert main(["train", *words, "--samples", "1", "--sample-count", "2"]) == 0
    for item in samples(1)["items"]:
        given = pixels(1, item["input"])
        wanted = np.asarray(image.open(f"run/samples/000001/{item['target']}"))
        np.testing.assert_array_equal(wanted, np.where(given > 120, 2, 0))
        answer = np.asarray(image.open(f"run/samples/000001/{item['output']}"))
        assert answer.shape == (8, 8) and answer.max() <= 2 and "psnr" not in item


AUTO = """
layer { name: "in" type: "Data" top: "data" transform_param { scale: 0.00390625 } }
layer { name: "flat" type: "Flatten" bottom: "data" top: "flat" }
layer { name: "code" type: "InnerProduct" bottom: "flat" top: "code"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "back" type: "InnerProduct" bottom: "code" top: "back" param { lr_mult: 0 }
  param { lr_mult: 0 } inner_product_param { num_output: 64 } }
layer { name: "loss" type: "SigmoidCrossEntropyLoss" bottom: "back" bottom: "flat" top: "loss" }
"""


def test_an_autoencoder_is_compared_with_its_own_input(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("p").mkdir()
    pair_set("image")
    Path("p/preprocess.json").unlink()
    Path("net.prototxt").write_text(AUTO)
    words = ["--net", "net.prototxt", "--data", "p", "--out", "run", "--epochs", "1"]
    assert main(["train", *words, "--samples", "1", "--sample-count", "1"]) == 0
    (item,) = samples(1)["items"]
    np.testing.assert_array_equal(pixels(1, item["input"]), pixels(1, item["target"]))
    made = pixels(1, item["output"])  # of a net of zeros: a half of everything
    assert made.shape == (8, 8) and set(made.flat) == {128} and 0 < item["psnr"] < 30
