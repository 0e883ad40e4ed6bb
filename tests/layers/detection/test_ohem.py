"""Hard examples: who keeps a label, what each region adds, and the refusals."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

RNG = np.random.default_rng(14)


def chosen(images, losses, most):
    """The numbers of the regions that keep their label: taken one after the other, worst first."""
    left = {image: most for image in images}
    kept = set()
    for i in sorted(range(len(losses)), key=lambda i: (-losses[i], i)):
        if images[i] >= 0 and left[images[i]] > 0:
            left[images[i]] -= 1
            kept.add(i)
    return kept


@pytest.mark.parametrize("most", [1, 3, 100])
def test_the_worst_regions_of_each_image_keep_labels_and_weights(most):
    regions = RNG.random((12, 5))
    regions[:, 0] = [0, 0, 1, -1, 1, 0, 2, 1, -1, 0, 1, 0]
    losses = np.round(RNG.random(12), 1)  # some of them are equal
    labels, weights = RNG.integers(5, size=12).astype(float), RNG.random((12, 8))
    layer = build("BoxAnnotatorOHEM", roi_per_img=most, ignore_label=-7)
    _, (label, weight) = run(layer, regions, losses, labels, weights)
    assert label.shape == (12, 1, 1, 1)
    assert weight.shape == (12, 8, 1, 1)
    kept = chosen(regions[:, 0], losses, most)
    for i in range(12):
        assert label.data[i, 0, 0, 0] == (labels[i] if i in kept else -7)
        expected = weights[i] if i in kept else np.zeros(8)
        np.testing.assert_array_equal(weight.data[i, :, 0, 0], expected)


def test_places_of_a_region_are_chosen_one_by_one():
    regions = np.zeros((2, 5, 1, 2))
    losses = np.array([3.0, 1, 2, 4]).reshape(2, 1, 1, 2)
    labels, weights = np.arange(1.0, 5).reshape(2, 1, 1, 2), np.ones((2, 3, 1, 2))
    layer = build("BoxAnnotatorOHEM", roi_per_img=2)
    _, (label, weight) = run(layer, regions, losses, labels, weights)
    assert label.data.ravel().tolist() == [1, -1, -1, 4]
    assert weight.data[:, 1].ravel().tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize(
    "shapes, words",
    [
        (((4, 4), (4,), (4,), (4, 8)), r"the regions 'x0' are \(4, 4\)"),
        (((4, 5), (3,), (4,), (4, 8)), r"'x1' is \(3,\)"),
        (((4, 5), (4,), (8,), (4, 8)), r"'x2' is \(8,\)"),
        (((4, 5), (4,), (4,), (4, 8, 2, 1)), r"the weights 'x3'"),
    ],
)
def test_bottoms_that_do_not_fit_are_refused(shapes, words):
    with pytest.raises(LayerConfigError, match=words):
        build("BoxAnnotatorOHEM", roi_per_img=2).top_shapes(*shapes)


def test_how_many_to_keep_has_to_be_said():
    with pytest.raises(LayerConfigError, match="roi_per_img is 0 or missing"):
        build("BoxAnnotatorOHEM")


A, B = RNG.standard_normal((2, 3, 4, 2, 1)) * 2
WEIGHT = RNG.standard_normal((3, 4, 2, 1))
DIVISORS = {
    "VALID": (dict(normalization="VALID"), 6),
    "FULL": (dict(normalization="FULL"), 6),
    "BATCH_SIZE": (dict(normalization="BATCH_SIZE"), 3),
    "NONE": (dict(normalization="NONE"), 1),
    "PRE_FIXED": (dict(normalization="PRE_FIXED", pre_fixed_normalizer=128), 128),
    "below 1": (dict(normalization="PRE_FIXED", pre_fixed_normalizer=0.5), 1),
    "unset": ({}, 6),
    "old form": (dict(normalize=False), 3),
}


@pytest.mark.parametrize("keywords, divisor", DIVISORS.values(), ids=DIVISORS)
@pytest.mark.parametrize("weighted", [False, True])
def test_each_region_adds_squares_near_0_and_distances_beyond(keywords, divisor, weighted):
    weights = [WEIGHT] if weighted else []
    layer = build("SmoothL1LossOHEM", bottoms=2 + weighted, tops=2, **keywords)
    _, (loss, item) = run(layer, A, B, *weights)
    expected = np.zeros((3, 1, 2, 1))
    for n, c, i, j in np.ndindex(A.shape):
        d = abs((A - B)[n, c, i, j] * (WEIGHT[n, c, i, j] if weighted else 1))
        expected[n, 0, i, j] += d * d / 2 if d < 1 else d - 0.5
    np.testing.assert_allclose(item.data, expected, rtol=1e-12)
    np.testing.assert_allclose(loss.data, expected.sum() / divisor, rtol=1e-12)


def test_backward_is_the_derivative_of_forward():
    check_backward(build("SmoothL1LossOHEM", tops=2), A, B)
    check_backward(build("SmoothL1LossOHEM", bottoms=3, normalization="NONE"), A, B, WEIGHT)


def test_the_targets_alone_may_want_a_gradient():
    layer = build("SmoothL1LossOHEM")
    bottom, top = run(layer, A, B)
    top[0].diff.fill(2)
    layer.backward(top, [False, True], bottom)
    np.testing.assert_allclose(bottom[1].diff, -np.clip(A - B, -1, 1) * 2 / 6, rtol=1e-12)


def test_two_axes_are_regions_of_one_place():
    layer = build("SmoothL1LossOHEM", tops=2)
    assert layer.top_shapes((5, 8), (5, 8, 1, 1)) == ((), (5, 1, 1, 1))
    with pytest.raises(LayerConfigError, match=r"'x1' has the shape \(5, 7\)"):
        layer.top_shapes((5, 8), (5, 7))
