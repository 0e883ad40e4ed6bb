"""Detections: which are right, and the mean average precision."""

import csv

import numpy as np
import pytest

from minidl import Net, schema
from minidl.evaluation import boxes
from minidl.evaluation.items import Choice, Evaluation
from tests.data.support import annotated, write_lmdb
from tests.evaluation.support import evaluated, make_run

RNG = np.random.default_rng(3)


def box(number, edges, score=1.0, right=1):
    found = np.zeros(1, boxes.DTYPE)
    found["class"], found["score"], found["box"], found["right"] = number, score, edges, right
    return found


def test_the_surest_box_takes_the_object():
    objects = np.concatenate([box(1, (0, 0, 0.4, 0.4)), box(1, (0.5, 0.5, 0.9, 0.9))])
    found = np.concatenate(
        [
            box(1, (0, 0, 0.4, 0.38), 0.6),  # the object is taken by then
            box(1, (0, 0, 0.4, 0.3), 0.9),
            box(2, (0, 0, 0.4, 0.4), 0.95),  # of another class
            box(1, (0.5, 0.5, 0.9, 0.69), 0.99),  # overlaps by 0.475
        ]
    )
    boxes.judge(found, objects)
    assert found["right"].tolist() == [0, 1, 0, 0]


def test_a_box_upon_a_difficult_object_is_of_no_account():
    objects = np.concatenate([box(1, (0, 0, 0.5, 0.5), right=-1)])
    found = np.concatenate([box(1, (0, 0, 0.5, 0.5), 0.9), box(1, (0.6, 0, 1, 1), 0.8)])
    boxes.judge(found, objects)
    assert found["right"].tolist() == [-1, 0]


def test_overlap_by_counting_cells():
    one = np.array([0.2, 0.1, 0.7, 0.6])
    others = np.array([[0.4, 0.3, 0.9, 0.9], [0.7, 0.1, 0.9, 0.9], [0.2, 0.1, 0.7, 0.6]])
    grid = np.arange(10) / 10 + 0.05

    def cells(b):
        return (grid[:, None] > b[1]) & (grid[:, None] < b[3]) & (grid > b[0]) & (grid < b[2])

    expected = [(cells(one) & cells(b)).sum() / (cells(one) | cells(b)).sum() for b in others]
    np.testing.assert_allclose(boxes.overlaps(one, others), expected, rtol=1e-12)


NET = """
name: "finder"
layer { name: "data" type: "AnnotatedData" top: "data" top: "label" include { phase: TEST }
  data_param { source: "data/val_lmdb" batch_size: 2 backend: LMDB }
  annotated_data_param { anno_type: BBOX } }
layer { name: "map" type: "Convolution" bottom: "data" top: "map" convolution_param {
  num_output: 4 kernel_size: 8 stride: 8 weight_filler { type: "gaussian" std: 0.01 } } }
layer { name: "priors" type: "PriorBox" bottom: "map" bottom: "data" top: "priors"
  prior_box_param { min_size: 12 variance: [0.1, 0.1, 0.2, 0.2] clip: true } }
layer { name: "loc" type: "Convolution" bottom: "map" top: "loc" convolution_param {
  num_output: 4 kernel_size: 1 weight_filler { type: "gaussian" std: 0.01 } } }
layer { name: "conf" type: "Convolution" bottom: "map" top: "conf" convolution_param {
  num_output: 3 kernel_size: 1 weight_filler { type: "gaussian" std: 0.5 } } }
layer { name: "a" type: "Permute" bottom: "loc" top: "a" permute_param { order: [0, 2, 3, 1] } }
layer { name: "b" type: "Permute" bottom: "conf" top: "b" permute_param { order: [0, 2, 3, 1] } }
layer { name: "fa" type: "Flatten" bottom: "a" top: "fa" }
layer { name: "r" type: "Reshape" bottom: "b" top: "r"
  reshape_param { shape { dim: [0, -1, 3] } } }
layer { name: "p" type: "Softmax" bottom: "r" top: "p" softmax_param { axis: 2 } }
layer { name: "fp" type: "Flatten" bottom: "p" top: "fp" }
layer { name: "found" type: "DetectionOutput" bottom: "fa" bottom: "fp" bottom: "priors"
  top: "found" detection_output_param { num_classes: 3 code_type: CENTER_SIZE keep_top_k: 9
    confidence_threshold: 0.2 nms_param { nms_threshold: 0.6 top_k: 9 } } }
layer { name: "eval" type: "DetectionEvaluate" bottom: "found" bottom: "label" top: "eval"
  detection_evaluate_param { num_classes: 3 overlap_threshold: 0.5
    evaluate_difficult_gt: false } }
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    pixels = RNG.integers(0, 256, (5, 3, 32, 48), np.uint8)
    corners = RNG.integers(0, 3, (5, 4, 2)) * 0.25
    records = []
    for image, places in zip(pixels, corners, strict=True):
        rows = [
            (1 + i % 2, i, x, y, x + 0.25, y + 0.375, i == 3) for i, (x, y) in enumerate(places)
        ]
        records.append(annotated(image, rows))
    write_lmdb(
        tmp_path / "data/val_lmdb", [(b"%08d_%d.png" % (i, i), r) for i, r in enumerate(records)]
    )
    return make_run(tmp_path, NET, labels=("background", "cat", "dog"), description=False)


def test_map_is_that_of_a_test_by_the_solver(run, tmp_path):
    """Of records that fill their batches: the solver counts the others twice."""
    from minidl.solver import detection

    facts = evaluated(run, tmp_path / "e", count=4)
    test = detection.Detections("MaxIntegral", "here")
    with Net(NET, schema.TEST, weights="run/x_iter_7.caffemodel") as net:
        for _ in range(2):
            net.forward()
            test.add("eval", net.blobs["eval"].data.copy())
    expected = test.figures(2)["eval"]
    assert facts["task"] == "detection" and 0 < expected < 1
    assert facts["map"] == pytest.approx(expected, abs=1e-6)
    for row in facts["per_class"]:
        number = int(row["label"])
        assert row["ap"] == pytest.approx(test.classes["eval"][number], abs=1e-6)


def test_boxes_of_every_record(run, tmp_path):
    facts = evaluated(run, tmp_path / "e")
    assert facts["records"] == 5
    with open("e/boxes.csv") as file:
        rows = list(csv.DictReader(file))
    with open("e/predictions.csv") as file:
        counts = list(csv.DictReader(file))
    assert [row["name"] for row in counts] == [f"{i}.png" for i in range(5)]
    assert len(rows) == sum(int(row["found"]) for row in counts)  # none of the batch's rest
    for i, row in enumerate(counts):
        own = [r for r in rows if r["index"] == str(i)]
        assert int(row["found"]) == len(own) > 0
        assert int(row["right"]) == sum(r["right"] == "1" for r in own)
        assert row["objects"] == "3"  # the fourth is difficult
    item = Evaluation(tmp_path / "e").items(Choice(indices=(4,)))["items"][0]
    assert len(item["boxes"]) == int(counts[4]["found"]) and len(item["objects"]) == 4
    label, score, x1, y1, x2, y2 = item["boxes"][0]
    assert label in ("1", "2") and 0.2 < score <= 1 and x1 < x2 and y1 < y2
    assert item["size"] == [32, 48] and item["png"]
