"""Accuracy against its definition, Caffe's rule for ties, and its refusals."""

import numpy as np
import pytest

from minidl import schema
from minidl.errors import LayerConfigError
from minidl.testing.harness import build, run

CASES = {
    "vectors": ((40, 6), (40,), {}),
    "top 3": ((40, 6), (40,), dict(top_k=3)),
    "top of all": ((5, 4), (5,), dict(top_k=4)),
    "images": ((3, 5, 4, 2), (3, 1, 4, 2), {}),
    "last axis": ((3, 4, 5), (3, 4), dict(axis=-1, top_k=2)),
    "first axis": ((5, 4), (4,), dict(axis=0)),
    "two classes": ((30, 2), (30,), {}),
}
cases = pytest.mark.parametrize("scores, labels, options", CASES.values(), ids=CASES.keys())


def example(scores, labels, options):
    """Scores in steps of a half, so that there are ties, and labels of every class but one."""
    rng = np.random.default_rng(7)
    x = np.round(2 * rng.standard_normal(scores)) / 2
    classes = scores[options.get("axis", 1)]
    return x, rng.integers(max(1, classes - 1), size=labels)


def correct_by_class(x, t, axis=1, top_k=1, ignore_label=None):
    """{class: [whether each of its items is correct]} one item at a time."""
    x = np.moveaxis(x, axis, -1)
    found = {c: [] for c in range(x.shape[-1])}
    for row, label in zip(x.reshape(-1, x.shape[-1]), t.reshape(-1), strict=True):
        if label != ignore_label:
            rivals = sum(row[c] >= row[label] for c in range(len(row)) if c != label)
            found[label].append(rivals < top_k)
    return found


@cases
@pytest.mark.parametrize("ignore", [False, True], ids=["all", "some ignored"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_accuracy_counts_what_is_among_the_best(scores, labels, options, ignore, dtype):
    x, t = example(scores, labels, options)
    if ignore:
        options = {**options, "ignore_label": int(t.reshape(-1)[0])}
    layer = build("Accuracy", tops=2, dtype=dtype, phase=schema.TEST, **options)
    _, (accuracy, by_class) = run(layer, x, t)
    found = correct_by_class(x, t, **options)
    every = sum(found.values(), [])
    assert accuracy.data.shape == ()
    np.testing.assert_allclose(accuracy.data, np.mean(every) if every else 0, rtol=1e-6)
    expected = [np.mean(items) if items else 0 for items in found.values()]
    np.testing.assert_allclose(by_class.data, expected, rtol=1e-6)


def test_a_tie_counts_against_the_true_class():
    x = [[1, 1, 0], [1, 1, 0], [0, 1, 0]]
    assert run(build("Accuracy"), x, [0, 1, 1])[1][0].data == pytest.approx(1 / 3)
    assert run(build("Accuracy", top_k=2), x, [0, 1, 2])[1][0].data == pytest.approx(2 / 3)


def test_equal_scores_are_all_wrong():
    assert run(build("Accuracy"), np.ones((4, 3)), [0, 1, 2, 0])[1][0].data == 0


def test_scores_that_are_not_numbers_are_wrong():
    x = np.array([[np.nan] * 3, [2, np.nan, 1], [np.nan, 2, 1], [2, 1, 0]])
    assert run(build("Accuracy"), x, [0, 0, 0, 0])[1][0].data == 0.25


def test_without_items_that_count_the_accuracy_is_zero():
    layer = build("Accuracy", tops=2, ignore_label=-1)
    _, (accuracy, by_class) = run(layer, np.eye(3), [-1, -1, -1])
    assert accuracy.data == 0 and (by_class.data == 0).all()
    assert run(build("Accuracy"), np.ones((0, 3)), np.ones(0))[1][0].data == 0


def test_tops_are_a_number_and_on_request_one_per_class():
    assert build("Accuracy").top_shapes((4, 3, 2), (4, 2)) == ((),)
    assert build("Accuracy", tops=2).top_shapes((4, 3, 2), (4, 2)) == ((), (3,))


def test_no_gradient_passes():
    assert not build("Accuracy").differentiable


def test_more_best_scores_than_classes_are_refused():
    with pytest.raises(
        LayerConfigError, match=r"Accuracy layer 'top5': top_k is 5.*\(2, 3\) have 3 classes"
    ):
        build("Accuracy", name="top5", top_k=5).top_shapes((2, 3), (2,))


def test_a_top_k_of_zero_is_refused():
    with pytest.raises(LayerConfigError, match="Accuracy layer 'top0': top_k is 0"):
        build("Accuracy", name="top0", top_k=0)
