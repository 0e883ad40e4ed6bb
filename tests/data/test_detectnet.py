"""DetectNet's changes of pictures and boxes, one at a time."""

import math

import numpy as np
import pytest

from minidl import schema
from minidl.data import cubic, detectnet
from minidl.data.detectnet import Change

RNG = np.random.default_rng(7)

SIZE = (8, 11)
NOTHING = Change(0, 1, False, SIZE, 0, (0, 0))
NEVER = dict.fromkeys(
    ("crop_prob", "scale_prob", "flip_prob", "rotation_prob"), 0.0
) | dict.fromkeys(("hue_rotation_prob", "desaturation_prob"), 0.0)


def picture(size=SIZE):
    return RNG.random((3, *size)) * 255


def drawn(u, size=(30, 40), window=(20, 24), **fields):
    param = schema.DetectNetAugmentationParameter(**{**NEVER, **fields})
    return detectnet.drawn(param, size, window, np.array(u, float))


def test_nothing_leaves_a_picture_and_its_boxes_alone():
    image, boxes = picture(), RNG.random((5, 4))
    np.testing.assert_array_equal(NOTHING.picture(image, 0, SIZE), image)
    np.testing.assert_array_equal(NOTHING.boxes(boxes, SIZE), boxes)


def test_the_mean_is_taken_off_after_the_colours_and_before_the_border():
    image, mean = picture(), np.array([90.0, 100, 120]).reshape(3, 1, 1)
    change = NOTHING._replace(saturation=0.0, corner=(-2, -3))
    got = change.picture(image, mean, (12, 16))
    grey = np.broadcast_to(image.max(axis=0), image.shape)  # a colour of no saturation is its value
    np.testing.assert_allclose(got[:, 2:10, 3:14], grey - mean, rtol=1e-13)
    got[:, 2:10, 3:14] = 0
    assert not got.any()


def test_a_hue_that_is_turned_by_120_degrees_exchanges_channels():
    image = picture()
    got = NOTHING._replace(hue=120.0).picture(image, 0, SIZE)
    np.testing.assert_allclose(got, image[[1, 2, 0]], rtol=1e-12)  # red becomes green, ...


def test_a_saturation_within_a_step_of_a_byte_is_left():
    image = picture()
    np.testing.assert_array_equal(
        NOTHING._replace(saturation=0.9965).picture(image, 0, SIZE), image
    )
    assert (NOTHING._replace(saturation=0.99).picture(image, 0, SIZE) != image).any()


def test_flipping_comes_before_stretching():
    image, size = picture(), (16, 5)
    change = NOTHING._replace(flip=True, size=size)
    got = change.picture(image, 0, size)
    np.testing.assert_allclose(got, cubic.stretch(image[:, :, ::-1], *size), rtol=1e-13)
    boxes = np.array([[1.0, 2, 3, 4]])
    # its right end is at 4, so that the left one is at 11 - 4 - 1 from the other side
    expected = [[6 * 5 / 11, 2 * 2, 3 * 5 / 11, 4 * 2]]
    np.testing.assert_allclose(change.boxes(boxes, SIZE), expected, rtol=1e-13)


@pytest.mark.parametrize("corner", [(0, 0), (2, 3), (-3, 2), (5, -4), (20, 0), (-20, -20)])
def test_a_window_shows_what_lies_in_it(corner):
    image, window = picture(), (6, 7)
    got = NOTHING._replace(corner=corner).picture(image, 0, window)
    for row, column in np.ndindex(window):
        y, x = row + corner[0], column + corner[1]
        inside = 0 <= y < SIZE[0] and 0 <= x < SIZE[1]
        np.testing.assert_array_equal(got[:, row, column], image[:, y, x] if inside else 0)
    moved = NOTHING._replace(corner=corner).boxes(np.array([[1.0, 2, 3, 4]]), SIZE)
    np.testing.assert_array_equal(moved, [[1 - corner[1], 2 - corner[0], 3, 4]])


def frame(size, centre, degrees):
    """The whole numbers around the four corners, by plain trigonometry."""
    height, width = size
    angle = math.radians(degrees)
    corners = [
        (
            centre[0] + x * math.cos(angle) - y * math.sin(angle),
            centre[1] + x * math.sin(angle) + y * math.cos(angle),
        )
        for x in (-width / 2, width / 2)
        for y in (-height / 2, height / 2)
    ]
    low = [math.floor(min(c[i] for c in corners)) for i in (0, 1)]
    high = [math.ceil(max(c[i] for c in corners)) for i in (0, 1)]
    return low, (high[1] - low[1] + 1, high[0] - low[0] + 1)


@pytest.mark.parametrize("degrees", [17.0, -33.0, 100.0])
def test_a_turned_picture_is_found_between_four_pixels(degrees):
    height, width = size = (9, 13)
    image = RNG.standard_normal((2, *size))
    got = detectnet.turned(image, degrees)
    _, (rows, columns) = frame(size, (6, 4), degrees)  # about whole numbers
    low, _ = frame(size, (6.5, 4.5), degrees)
    assert got.shape == (2, rows, columns) == (2, *detectnet.turned_size(size, degrees))
    angle, seen = math.radians(degrees), 0
    for row, column in np.ndindex(rows, columns):
        x, y = column + low[0] - 6.5, row + low[1] - 4.5
        u = 6.5 + x * math.cos(angle) + y * math.sin(angle)
        v = 4.5 - x * math.sin(angle) + y * math.cos(angle)
        left, top = math.floor(u), math.floor(v)
        expected = np.zeros(2)
        if 0 <= left < width - 1 and 0 <= top < height - 1:
            seen += 1
            for i, j in np.ndindex(2, 2):
                share = abs(1 - i - (v - top)) * abs(1 - j - (u - left))
                expected += share * image[:, top + i, left + j]
        np.testing.assert_allclose(got[:, row, column], expected, atol=1e-12)
    assert seen > 60


def test_the_centre_of_a_box_is_turned_with_the_picture():
    image = np.zeros((3, 41, 61))
    image[:, 9:12, 39:42] = 1  # about (40, 10)
    boxes = np.array([[36.0, 7, 8, 6]])
    change = Change(0, 1, False, (41, 61), 25.0, (3, -2))
    got = change.picture(image, 0, (80, 90))
    y, x = np.mgrid[:80, :90]
    at = [(got[0] * axis).sum() / got[0].sum() for axis in (x, y)]
    turned = change.boxes(boxes, (41, 61))
    np.testing.assert_array_equal(turned[0, 2:], [8, 6])
    np.testing.assert_allclose(turned[0, :2] + turned[0, 2:] / 2, at, atol=0.05)


@pytest.mark.parametrize(
    "u, fields, expected",
    [
        ([0.5, 0.75], dict(hue_rotation_prob=0.6, hue_rotation=30), dict(hue=15.0)),
        ([0.7, 0.75], dict(hue_rotation_prob=0.6, hue_rotation=30), {}),
        ([0, 1 - 1e-9], dict(hue_rotation_prob=1, hue_rotation=300), dict(hue=180.0)),
        (
            [0, 0, 0.5, 0.25],
            dict(desaturation_prob=0.6, desaturation_max=0.5),
            {"saturation": 0.875},
        ),
        ([0] * 4 + [0.4], dict(flip_prob=0.5), dict(flip=True)),
        ([0] * 4 + [0.5], dict(flip_prob=0.5), {}),
        (
            [0] * 7 + [0.5, 0.25],
            dict(rotation_prob=0.6, max_rotate_degree=8),
            # turned, 30 x 40 about (15, 20) takes 35 x 43: from -2 to 32 and from -1 to 41
            dict(rotation=-4.0, corner=(8, 10)),
        ),
    ],
)
def test_each_change_has_its_probability(u, fields, expected):
    change = drawn(u + [0] * (12 - len(u)), **fields)
    middle = dict(hue=0, saturation=1, flip=False, size=(30, 40), rotation=0, corner=(5, 8))
    for name, value in {**middle, **expected}.items():
        assert getattr(change, name) == pytest.approx(value), name


def test_a_scale_is_drawn_and_the_middle_is_seen():
    change = drawn([0] * 6 + [0.5, 0, 0, 0.99, 0, 0], scale_prob=1, scale_min=1.1, scale_max=1.4)
    # 37.5 and 50 pixels, and a window of 20 and 24 in the middle, rounded away from 0
    assert (change.size, change.corner) == ((38, 50), (9, 13))


@pytest.mark.parametrize("place, corner", [(0, (-2, -4)), (0.999, (13, 20)), (0.5, (6, 8))])
def test_a_window_at_random_may_reach_beyond_the_border(place, corner):
    u = [0] * 10 + [place, place]
    assert drawn(u, crop_prob=1, shift_x=8, shift_y=5).corner == corner
    assert drawn(u[:10] + [0.999, 0], crop_prob=1).corner == (0, 16)
