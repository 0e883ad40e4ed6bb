"""Figures against their definitions in plain loops."""

import math

import numpy as np
import pytest

from minidl import Net
from minidl.evaluation import measures
from minidl.evaluation.measures import UNKNOWN

RNG = np.random.default_rng(4)


def tied(count, classes):
    """Scores of few values, so that many tie, some NaN, and labels, some unknown."""
    scores = RNG.integers(-2, 3, (count, classes)).astype(np.float32)
    scores[::7, 1] = np.nan
    scores[3] = 0.5
    truth = RNG.integers(0, classes, count)
    truth[::5] = UNKNOWN
    return scores, truth


@pytest.mark.parametrize("classes, most", [(3, 5), (7, 5), (60, 5), (200, 1)])
def test_a_rank_counts_the_classes_that_are_not_worse(classes, most):
    scores, truth = tied(50, classes)
    found = measures.ranked(scores, truth, most)
    assert found.classes.shape == (50, min(most, classes))
    for row, t, best, rank in zip(scores, truth, found.classes, found.rank, strict=True):
        if t == UNKNOWN:
            assert rank == classes
        else:
            assert rank == sum(not row[c] < row[t] for c in range(classes) if c != t)
        values = row[best]
        kept = sorted((v for v in row if v == v), reverse=True)[: len(best)]
        assert [v for v in values if v == v] == kept[: np.sum(values == values)]
        assert len(set(best.tolist())) == len(best)
        assert t == UNKNOWN or (best[0] == t) == (rank == 0)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_ranks_agree_with_the_accuracy_layer(k):
    scores, truth = tied(40, 4)
    truth = np.abs(truth)
    text = f"""
    layer {{ name: "in" type: "Input" top: "x" top: "t" input_param {{
        shape {{ dim: [40, 4] }} shape {{ dim: [40] }} }} }}
    layer {{ name: "a" type: "Accuracy" bottom: "x" bottom: "t" top: "a"
        accuracy_param {{ top_k: {k} }} }}"""
    expected = float(Net(text).forward(x=scores, t=truth)["a"])
    assert (measures.ranked(scores, truth).rank < k).mean() == pytest.approx(expected, abs=1e-7)


def test_the_loss_is_that_of_the_layer():
    scores, truth = (
        RNG.standard_normal((6, 3)).astype(np.float32) * 50,
        np.array([0, 1, 2, 0, 1, 2]),
    )
    text = """
    layer { name: "in" type: "Input" top: "x" top: "t" input_param {
        shape { dim: [6, 3] } shape { dim: [6] } } }
    layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "l" }"""
    expected = float(Net(text).forward(x=scores, t=truth)["l"])
    found = measures.log_loss(measures.softmax(scores), truth)
    assert found.mean() == pytest.approx(expected, rel=1e-5)
    assert found.max() > 20  # some are far off, so that the floor matters
    unknown = measures.log_loss(measures.softmax(scores), np.array([UNKNOWN] * 6))
    assert np.isnan(unknown).all()


def test_counts_of_pairs():
    truth, answers = np.array([0, 0, 2, 1, 255, -1]), np.array([0, 2, 2, 0, 1, 0])
    assert measures.count_pairs(truth, answers, 3).tolist() == [[1, 0, 1], [1, 0, 0], [0, 0, 1]]


def test_precision_recall_f1_and_overlap_of_a_class():
    confusion = np.array([[3, 1, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    a, b, c, _ = measures.by_class(confusion, ["a", "b", "c", "d"])
    assert (a["records"], a["right"]) == (4, 3)
    assert a["precision"] == 3 / 5 and a["recall"] == 3 / 4
    p, r = 3 / 5, 3 / 4
    assert a["f1"] == pytest.approx(2 * p * r / (p + r))
    assert (b["precision"], b["recall"], b["f1"]) == (0, 0, 0)
    assert (c["precision"], c["recall"], c["f1"]) == (None, None, None)
    assert measures.overlap(confusion) == [3 / 6, 0, None, None]


def test_psnr_of_a_known_error():
    pictures = np.full((2, 1, 2, 2), 10.0)
    targets = np.array([[[[10, 10], [10, 30]]], [[[10, 10], [10, 10]]]], np.uint8)
    errors = measures.squared_error(pictures, targets)
    assert errors.tolist() == [100, 0]
    found = measures.psnr(errors)
    assert found[0] == pytest.approx(20 * math.log10(255 / 10))
    assert found[1] == measures.BEST_PSNR
    assert measures.psnr(errors / 255**2, peak=1.0)[0] == pytest.approx(found[0])
