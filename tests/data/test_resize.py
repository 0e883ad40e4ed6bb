"""Resize against definitions in loops: where pixels lie, what modes make of proportions."""

import math
import sys

import numpy as np
import pytest

from minidl import schema
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


def test_a_cubic_kernel_is_sharper_than_a_linear_one():
    edge = np.repeat(np.uint8([[[0, 255]]]), 8, 2)
    cubic, linear = (stretch(edge, 1, 8, f)[0, 0] for f in (KINDS.CUBIC, KINDS.ANTIALIAS))
    assert cubic[3] < linear[3] and cubic[4] > linear[4]


MODES = {
    "stretch": (dict(mode="STRETCH", height=10, width=3), (4, 10, 3)),
    "a square, width unsaid": (dict(mode="STRETCH", height=6), (4, 6, 6)),
    "cover a square": (dict(mode="COVER", height=10), (4, 10, 14)),
    "cover what is wider": (dict(mode="COVER", height=5, width=21), (4, 15, 21)),
    "pad a square": (dict(mode="PAD", height=10), (4, 10, 10)),
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


def test_an_image_of_the_right_size_is_left_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert resize(5, 7)(BYTES) is BYTES


def test_without_pillow_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(DataError, match=r"Pillow(.|\n)*pip install 'minidl\[images\]'"):
        resize(6)(BYTES)


def test_a_size_that_is_not_said_is_refused():
    with pytest.raises(LayerConfigError, match="resize says no height"):
        resize(0, 5)
    with pytest.raises(LayerConfigError, match="fill is nan"):
        resize(3, fill=[float("nan")])
