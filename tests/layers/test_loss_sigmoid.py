"""SigmoidCrossEntropyLoss against its definition, its derivative, and its refusals."""

import math

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

CASES = {
    # options, n by hand for scores (3, 4) of which 5 are ignored by ignore_label 1
    "by default": ({}, 3),
    "valid": (dict(normalization="VALID"), 7),
    "full": (dict(normalization="FULL"), 12),
    "none": (dict(normalization="NONE"), 1),
    "old: normalize": (dict(normalize=True), 7),
    "old: do not normalize": (dict(normalize=False), 3),
}
cases = pytest.mark.parametrize("options, n", CASES.values(), ids=CASES.keys())
SCORES = 3 * np.random.default_rng(7).standard_normal((3, 4))
TARGETS = np.array([[1, 0, 0.3, 1.9], [0, 1, 1, 0], [0.5, 0, 1, 0.99]])


def surprise(x, t):
    p = 1 / (1 + math.exp(-x))
    return -(t * math.log(p) + (1 - t) * math.log(1 - p))


@cases
def test_the_loss_is_the_surprise_of_all_that_is_not_ignored(options, n):
    pairs = zip(SCORES.reshape(-1), TARGETS.reshape(-1), strict=True)
    expected = sum(surprise(x, t) for x, t in pairs if int(t) != 1) / n
    layer = build("SigmoidCrossEntropyLoss", ignore_label=1, **options)
    _, (loss,) = run(layer, SCORES, TARGETS)
    assert loss.data.shape == ()
    assert float(loss.data) == pytest.approx(expected, rel=1e-12)


@cases
def test_backward_is_the_derivative_of_forward(options, n):
    check_backward(build("SigmoidCrossEntropyLoss", ignore_label=1, **options), SCORES, TARGETS)


def test_without_ignore_label_everything_counts_and_valid_is_full():
    expected = sum(map(surprise, SCORES.reshape(-1), TARGETS.reshape(-1))) / 12
    layer = build("SigmoidCrossEntropyLoss", normalization="VALID")
    _, (loss,) = run(layer, SCORES, TARGETS.reshape(3, 2, 2))
    assert float(loss.data) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_of_any_size_give_finite_numbers(dtype):
    layer = build("SigmoidCrossEntropyLoss", dtype=dtype)
    bottom, (loss,) = run(layer, [[1e4, -1e4, 1e4, -1e4]], [[1, 0, 0, 1]])
    assert loss.data == 2e4
    loss.diff[...] = 1
    layer.backward([loss], [True, False], bottom)
    np.testing.assert_array_equal(bottom[0].diff, [[0, 0, 1, -1]])


def test_ignored_scores_may_be_anything():
    layer = build("SigmoidCrossEntropyLoss", ignore_label=-1)
    bottom, (loss,) = run(layer, [[np.nan, 0.0]], [[-1, 1]])
    assert loss.data == pytest.approx(math.log(2))
    loss.diff[...] = 2
    layer.backward([loss], [True, False], bottom)
    np.testing.assert_array_equal(bottom[0].diff, [[0, -1]])


def test_another_number_of_targets_is_refused():
    found = r"layer 'loss': scores \(4, 3\) need 12 targets, but 'x1' \(4, 2\) holds 8"
    with pytest.raises(LayerConfigError, match=found):
        build("SigmoidCrossEntropyLoss", name="loss").top_shapes((4, 3), (4, 2))


def test_class_weights_are_refused():
    with pytest.raises(LayerConfigError, match="does not support class_weight"):
        build("SigmoidCrossEntropyLoss", class_weight=[1, 2])
