"""Resize against definitions in loops: where pixels lie, what modes make of proportions."""

import math
import sys

import numpy as np
import pytest

from minidl import schema
from minidl.data import cubic
from minidl.data.resize import Resize, stretch
from minidl.errors import DataError, LayerConfigError

pytest.importorskip("PIL.Image", reason="Pillow is not installed")

KINDS = schema.ImageResize
RNG = np.random.default_rng(2)
BYTES = RNG.integers(0, 256, (4, 5, 7), dtype=np.uint8)  # neither 1 nor 3 channels
FLOATS = RNG.standard_normal((2, 5, 7)).astype(np.float32) * 300
SIZES = [(5, 7), (9, 7), (3, 4), (2, 15), (1, 1), (12, 2)]


def reject(found, **parts):
    parts.pop("field", None)
    raise LayerConfigError(found, where="Data layer 'd'", **parts)


def resize(height, width=0, fallback=(), **fields):
    return Resize(KINDS(height=height, width=width, **fields), reject, fallback)


def linear(x, n):
    """Along the last axis to n values: between the two neighbours of (i + 1/2) old/n - 1/2."""
    old = x.shape[-1]
    out = np.empty((*x.shape[:-1], n))
    for i in range(n):
        at = min(max((i + 0.5) * old / n - 0.5, 0), old - 1)
        low = math.floor(at)
        high = min(low + 1, old - 1)
        out[..., i] = x[..., low] * (1 - (at - low)) + x[..., high] * (at - low)
    return out


def means(x, n):
    """Along the last axis to n values: means weighted by a triangle, two new pixels wide."""
    old = x.shape[-1]
    reach = max(1, old / n)
    out = np.empty((*x.shape[:-1], n))
    for i in range(n):
        shares = np.maximum(0, 1 - abs(np.arange(old) + 0.5 - (i + 0.5) * old / n) / reach)
        out[..., i] = x @ (shares / shares.sum())
    return out


def both_ways(along, image, height, width):
    turned = along(image.astype(float), width).swapaxes(1, 2)
    return along(turned, height).swapaxes(1, 2)


@pytest.mark.parametrize("height, width", SIZES)
@pytest.mark.parametrize("filter, along", [(KINDS.BILINEAR, linear), (KINDS.ANTIALIAS, means)])
def test_pixels_follow_the_definition(filter, along, height, width):
    got = stretch(FLOATS, height, width, filter)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, both_ways(along, FLOATS, height, width), rtol=0, atol=2e-3)
    got = stretch(BYTES, height, width, filter)
    assert got.dtype == np.uint8
    # rounded after either direction
    np.testing.assert_allclose(got, both_ways(along, BYTES, height, width), rtol=0, atol=1.1)


def test_the_nearest_pixel_is_taken():
    got = stretch(BYTES, 10, 3, KINDS.NEAREST)
    np.testing.assert_array_equal(got, BYTES.repeat(2, 1)[:, :, [1, 3, 5]])


def test_sixteen_pixels_are_those_of_cubic():
    np.testing.assert_array_equal(stretch(BYTES, 9, 3, KINDS.BICUBIC), cubic.stretch(BYTES, 9, 3))


def test_a_cubic_kernel_is_sharper_than_a_linear_one():
    edge = np.repeat(np.uint8([[[0, 255]]]), 8, 2)
    sharp, linear = (stretch(edge, 1, 8, f)[0, 0] for f in (KINDS.CUBIC, KINDS.ANTIALIAS))
    assert sharp[3] < linear[3] and sharp[4] > linear[4]


MODES = {
    "stretch": (dict(mode="STRETCH", height=10, width=3), (4, 10, 3)),
    "a square, width unsaid": (dict(mode="STRETCH", height=6), (4, 6, 6)),
    "cover a square": (dict(mode="COVER", height=10), (4, 10, 14)),
    "cover what is wider": (dict(mode="COVER", height=5, width=21), (4, 15, 21)),
    "pad a square": (dict(mode="PAD", height=10), (4, 10, 10)),
    "cover and cut": (dict(mode="CROP", height=10, width=3), (4, 10, 3)),
    "half of each": (dict(mode="HALF_CROP", height=10, width=3), (4, 10, 3)),
}


@pytest.mark.parametrize("fields, expected", MODES.values(), ids=MODES.keys())
def test_the_shape_is_known_beforehand(fields, expected):
    made = resize(**fields)
    assert made.shape(BYTES.shape) == expected == made(BYTES).shape


def test_covering_keeps_proportions():
    made = resize(10, mode="COVER")
    np.testing.assert_array_equal(made(BYTES), stretch(BYTES, 10, 14))


@pytest.mark.parametrize("fill, fallback, expected", [
    ((), (), [0, 0, 0, 0]),
    ((), (7.4,), [7, 7, 7, 7]),
    ((9,), (7,), [9, 9, 9, 9]),
    ((1, 2, 3, 300), (), [1, 2, 3, 255]),
])  # fmt: skip
def test_what_fits_lies_in_the_middle_of_the_fill(fill, fallback, expected):
    got = resize(14, mode="PAD", fill=fill, fallback=fallback)(BYTES)
    np.testing.assert_array_equal(got[:, 2:12], stretch(BYTES, 10, 14))
    for border in (got[:, :2], got[:, 12:]):
        np.testing.assert_array_equal(
            border, np.broadcast_to(np.reshape(expected, (4, 1, 1)), border.shape)
        )


def half_up(value):
    return math.floor(value + 0.5)


def by_digits(image, height, width, mode):
    """What DIGITS makes of an image H x W, by its rules: (image, rows or columns of noise)."""
    rw, rh = image.shape[1] / width, image.shape[0] / height

    def scaled(h, w):
        return stretch(image[None], h, w, KINDS.ANTIALIAS)[0]

    if image.shape == (height, width) or rw == rh:
        return scaled(height, width), 0
    if mode == "CROP" and rw > rh:
        wide = scaled(height, half_up(image.shape[1] / rh))
        start = half_up((wide.shape[1] - width) / 2)
        return wide[:, start : start + width], 0
    if mode == "FILL" and rw > rh:
        h = half_up(image.shape[0] / rw)
        h += (height - h) % 2
        return scaled(h, width), (height - h) // 2
    if mode == "HALF_CROP" and rw > rh:
        mean = (rw + rh) / 2
        h, w = half_up(image.shape[0] / mean), half_up(image.shape[1] / mean)
        h += (height - h) % 2
        start = half_up((w - width) / 2)
        return scaled(h, w)[:, start : start + width], (height - h) // 2
    turned, margin = by_digits(image.T, width, height, mode)
    return turned.T, margin


@pytest.mark.parametrize("mode", ["CROP", "FILL", "HALF_CROP"])
@pytest.mark.parametrize("old", [(5, 7), (7, 5), (30, 11), (11, 30), (6, 6), (9, 12), (25, 3)])
@pytest.mark.parametrize("new", [(6, 6), (8, 12), (13, 7), (5, 7), (9, 3)])
def test_the_modes_of_digits(mode, old, new):
    image = np.random.default_rng(3).integers(0, 256, (1, *old), np.uint8)
    got = resize(*new, mode=mode, filter="ANTIALIAS", fill=[7])(image)
    middle, margin = by_digits(image[0], *new, mode)
    assert got.shape == (1, *new)
    expected = np.full(new, 7, np.uint8)
    along = 0 if old[1] / new[1] > old[0] / new[0] else 1
    inside = [slice(None), slice(None)]
    inside[along] = slice(margin, new[along] - margin)
    expected[tuple(inside)] = middle
    # Pillow rounds after each direction, and a turned image goes through them in the other order
    np.testing.assert_allclose(got[0].astype(int), expected.astype(int), rtol=0, atol=1)


def test_around_what_fits_lies_noise_that_is_always_the_same():
    made = resize(40, 8, mode="FILL", fallback=(9,))
    first, again = made(BYTES), made(BYTES)
    np.testing.assert_array_equal(first, again)
    border = np.concatenate([first[:, :16], first[:, 24:]], axis=1)
    assert first.dtype == np.uint8 and border.max() > 200 and border.min() < 50
    assert 60 < border.std() < 90  # of numbers drawn evenly from 0 to 254: 73


@pytest.mark.parametrize("mode", KINDS.Mode.keys())
def test_an_image_of_the_right_size_is_left_alone(mode, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert resize(5, 7, mode=mode)(BYTES) is BYTES


def test_without_pillow_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DataError, match=r"Pillow(.|\n)*pip install Pillow"):
        resize(6)(BYTES)


def test_a_size_that_is_not_said_is_refused():
    with pytest.raises(LayerConfigError, match="resize has no height"):
        resize(0, 5)
    with pytest.raises(LayerConfigError, match="fill is nan"):
        resize(3, fill=[float("nan")])
