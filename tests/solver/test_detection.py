"""Average precision against its definitions, one detection at a time; tests that compute it."""

import logging

import numpy as np
import pytest

from minidl.errors import SolverError
from minidl.solver import detection
from minidl.solver.means import Means
from tests.solver.support import make, solver_param


def drawn(seed, count, objects, digits=2):
    """Scores, with equal ones among them, and which detections are right."""
    rng = np.random.default_rng(seed)
    right = np.zeros(count)
    right[rng.permutation(count)[: min(objects - 1, count // 2)]] = 1
    return rng.random(count).round(digits).astype(np.float32), right


def in_order(scores, right):
    """Best first, equal ones as they come: by insertion, one after the other."""
    ranked = []
    for pair in zip(scores.tolist(), right.tolist(), strict=True):
        place = len(ranked)
        while place and ranked[place - 1][0] < pair[0]:
            place -= 1
        ranked.insert(place, pair)
    return [hit for _, hit in ranked]


def precisions(hits):
    """The precision at each detection that is right."""
    return [(k, sum(hits[: k + 1]) / (k + 1)) for k, hit in enumerate(hits) if hit]


def integral(hits, objects):
    return sum(p for _, p in precisions(hits)) / objects


def max_integral(hits, objects):
    at = [sum(hits[: k + 1]) / (k + 1) for k in range(len(hits))]
    return sum(max(at[k:]) for k, _ in precisions(hits)) / objects


def eleven_points(hits, objects):
    total = 0
    for tenths in range(11):
        reached = [
            sum(hits[: k + 1]) / (k + 1)
            for k in range(len(hits))
            if 10 * sum(hits[: k + 1]) >= tenths * objects
        ]
        total += max(reached, default=0) / 11
    return total


ORACLES = {"Integral": integral, "MaxIntegral": max_integral, "11point": eleven_points}


@pytest.mark.parametrize("version", ORACLES)
@pytest.mark.parametrize("count, objects", [(1, 2), (40, 7), (200, 13), (5, 33), (60, 41)])
def test_average_precision_follows_its_definition(version, count, objects):
    for seed in range(20):
        scores, right = drawn(seed, count, objects)
        found = detection.VERSIONS[version](*detection.precision_and_recall(scores, right, objects))
        wanted = ORACLES[version](in_order(scores, right), objects)
        assert found == pytest.approx(wanted, abs=2e-6)


def test_by_hand():
    """Right, wrong, wrong, right, of four objects: precision 1, 1/2, 1/3, 1/2; recall 1/4, 1/2."""
    curve = detection.precision_and_recall(
        np.array([0.9, 0.7, 0.5, 0.3]), np.array([1.0, 0, 0, 1]), 4
    )
    np.testing.assert_allclose(curve[0], [1, 1 / 2, 1 / 3, 1 / 2], rtol=1e-6)
    np.testing.assert_allclose(curve[1], [1 / 4, 1 / 4, 1 / 4, 1 / 2])
    assert detection.integral(*curve) == pytest.approx(1 / 4 + 1 / 8)
    assert detection.max_integral(*curve) == pytest.approx(1 / 4 + 1 / 8)
    assert detection.eleven_points(*curve) == pytest.approx((3 + 3 / 2) / 11)  # 0 to 0.2; to 0.5


def test_nine_of_ten_are_not_nine_tenths_in_the_forks_numbers():
    curve = detection.precision_and_recall(np.arange(9.0)[::-1], np.ones(9), 10)
    assert detection.eleven_points(*curve) == pytest.approx(9 / 11)


HEADS = [(-1, 1, 3, -1, -1), (-1, 2, 1, -1, -1), (-1, 3, 0, -1, -1)]


def rows(*detections):
    return np.array([*HEADS, *detections], np.float32).reshape(1, 1, -1, 5)


def test_batches_are_put_together_and_classes_averaged(caplog):
    collected = detection.Detections("Integral", "solver")
    collected.add("eval", rows((0, 1, 0.9, 1, 0), (1, 1, 0.4, 0, 1), (1, 3, 0.4, 0, 1)))
    collected.add("eval", rows((0, 1, 0.6, 1, 0), (0, 2, 0.1, 0, 0)))
    with caplog.at_level(logging.WARNING, logger="minidl"):
        figures = collected.figures(2)
    assert collected.classes["eval"] == {
        1: pytest.approx(2 / 6),
        2: 0,
        3: 0,
    }  # 2 of 6 objects, without a mistake
    assert "class 2: nothing was detected" in caplog.text  # what is neither right nor wrong
    assert figures == {"eval": pytest.approx(1 / 9)}


def test_other_outputs_are_refused():
    with pytest.raises(SolverError, match=r"'loss' has the shape \(\)(.|\n)*DetectionEvaluate"):
        detection.Detections("Integral", "solver").add("loss", np.zeros(()))


NET = """
layer { name: "data" type: "DummyData" top: "data" top: "target"
  dummy_data_param { shape { dim: 2 dim: 3 } shape { dim: 2 dim: 1 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 1 } }
layer { name: "loss" type: "EuclideanLoss" bottom: "ip" bottom: "target" top: "loss"
  include { phase: TRAIN } }
layer { name: "quiet" type: "Silence" bottom: "ip" bottom: "target" include { phase: TEST } }
layer { name: "boxes" type: "DummyData" top: "found" top: "objects" include { phase: TEST }
  dummy_data_param { shape { dim: 1 dim: 1 dim: 4 dim: 7 } shape { dim: 1 dim: 1 dim: 2 dim: 8 }
    data_filler { type: "constant" value: 1 } data_filler { type: "constant" value: 1 } } }
layer { name: "eval" type: "DetectionEvaluate" bottom: "found" bottom: "objects"
  top: "detection_eval" include { phase: TEST }
  detection_evaluate_param { num_classes: 3 } }
"""
FIELDS = 'test_iter: 2 test_interval: 1 max_iter: 1 eval_type: "detection" '


def test_a_solver_says_the_mean_average_precision(caplog):
    with caplog.at_level(logging.INFO, logger="minidl"):
        solver = make(FIELDS + "show_per_class_result: true", NET)
        (result,) = solver.test_all()
    # every detection is one point at (1, 1), where the objects are points, too: none overlaps
    assert result["outputs"] == {"detection_eval": 0.0}
    assert result["classes"] == {"detection_eval": {1: 0.0, 2: 0.0}}
    lines = [record.getMessage() for record in caplog.records]
    assert "class1: 0" in lines and "class2: 0" in lines
    assert "    Test net output #0: detection_eval = 0" in lines
    solver.close()


def test_without_eval_type_a_changing_output_is_refused():
    means = Means("solver.prototxt:3")
    means.add("eval", np.zeros((1, 1, 3, 5)))
    with pytest.raises(SolverError, match=r"solver.prototxt:3(.|\n)*'eval'(.|\n)*eval_type"):
        means.add("eval", np.zeros((1, 1, 4, 5)))


@pytest.mark.parametrize(
    "fields, words",
    [
        ('eval_type: "detect"', "unknown eval_type 'detect'(.|\n)*detection"),
        ('ap_version: "11points"', "unknown ap_version '11points'(.|\n)*11point"),
    ],
)
def test_unknown_words_are_refused(fields, words):
    with pytest.raises(SolverError, match=words):
        make(fields)


def test_that_a_field_has_no_effect_is_said(caplog):
    with caplog.at_level(logging.INFO, logger="minidl"):
        make('ap_version: "11point"').close()
    assert "ap_version has no effect" in caplog.text


def test_the_defaults_are_those_of_the_fork():
    param = solver_param()
    assert (param.eval_type, param.ap_version) == ("classification", "Integral")
