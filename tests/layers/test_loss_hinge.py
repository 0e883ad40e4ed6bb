"""HingeLoss against its definition, its derivative, and its refusals."""

import numpy as np
import pytest

from minidl.errors import LabelError, LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

SCORES = 1.5 * np.random.default_rng(7).standard_normal((4, 2, 3))
LABELS = np.array([0, 5, 3, 1])
norms = pytest.mark.parametrize("norm, power", [("L1", 1), ("L2", 2)])


@norms
def test_every_score_on_the_wrong_side_of_its_margin_costs(norm, power):
    expected = 0
    for item, label in zip(SCORES.reshape(4, 6), LABELS, strict=True):
        for c, x in enumerate(item):
            expected += max(0, 1 - x if c == label else 1 + x) ** power
    _, (loss,) = run(build("HingeLoss", norm=norm), SCORES, LABELS)
    assert float(loss.data) == pytest.approx(expected / 4, rel=1e-12)


@norms
def test_backward_is_the_derivative_of_forward(norm, power):
    check_backward(build("HingeLoss", norm=norm), SCORES, LABELS)


def test_scores_beyond_the_margins_cost_nothing_and_get_no_gradient():
    layer = build("HingeLoss")
    bottom, (loss,) = run(layer, [[1.5, -1.0, -7.0]], [0])
    loss.diff[...] = 1
    layer.backward([loss], [True, False], bottom)
    assert loss.data == 0 and (bottom[0].diff == 0).all()


def test_the_gradient_carries_the_loss_weight():
    layer = build("HingeLoss")
    bottom, (loss,) = run(layer, [[0.0, 0.0], [0.0, 0.0]], [0, 1])
    loss.diff[...] = -3
    layer.backward([loss], [True, False], bottom)
    np.testing.assert_array_equal(bottom[0].diff, [[1.5, -1.5], [-1.5, 1.5]])


def test_a_label_that_is_no_class_is_refused():
    with pytest.raises(LabelError, match="label 1 of 'x1' is 6"):
        run(build("HingeLoss"), SCORES, [0, 6, 1, 1])


def test_another_number_of_labels_is_refused():
    found = r"layer 'loss': scores \(4, 2, 3\) need 4 labels, but 'x1' \(4, 3\) holds 12"
    with pytest.raises(LayerConfigError, match=found):
        build("HingeLoss", name="loss").top_shapes((4, 2, 3), (4, 3))
