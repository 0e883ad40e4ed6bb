"""Cubic interpolation against OpenCV's four weights, written out pixel by pixel."""

import numpy as np
import pytest

from minidl.data import cubic

RNG = np.random.default_rng(7)


def weights(t, a=-0.75):
    """Of the pixels at -1, 0, 1, 2 for a place t past pixel 0: as OpenCV computes them."""
    first = ((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a
    second = ((a + 2) * t - (a + 3)) * t * t + 1
    u = 1 - t
    third = ((a + 2) * u - (a + 3)) * u * u + 1
    return [first, second, third, 1 - first - second - third]


def places(size, old):
    """For each new pixel the four old ones, cut at the border, with their weights."""
    for i in range(size):
        at = (i + 0.5) * old / size - 0.5
        left = int(np.floor(at))
        yield [(min(max(left + k - 1, 0), old - 1), w) for k, w in enumerate(weights(at - left))]


def by_definition(image, height, width):
    out = np.zeros((len(image), height, width))
    for i, rows in enumerate(places(height, image.shape[1])):
        for j, columns in enumerate(places(width, image.shape[2])):
            for y, wy in rows:
                for x, wx in columns:
                    out[:, i, j] += wy * wx * image[:, y, x]
    return out


@pytest.mark.parametrize("size", [(5, 7), (12, 4), (3, 15), (1, 1), (5, 20)])
def test_every_pixel_is_found_between_sixteen(size):
    image = RNG.standard_normal((3, 5, 7))
    np.testing.assert_allclose(
        cubic.stretch(image, *size), by_definition(image, *size), rtol=1e-12, atol=1e-13
    )


def test_a_pixel_alone_stretches_to_any_size():
    np.testing.assert_allclose(cubic.stretch(np.full((1, 1, 1), 3.0), 4, 2), 3, rtol=1e-15)


def test_bytes_stay_bytes_and_do_not_overflow():
    image = np.zeros((1, 4, 4), np.uint8)
    image[:, :, 2:] = 255
    got = cubic.stretch(image, 4, 13)
    exact = by_definition(image.astype(np.float64), 4, 13)
    assert exact.min() < -5 and exact.max() > 260
    assert got.dtype == np.uint8
    assert np.abs(got - exact.clip(0, 255)).max() <= 0.51


def test_numbers_keep_their_type():
    image = RNG.standard_normal((2, 4, 3)).astype(np.float32)
    assert cubic.stretch(image, 9, 9).dtype == np.float32
    assert cubic.stretch(image, 4, 3) is image
