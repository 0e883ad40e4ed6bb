"""Segmentation: figures over pixels against loops, colours against PASCAL VOC's first ones."""

import numpy as np
import pytest

import minidl
from minidl.data import lmdb_writer
from minidl.evaluation.items import Choice, Evaluation
from tests.evaluation.support import evaluated, make_run

RNG = np.random.default_rng(1)
IGNORE = 255
PICTURES = RNG.integers(0, 256, (5, 3, 4, 6)).astype(np.uint8)
TRUTH = RNG.choice([0, 1, 2, IGNORE], (5, 1, 4, 6)).astype(np.uint8)
TRUTH[3] = IGNORE

NET = """
name: "maps"
layer { name: "x" type: "Data" top: "data" include { phase: TEST }
  transform_param { mean_value: 100 }
  data_param { source: "data/val_lmdb" batch_size: 2 backend: LMDB } }
layer { name: "y" type: "Data" top: "label" include { phase: TEST }
  data_param { source: "data/label_lmdb" batch_size: 2 backend: LMDB } }
layer { name: "score" type: "Convolution" bottom: "data" top: "score" convolution_param {
  num_output: 4 kernel_size: 1 weight_filler { type: "gaussian" std: 0.01 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss"
  loss_param { ignore_label: 255 } }
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    for name, images in (("val", PICTURES), ("label", TRUTH)):
        lmdb_writer.write(tmp_path / f"data/{name}_lmdb", images, np.zeros(5, int))
    return make_run(tmp_path, NET, labels=("sky", "road", "car", "none"))


def scores():
    with minidl.Net(NET, minidl.TEST, weights="run/x_iter_7.caffemodel") as net:
        found = []
        for _ in range(3):
            net.forward()
            found.append(net.blobs["score"].data.astype("f8"))
    return np.concatenate(found)[:5]


def test_overlap_accuracy_and_loss_count_every_pixel_with_a_label(run, tmp_path):
    facts = evaluated(run, tmp_path / "e")
    found = scores()
    answers, right, losses = found.argmax(axis=1), [], []
    matrix = np.zeros((4, 4), int)
    for n, _, y, x in np.ndindex(TRUTH.shape):
        t = TRUTH[n, 0, y, x]
        if t != IGNORE:
            row = np.exp(found[n, :, y, x])
            losses.append(-np.log(row[t] / row.sum()))
            right.append(answers[n, y, x] == t)
            matrix[t, answers[n, y, x]] += 1
    assert facts["task"] == "segmentation" and facts["labels"][1] == "road"
    assert facts["accuracy"] == pytest.approx(np.mean(right))
    assert facts["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert facts["confusion"] == matrix.tolist()
    for c, value in enumerate(facts["iou"]):
        union = matrix[c].sum() + matrix[:, c].sum() - matrix[c, c]
        assert value == (pytest.approx(matrix[c, c] / union) if union else None)
    known = [value for value in facts["iou"] if value is not None]
    assert facts["miou"] == pytest.approx(np.mean(known))


def test_maps_are_kept_and_shown_in_colours(run, tmp_path):
    evaluated(run, tmp_path / "e")
    answers = scores().argmax(axis=1)
    np.testing.assert_array_equal(np.load("e/outputs.npy")[:, 0], answers)
    np.testing.assert_array_equal(np.load("e/targets.npy"), TRUTH)
    np.testing.assert_array_equal(np.load("e/inputs.npy"), PICTURES)
    (item,) = Evaluation(tmp_path / "e").items(Choice(indices=(2,)))["items"]
    assert item["output_png"] != item["target_png"]
    assert item["accuracy"] == pytest.approx(
        (answers[2] == TRUTH[2, 0])[TRUTH[2, 0] != IGNORE].mean()
    )
    (blank,) = Evaluation(tmp_path / "e").items(Choice(indices=(3,)), None)["items"]
    assert np.isnan(blank["accuracy"])  # no pixel of it has a label
