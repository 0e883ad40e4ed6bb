"""CtcLoss against all paths one by one, recorded numbers, its laws, and its refusals."""

import itertools
import math

import numpy as np
import pytest

from minidl.errors import LabelError, LayerConfigError
from minidl.layers.loss_ctc import ctc
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run
from tests.support import SHARED

RNG = np.random.default_rng(15)


def reads(path, blank):
    """What a path reads as."""
    return tuple(c for c, _ in itertools.groupby(path) if c != blank)


def probability(scores, word, blank):
    """Of all paths (T, C) that read as `word`."""
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    paths = itertools.product(range(scores.shape[1]), repeat=len(scores))
    return sum(
        math.prod(p[t, c] for t, c in enumerate(path))
        for path in paths
        if reads(path, blank) == tuple(word)
    )


def layer_for(scores, blank=0):
    steps, _, classes = scores.shape
    return build("CtcLoss", alphabet_size=classes, time_step=steps, blank_label=blank)


@pytest.mark.parametrize("blank", [0, 1, 2])
def test_the_loss_is_that_of_all_paths_that_read_as_the_labels(blank):
    scores = RNG.standard_normal((5, 4, 3)) * 2
    a, b = (c for c in range(3) if c != blank)
    rows = [[a, b, blank], [a, blank, a], [b, a, b], [blank, blank, blank]]
    _, (loss,) = run(layer_for(scores, blank), scores, np.array(rows, float))
    words = [[c for c in row if c != blank] for row in rows]
    each = [-math.log(probability(scores[:, n], w, blank)) for n, w in enumerate(words)]
    np.testing.assert_allclose(loss.data, np.mean(each), rtol=1e-12)


@pytest.mark.parametrize("steps, classes, blank", [(1, 2, 0), (4, 3, 1), (6, 4, 3)])
def test_backward_is_the_derivative_of_forward(steps, classes, blank):
    layer = build("CtcLoss", alphabet_size=classes, time_step=steps, blank_label=blank)
    check_backward(layer, *layer.sample_bottoms([(steps, 3, classes), (3, 4)], RNG))


def test_the_probabilities_of_all_readings_add_up_to_1():
    scores = RNG.standard_normal((4, 1, 3))
    words = {reads(path, 0) for path in itertools.product(range(3), repeat=4)}
    total = sum(math.exp(-ctc(scores, [np.array(w, int)], 0)[0][0]) for w in words)
    assert total == pytest.approx(1, rel=1e-12)


def test_equal_scores_count_paths():
    word = np.array([1, 1, 2])
    losses, gradient = ctc(np.zeros((10, 1, 11)), [word], 0)
    paths = math.comb(10 + 3 - 1, 2 * 3)
    assert losses[0] == pytest.approx(10 * math.log(11) - math.log(paths), rel=1e-12)
    np.testing.assert_allclose(gradient.sum(axis=2), 0, atol=1e-14)


def test_what_is_far_from_the_labels_has_a_finite_loss_and_gradient():
    scores = np.zeros((3, 1, 3))
    scores[:, :, 2] = 5000
    losses, gradient = ctc(scores, [np.array([1])], 0)
    assert np.isfinite(losses).all()
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_scores_that_are_not_numbers_make_a_loss_that_is_none(odd):
    scores = np.zeros((3, 1, 3))
    scores[1, 0, 2] = odd
    _, (loss,) = run(layer_for(scores), scores, np.array([[1.0]]))
    assert math.isnan(loss.data)


def test_recorded_numbers_of_the_fork():
    path = SHARED / "golden" / "ctc" / "fork_CtcLoss.npz"
    if not path.exists():
        pytest.skip("reference material not found: golden/ctc")
    case = np.load(path)
    layer = layer_for(case["bottom0"], int(case["blank_label"]))
    bottom, (loss,) = run(layer, case["bottom0"], case["bottom1"])
    np.testing.assert_allclose(loss.data, case["top0"], rtol=1e-12)
    loss.diff.fill(1)
    layer.backward([loss], [True, False], bottom)
    np.testing.assert_allclose(bottom[0].diff, case["diff_of_mean"], atol=1e-12)


def test_labels_that_no_path_reads_as_are_refused():
    layer = build("CtcLoss", alphabet_size=3, time_step=3)
    scores = np.zeros((3, 2, 3))
    with pytest.raises(LabelError, match=r"sequence 1 .*has 2 labels, 1 of .*for 2 steps"):
        two = build("CtcLoss", alphabet_size=3, time_step=2)
        run(two, scores[:2], np.array([[1.0, 2], [1, 1]]))
    for bad in (3, -1, 0.5):
        with pytest.raises(LabelError, match=rf"label \(1, 0\) of 'x1' is {bad}"):
            run(layer, scores, np.array([[1.0, 2], [bad, 1]]))


@pytest.mark.parametrize(
    "keywords, words",
    [
        (dict(time_step=3), "alphabet_size is 0 or missing"),
        (dict(alphabet_size=3), "time_step is 0 or missing"),
        (dict(alphabet_size=3, time_step=3, blank_label=3), "blank_label is 3"),
    ],
)
def test_parameters_that_cannot_be_are_refused(keywords, words):
    with pytest.raises(LayerConfigError, match=words):
        build("CtcLoss", **keywords)


@pytest.mark.parametrize(
    "shapes, words",
    [
        (((4, 2, 3), (2, 1)), r"'x0' is \(4, 2, 3\)"),
        (((3, 2, 4), (2, 1)), r"'x0' is \(3, 2, 4\)"),
        (((3, 2, 3), (3, 1)), r"'x1' is \(3, 1\)"),
    ],
)
def test_bottoms_that_do_not_fit_are_refused(shapes, words):
    with pytest.raises(LayerConfigError, match=words):
        build("CtcLoss", alphabet_size=3, time_step=3).top_shapes(*shapes)
