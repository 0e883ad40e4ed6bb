"""FocalLoss against its formula, its derivative, SoftmaxWithLoss, and its refusals."""

import math

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

RNG = np.random.default_rng(8)
SCORES = RNG.standard_normal((3, 4, 5)) * 2
LABELS = RNG.integers(4, size=(3, 5)).astype(float)


@pytest.mark.parametrize("gamma, alpha", [(2, 0.25), (0.5, 1.5), (0, 1)])
@pytest.mark.parametrize("ignore", [None, 1])
def test_forward_weighs_the_surprise_of_each_item(gamma, alpha, ignore):
    more = {} if ignore is None else {"ignore_label": ignore}
    layer = build("FocalLoss", gamma=gamma, alpha=alpha, **more)
    _, (loss,) = run(layer, SCORES, LABELS)
    total, count = 0.0, 0
    for n, i in np.ndindex(3, 5):
        label = int(LABELS[n, i])
        if label == ignore:
            continue
        powers = [math.exp(s) for s in SCORES[n, :, i]]
        p = powers[label] / sum(powers)
        total -= alpha * (1 - p) ** gamma * math.log(p)
        count += 1
    np.testing.assert_allclose(loss.data, total / count, rtol=1e-12)


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2])
def test_backward_is_the_derivative_of_forward(gamma):
    layer = build("FocalLoss", tops=2, gamma=gamma, alpha=0.7, ignore_label=2)
    check_backward(layer, SCORES, LABELS)


def test_without_gamma_it_is_softmax_with_loss():
    focal = build("FocalLoss", gamma=0, alpha=1)
    plain = build("SoftmaxWithLoss")
    results = []
    for layer in (focal, plain):
        bottom, top = run(layer, SCORES, LABELS)
        top[0].diff.fill(1)
        layer.backward(top, [True, False], bottom)
        results.append((float(top[0].data), bottom[0].diff.copy()))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-12)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-12)


@pytest.mark.parametrize("gamma", [0, 0.5, 2])
def test_an_item_that_is_certain_adds_nothing_and_no_nan(gamma):
    layer = build("FocalLoss", gamma=gamma)
    bottom, top = run(layer, np.array([[1000.0, 0, 0]]), np.array([0.0]))
    top[0].diff.fill(1)
    layer.backward(top, [True, False], bottom)
    assert abs(float(top[0].data)) < 1e-9
    np.testing.assert_allclose(bottom[0].diff, 0, atol=1e-4)


@pytest.mark.parametrize(
    "keywords, words",
    [
        (dict(gamma=-1), "gamma is -1"),
        (dict(alpha=0), "alpha is 0"),
        (dict(class_weight=[1, 2]), "does not support class_weight"),
    ],
)
def test_what_it_cannot_do_is_refused(keywords, words):
    with pytest.raises(LayerConfigError, match=words):
        build("FocalLoss", **keywords)


def test_the_straight_form_is_refused_by_name():
    with pytest.raises(LayerConfigError, match=r"(?s)type LINEAR is not supported.*type: ORIGIN"):
        build("FocalLoss", focal_loss_param=dict(type="LINEAR"))
