"""Windows cut from images: places by hand and by law, batches against a definition in loops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.data.resize import stretch
from minidl.data.windows import cut

SHAPE = (3, 40, 60)


def test_a_plain_window_fills_the_square():
    got = cut((5, 6, 24, 35), SHAPE, 20, 0, False, False)
    assert got == (slice(6, 36), slice(5, 25), 20, 20, 0, 0)


def test_surroundings_are_shown_around_a_window():
    """20 x 20 pixels in 16 of 20: 25 x 25 of the image, its middle at (20, 20)."""
    got = cut((10, 10, 29, 29), SHAPE, 20, 2, False, False)
    # round(20 - 12.5) = 8 and round(20 + 12.5) = 33, halves away from zero, both included
    assert got == (slice(8, 34), slice(8, 34), 20, 20, 0, 0)


def test_what_lies_beyond_the_image_stays_empty():
    """The window begins at the left border: of 26 columns two and a half lie beyond it."""
    plain = cut((0, 10, 19, 29), SHAPE, 20, 2, False, False)
    # columns from round(10 - 12.5) = -3 to 23: 3 of 27 are beyond, 2 of 20 in the square
    assert (plain.columns, plain.width, plain.left) == (slice(0, 24), 18, 2)
    mirrored = cut((0, 10, 19, 29), SHAPE, 20, 2, False, True)
    assert mirrored.left == 0 and mirrored.width == 18


def test_a_square_keeps_proportions():
    got = cut((20, 10, 29, 29), SHAPE, 20, 0, True, False)
    assert (got.rows.stop - got.rows.start) == (got.columns.stop - got.columns.start)


@st.composite
def boxes(draw):
    x1, y1 = draw(st.integers(0, 59)), draw(st.integers(0, 39))
    return x1, y1, draw(st.integers(x1, 59)), draw(st.integers(y1, 39))


@given(boxes(), st.integers(0, 9), st.booleans(), st.booleans())
def test_source_and_target_lie_within_their_frames(box, pad, square, flip):
    got = cut(box, SHAPE, 20, pad, square, flip)
    assert 0 <= got.rows.start < got.rows.stop <= 40
    assert 0 <= got.columns.start < got.columns.stop <= 60
    assert got.top >= 0 and got.height >= 0 and got.top + got.height <= 20
    assert got.left >= 0 and got.width >= 0 and got.left + got.width <= 20


@given(boxes(), st.integers(0, 9), st.booleans())
def test_the_window_itself_is_in_what_is_shown(box, pad, square):
    got = cut(box, SHAPE, 20, pad, square, False)
    x1, y1, x2, y2 = box
    assert got.columns.start <= x1 and got.columns.stop > x2
    assert got.rows.start <= y1 and got.rows.stop > y2


def test_stretching_a_window_of_one_pixel_gives_its_colour():
    pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    pixels = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    part = cut((1, 1, 1, 1), pixels.shape, 4, 0, False, False)
    got = stretch(pixels[:, part.rows, part.columns], part.height, part.width)
    np.testing.assert_array_equal(got, np.broadcast_to(pixels[:, 1:2, 1:2], (3, 4, 4)))
