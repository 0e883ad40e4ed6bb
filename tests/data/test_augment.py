"""Augment against its equations in loops, and its limits."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl import schema
from minidl.data.augment import Augment
from minidl.errors import DataError, LayerConfigError

pytest.importorskip("PIL.Image", reason="Pillow is not installed")

RNG = np.random.default_rng(4)
FLOATS = RNG.standard_normal((2, 7, 10)).astype(np.float32) * 50
BYTES = RNG.integers(0, 256, (3, 7, 10), dtype=np.uint8)
MIDDLE = np.full(9, 0.5)


def reject(found, **parts):
    parts.pop("field", None)
    raise LayerConfigError(found, where="Data layer 'd'", **parts)


def augment(fallback=(), **fields):
    return Augment(schema.ImageAugmentation(**fields), reject, fallback)


def draw(**places):
    """Nine numbers, 0.5 but for those that are given as u0=..., u1=..."""
    u = MIDDLE.copy()
    for name, value in places.items():
        u[int(name[1:])] = value
    return u


def between(plane, x, y, fill):
    """The value at (x, y), pixel (i, j) lying at (j + 1/2, i + 1/2); beyond the border `fill`."""
    height, width = plane.shape
    if not (0 <= x < width and 0 <= y < height):
        return fill
    x, y = x - 0.5, y - 0.5
    j, i = math.floor(x), math.floor(y)
    total = 0.0
    for di, dj in np.ndindex(2, 2):
        share = (y - i if di else 1 - y + i) * (x - j if dj else 1 - x + j)
        total += share * plane[min(max(i + di, 0), height - 1), min(max(j + dj, 0), width - 1)]
    return total


def warp_by_definition(image, p, u, fill):
    _, height, width = image.shape
    s = p["min_scale"] * (p["max_scale"] / p["min_scale"]) ** u[0]
    a = p["max_aspect"] ** (2 * u[1] - 1)
    sx, sy = s * math.sqrt(a), s / math.sqrt(a)
    w, h = width / sx, height / sy
    cx, cy = w / 2 + u[2] * (width - w), h / 2 + u[3] * (height - h)
    phi = math.radians(p["max_rotation"] * (2 * u[4] - 1))
    out = np.empty(image.shape)
    for c, i, j in np.ndindex(image.shape):
        qx, qy = (j + 0.5 - width / 2) / sx, (i + 0.5 - height / 2) / sy
        x = cx + math.cos(phi) * qx - math.sin(phi) * qy
        y = cy + math.sin(phi) * qx + math.cos(phi) * qy
        out[c, i, j] = between(image[c], x, y, fill)
    return out


ALL = dict(min_scale=0.5, max_scale=3, max_aspect=1.7, max_rotation=50)
PLAIN = dict(min_scale=1, max_scale=1, max_aspect=1, max_rotation=0)
WARPS = {
    "all at once": (ALL, draw(u0=0.8, u1=0.9, u2=0.1, u3=0.7, u4=0.3)),
    "smaller": (ALL, draw(u0=0.05, u1=0.2, u2=0.9, u3=0.2, u4=0.9)),
    "scale": ({**PLAIN, "max_scale": 2}, draw(u0=0.7, u2=0.9, u3=0.15)),
    "aspect": ({**PLAIN, "max_aspect": 2}, draw(u1=0.9, u2=0.3, u3=0.4)),
    "rotation": ({**PLAIN, "max_rotation": 30}, draw(u4=0.9)),
}


@pytest.mark.parametrize("fields, u", WARPS.values(), ids=WARPS.keys())
def test_pixels_follow_the_definition(fields, u):
    got = augment(fill=[-40], **fields).warp(FLOATS, u)
    expected = warp_by_definition(FLOATS, fields, u, -40)
    # Pillow counts positions in steps of 2^-16: some pixel at the very border may go the other way
    close = np.isclose(got, expected, rtol=0, atol=0.05)
    assert close.mean() > 0.97, np.argwhere(~close)
    assert got.dtype == np.float32


def test_bytes_stay_bytes_and_take_the_mean_as_their_fill():
    got = augment(min_scale=0.5, max_scale=0.5, fallback=(104, 117, 123)).warp(BYTES, MIDDLE)
    assert got.dtype == np.uint8 and got.shape == BYTES.shape
    assert got[:, 0, 0].tolist() == [104, 117, 123]


def test_one_limit_alone_goes_from_or_to_one():
    assert (augment(min_scale=0.5).min_scale, augment(min_scale=0.5).max_scale) == (0.5, 1)
    assert (augment(max_scale=2).min_scale, augment(max_scale=2).max_scale) == (1, 2)
    assert (augment(min_scale=2).max_scale, augment(max_scale=0.5).min_scale) == (2, 0.5)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=9, max_size=9))
def test_an_enlarged_picture_fills_its_frame(u):
    """Without a turn the window lies within the image wherever the numbers put it."""
    a, b, c, d, e, f = augment(max_scale=4).matrix(7, 10, np.array(u))
    for x, y in ((0, 0), (10, 7)):
        assert -1e-9 <= a * x + b * y + c <= 10 + 1e-9 and -1e-9 <= d * x + e * y + f <= 7 + 1e-9


def test_nothing_asked_is_nothing_done():
    made = augment()
    assert made.warp(BYTES, MIDDLE) is BYTES
    out = FLOATS.copy()
    made.recolor(out, MIDDLE, False)
    np.testing.assert_array_equal(out, FLOATS)


# ---------------------------------------------------------------------- colours

GREY = np.array([0.114, 0.587, 0.299])  # of blue, green, red


def recolored(image, u, as_bytes=False, **fields):
    out = image.astype(np.float64)
    augment(**fields).recolor(out, u, as_bytes)
    return out


COLORS = BYTES.astype(float)


def near(got, expected):
    """The amounts are float32 in the message."""
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-5)


def test_brightness_is_a_factor():
    got = recolored(COLORS, draw(u5=0.75), brightness=0.4)
    near(got, COLORS * 1.2)


def test_contrast_moves_values_from_their_mean_grey():
    mean = GREY @ COLORS.mean((1, 2))
    got = recolored(COLORS, draw(u6=0.0), contrast=0.3)
    near(got, mean + 0.7 * (COLORS - mean))


def test_saturation_moves_pixels_from_their_grey():
    grey = np.einsum("c,chw->hw", GREY, COLORS)
    got = recolored(COLORS, draw(u7=0.0), saturation=1)
    np.testing.assert_allclose(got, np.broadcast_to(grey, COLORS.shape))
    got = recolored(COLORS, draw(u7=1.0), saturation=0.5)
    np.testing.assert_allclose(got, grey + 1.5 * (COLORS - grey))


def test_hue_turns_colours_and_leaves_grey_and_lightness():
    got = recolored(COLORS, draw(u8=0.9), hue=100)
    np.testing.assert_allclose(np.tensordot(GREY, got, 1), np.tensordot(GREY, COLORS, 1))
    assert np.abs(got - COLORS).max() > 50
    flat = np.full((3, 2, 2), 80.0)
    np.testing.assert_allclose(recolored(flat, draw(u8=0.9), hue=100), flat)


def test_a_whole_turn_of_hue_is_none():
    made = augment(hue=180)
    np.testing.assert_allclose(made._hue(0.0) @ made._hue(0.0), np.eye(3), atol=1e-12)


def test_hue_turns_by_the_degrees_that_are_said():
    """Three turns of 120 degrees are one, and one is not."""
    third = augment(hue=120)._hue(1.0)
    np.testing.assert_allclose(np.linalg.matrix_power(third, 3), np.eye(3), atol=1e-12)
    assert np.abs(third - np.eye(3)).max() > 0.5


def test_together_they_follow_the_equation():
    amounts = dict(brightness=0.2, contrast=0.3, saturation=0.4)
    u = draw(u5=0.9, u6=0.1, u7=0.8)
    b, k, s = 1 + 0.2 * 0.8, 1 - 0.3 * 0.8, 1 + 0.4 * 0.6
    grey, mean = np.einsum("c,chw->hw", GREY, COLORS), GREY @ COLORS.mean((1, 2))
    expected = b * (k * (grey + s * (COLORS - grey) - mean) + mean)
    near(recolored(COLORS, u, **amounts), expected)


def test_other_than_three_channels_have_brightness_and_contrast():
    mean = FLOATS.mean(dtype=float)
    got = recolored(FLOATS, draw(u5=1.0, u6=1.0), brightness=0.5, contrast=0.5)
    np.testing.assert_allclose(got, 1.5 * (mean + 1.5 * (FLOATS - mean)), rtol=1e-6, atol=1e-4)
    with pytest.raises(DataError, match="saturation or hue, but record 3 has 1 channels"):
        augment(hue=20).check(1, "record 3", "Data layer 'd'")


def test_what_came_from_bytes_stays_among_them():
    got = recolored(COLORS, draw(u5=1.0), as_bytes=True, brightness=1)
    assert got.min() >= 0 and got.max() == 255
    assert recolored(COLORS, draw(u5=1.0), brightness=1).max() > 255


WRONG = {
    "scales the wrong way round": (dict(min_scale=2, max_scale=1), "min_scale is 2"),
    "no scale": (dict(min_scale=0), "min_scale is 0"),
    "an aspect below one": (dict(max_aspect=0.5), "max_aspect is 0.5"),
    "a turn of more than half": (dict(max_rotation=270), "max_rotation is 270"),
    "a brightness above one": (dict(brightness=1.5), "brightness is 1.5"),
    "a contrast that is no number": (dict(contrast=float("nan")), "contrast is nan"),
    "a negative saturation": (dict(saturation=-1), "saturation is -1"),
    "an infinite fill": (dict(fill=[float("inf")]), "fill is inf"),
}


@pytest.mark.parametrize("fields, message", WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_is_refused(fields, message):
    with pytest.raises(LayerConfigError, match=f"Data layer 'd': .*{message}"):
        augment(**fields)
