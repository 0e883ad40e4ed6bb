"""Overlaps, suppression and offsets, against definitions by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.layers.detection.boxes import areas, best_first, decode, encode, overlaps, suppress

GRID = st.lists(
    st.tuples(*[st.integers(0, 6)] * 4).map(
        lambda b: (min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3]))
    ),
    min_size=2,
    max_size=8,
)


def pixels(box, extent):
    """The unit squares that a box on a grid covers."""
    x1, y1, x2, y2 = box
    return {(x, y) for x in range(x1, x2 + extent) for y in range(y1, y2 + extent)}


@given(GRID, st.sampled_from([0, 1]))
def test_overlap_counts_common_squares(boxes, extent):
    first, *others = (pixels(box, extent) for box in boxes)
    expected = [len(first & o) / len(first | o) if first & o else 0 for o in others]
    array = np.array(boxes, float)
    np.testing.assert_allclose(overlaps(array[0], array[1:], extent), expected, rtol=1e-14)
    np.testing.assert_array_equal(areas(array, extent), [len(pixels(b, extent)) for b in boxes])


@given(GRID, st.floats(0, 1))
def test_what_is_kept_does_not_overlap_and_what_is_dropped_does(boxes, threshold):
    array = np.array(boxes, float)
    kept = suppress(array, range(len(array)), threshold)
    assert kept == sorted(kept) and kept[0] == 0
    for i in range(len(array)):
        before = [k for k in kept if k < i]
        worst = max(overlaps(array[i], array[before]), default=0)
        assert (i in kept) == (worst <= threshold)


def test_a_box_that_ends_before_it_begins_has_no_area():
    boxes = np.array([[3.0, 3, 1, 5], [0, 0, 4, 4]])
    assert areas(boxes).tolist() == [0, 16]
    assert overlaps(boxes[0], boxes).tolist() == [0, 0]


def test_eta_lowers_the_threshold_while_it_is_above_a_half():
    boxes = np.array([[0.0, 0, 10, 10], [20, 0, 30, 10], [0, 0, 10, 17], [40, 0, 50, 10]])
    assert suppress(boxes, [0, 1, 2, 3], 0.6) == [0, 1, 2, 3]  # 100 / 170
    assert suppress(boxes, [0, 1, 2, 3], 0.6, eta=0.95) == [0, 1, 3]  # 0.6, 0.57, 0.5415
    assert suppress(boxes, [3, 0, 1, 2], 0.6, most=2) == [3, 0]


def test_equal_scores_stay_in_order():
    assert best_first(np.array([1.0, 3, 2, 3, 1, np.nan])).tolist() == [1, 3, 2, 0, 4, 5]


@pytest.mark.parametrize("code", [1, 2, 3])
@pytest.mark.parametrize("variances", [None, np.array([[0.1, 0.2, 0.3, 0.4]])])
def test_offsets_lead_back_to_their_boxes(code, variances):
    rng = np.random.default_rng(code)
    priors, boxes = (np.sort(rng.random((5, 2, 2)), axis=1).reshape(5, 4) for _ in range(2))
    offsets = encode(priors, variances, boxes, code)
    np.testing.assert_allclose(decode(priors, variances, offsets, code), boxes, rtol=1e-12)


def test_what_the_numbers_of_an_offset_mean():
    prior, offset = np.array([[2.0, 4, 6, 14]]), np.array([[1.0, -1, 0.5, 2]])
    ones = np.ones((1, 4))
    assert decode(prior, ones, offset, 1).tolist() == [[3, 3, 6.5, 16]]
    assert decode(prior, ones, offset, 3).tolist() == [[6, -6, 8, 34]]
    half = np.exp([0.5, 2]) * [4, 10] / 2
    expected = [8 - half[0], -1 - half[1], 8 + half[0], -1 + half[1]]
    np.testing.assert_allclose(decode(prior, ones, offset, 2)[0], expected, rtol=1e-14)
