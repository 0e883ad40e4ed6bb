"""MultinomialLogisticLoss against its definition, its derivative, and its refusals."""

import math

import numpy as np
import pytest

from minidl.errors import LabelError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

PROBABILITIES = np.random.default_rng(7).uniform(0.05, 1, (4, 3, 2))
LABELS = np.array([0, 5, 3, 1])


def test_the_loss_is_the_mean_surprise():
    rows = PROBABILITIES.reshape(4, 6)
    expected = -sum(math.log(rows[i, t]) for i, t in enumerate(LABELS)) / 4
    _, (loss,) = run(build("MultinomialLogisticLoss"), PROBABILITIES, LABELS)
    assert loss.data.shape == ()
    assert float(loss.data) == pytest.approx(expected, rel=1e-12)


def test_backward_is_the_derivative_of_forward():
    check_backward(build("MultinomialLogisticLoss"), PROBABILITIES, LABELS)


def test_it_agrees_with_softmax_with_loss_on_a_softmax():
    scores = np.random.default_rng(8).standard_normal((4, 6))
    _, (prob,) = run(build("Softmax"), scores)
    _, (loss,) = run(build("MultinomialLogisticLoss"), prob.data, LABELS)
    _, (expected,) = run(build("SoftmaxWithLoss"), scores, LABELS)
    assert float(loss.data) == pytest.approx(float(expected.data), rel=1e-12)


def test_nothing_counts_as_less_likely_than_1e_20():
    layer = build("MultinomialLogisticLoss")
    bottom, (loss,) = run(layer, [[0.0, 1.0]], [0])
    assert float(loss.data) == pytest.approx(20 * math.log(10))
    loss.diff[...] = 1
    layer.backward([loss], [True, False], bottom)
    np.testing.assert_allclose(bottom[0].diff, [[-1e20, 0]])


def test_a_label_that_is_no_class_is_refused():
    with pytest.raises(LabelError, match="label 3 of 'x1' is -1"):
        run(build("MultinomialLogisticLoss"), PROBABILITIES, [0, 1, 1, -1])
