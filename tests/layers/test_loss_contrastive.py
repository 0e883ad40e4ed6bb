"""ContrastiveLoss against its definition, its derivative, and its refusals."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

A, B = (np.random.default_rng(seed).standard_normal((6, 2, 2)) for seed in (7, 8))
ALIKE = np.array([0, 1, 0, 0.5, -2, 0])  # 0.5 counts as 0, -2 as any number but 0
MARGIN = 2.5
legacies = pytest.mark.parametrize("legacy", [False, True], ids=["", "legacy"])


def distances():
    return [np.sqrt(((a - b) ** 2).sum()) for a, b in zip(A, B, strict=True)]


@legacies
def test_like_pairs_cost_their_distance_and_unlike_ones_their_nearness(legacy):
    margin = MARGIN**2 if legacy else MARGIN
    layer = build("ContrastiveLoss", margin=margin, legacy_version=legacy)
    _, (loss,) = run(layer, A, B.reshape(6, 4), ALIKE)
    expected, unlike = 0, []
    for d, alike in zip(distances(), ALIKE, strict=True):
        if int(alike):
            expected += d**2
        else:
            unlike.append(d < MARGIN)
            expected += max(0, margin - d**2) if legacy else max(0, margin - d) ** 2
    assert set(unlike) == {True, False}, "the example has to have pairs on both sides"
    assert float(loss.data) == pytest.approx(expected / 12, rel=1e-12)


def test_backward_of_the_legacy_version_is_the_derivative_for_both_bottoms():
    check_backward(build("ContrastiveLoss", margin=9, legacy_version=True), A, B, ALIKE)


def test_backward_is_the_derivative_for_both_bottoms_but_for_caffes_1e_4():
    # Distances are near 2.5: beside them, 1e-4 is little, but not nothing.
    layer = build("ContrastiveLoss", margin=MARGIN)
    with pytest.raises(AssertionError):
        check_backward(layer, A, B, ALIKE, tolerance=1e-7)
    check_backward(layer, A, B, ALIKE, tolerance=1e-4)


@pytest.mark.parametrize("wanted", [[True, False, False], [False, True, False]])
def test_the_gradient_follows_caffe_and_only_where_it_is_wanted(wanted):
    layer = build("ContrastiveLoss", margin=5)
    bottom, (loss,) = run(layer, [[3.0], [4.0]], [[0.0], [0.0]], [0, 1])
    for blob in bottom:
        blob.diff.fill(np.nan)
    loss.diff[...] = 8
    layer.backward([loss], wanted, bottom)
    expected = np.array([[-8 / 2 * 3 * (5 - 3) / (3 + 1e-4)], [8 / 2 * 4]])
    chosen = wanted.index(True)
    np.testing.assert_allclose(bottom[chosen].diff, expected if chosen == 0 else -expected, 1e-14)
    assert np.isnan(bottom[1 - chosen].diff).all()


def test_equal_items_have_a_finite_gradient():
    layer = build("ContrastiveLoss")
    bottom, (loss,) = run(layer, [[2.0]], [[2.0]], [0])
    loss.diff[...] = 1
    layer.backward([loss], [True, True, False], bottom)
    assert loss.data == 0.5 and bottom[0].diff == bottom[1].diff == 0


@pytest.mark.parametrize(
    "shapes, found",
    [
        (((4, 3), (4, 2), (4,)), r"items of 'x0' \(4, 3\) have 3 elements, those of 'x1'"),
        (((4, 3), (4, 3), (4, 2)), r"4 pairs need as many numbers .* 'x2' \(4, 2\) holds 8"),
        (((4, 3), (2, 3), (4,)), "differ in their first axis"),
    ],
)
def test_bottoms_that_do_not_fit_together_are_refused(shapes, found):
    with pytest.raises(LayerConfigError, match=f"ContrastiveLoss layer 'loss': .*{found}"):
        build("ContrastiveLoss", name="loss").top_shapes(*shapes)
