"""MultiSoftmaxLoss against its definition, its derivative, and its refusals."""

import math

import numpy as np
import pytest

from minidl.errors import LabelError, LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

RNG = np.random.default_rng(5)
X = RNG.standard_normal((2, 3, 4, 2))
LABELS = RNG.integers(1, 4, (2, 1, 4, 2)).astype(float)


def by_definition(x, labels, scale=1):
    total = 0.0
    for n, i, j in np.ndindex(2, 4, 2):
        scores = x[n, :, i, j]
        true = scores[int(labels[n, 0, i, j]) - 1]
        total -= true - math.log(sum(math.exp(s) for s in scores))
    return scale * total / 2


@pytest.mark.parametrize("keywords", [dict(), dict(scale=0.25)])
def test_labels_begin_at_1_and_places_are_summed(keywords):
    _, (loss,) = run(build("MultiSoftmaxLoss", **keywords), X, LABELS)
    np.testing.assert_allclose(loss.data, by_definition(X, LABELS, **keywords), rtol=1e-12)


def test_backward_is_the_derivative_of_forward():
    check_backward(build("MultiSoftmaxLoss", scale=2.5), X, LABELS)


@pytest.mark.parametrize("label, fix", [(0, "count classes from 1"), (4, "provide 4 scores")])
def test_a_label_that_is_no_class_is_refused(label, fix):
    labels = LABELS.copy()
    labels[1, 0, 2, 1] = label
    with pytest.raises(LabelError, match=rf"is {label}(.|\n)*from 1 to 3(.|\n)*{fix}"):
        run(build("MultiSoftmaxLoss"), X, labels)


@pytest.mark.parametrize("scale", [0, -1, math.inf])
def test_a_scale_that_is_not_above_0_is_refused(scale):
    with pytest.raises(LayerConfigError, match="MultiSoftmaxLoss layer 'loss'.*scale is"):
        build("MultiSoftmaxLoss", name="loss", scale=scale)


def test_other_losses_refuse_a_scale():
    with pytest.raises(LayerConfigError, match="does not support scale(.|\n)*loss_weight"):
        build("SoftmaxWithLoss", scale=2)
