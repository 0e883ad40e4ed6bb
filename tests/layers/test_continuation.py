"""ContinuationIndicator, and LabelsequenceAccuracy against reading letter by letter."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.harness import build, run


def test_all_sequences_begin_in_the_first_step():
    _, (y,) = run(build("ContinuationIndicator", time_step=3, batch_size=2))
    assert y.data.tolist() == [[0, 0], [1, 1], [1, 1]]


@pytest.mark.parametrize("given", [dict(time_step=3), dict(batch_size=2)])
def test_a_size_that_is_missing_is_refused(given):
    with pytest.raises(LayerConfigError, match="is 0 or missing"):
        build("ContinuationIndicator", **given)


def scores_of(paths, classes=4):
    return np.eye(classes)[np.array(paths)]


def share(paths, labels, **keywords):
    layer = build("LabelsequenceAccuracy", **keywords)
    _, (y,) = run(layer, scores_of(paths), np.array(labels, float))
    return float(y.data)


def test_repetitions_count_once_and_blanks_not_at_all():
    labels = [[1, 2], [1, 1], [1, 2], [3, 0]]
    paths = [[0, 1, 1, 2], [1, 0, 1, 1], [1, 2, 0, 2], [0, 3, 3, 0]]
    assert share(paths, labels) == 3 / 4
    assert share([[1, 1, 1, 1]], [[1, 1]]) == 0
    assert share([[0, 0, 0, 0]], [[0, 0]]) == 1


def test_the_blank_may_be_another_class():
    assert share([[0, 3, 0, 3]], [[0, 0, 3]], blank_label=3) == 1
    assert share([[0, 3, 0, 3]], [[0, 0, 3]], blank_label=2) == 0


def test_of_equal_scores_the_first_class_is_read():
    layer = build("LabelsequenceAccuracy", blank_label=3)
    _, (y,) = run(layer, np.ones((1, 2, 4)), np.array([[0.0]]))
    assert y.data == 1


def test_what_does_not_fit_is_refused():
    with pytest.raises(LayerConfigError, match=r"\(N, T, C\) and \(N, L\)"):
        build("LabelsequenceAccuracy").top_shapes((4, 5, 3), (3, 2))
