"""Hues against Python's colorsys."""

import colorsys

import numpy as np

from minidl.data import hsv

RNG = np.random.default_rng(7)


def colours():
    """Random ones, greys, black, and all where two or three channels are equal."""
    corners = np.array(list(np.ndindex(3, 3, 3))).T / 2
    return np.concatenate([RNG.random((3, 100)), corners], axis=1).reshape(3, 1, -1)


def test_hue_saturation_and_value_are_those_of_colorsys():
    image = colours()
    hue, saturation, value = hsv.from_bgr(image)
    for i, (blue, green, red) in enumerate(image[:, 0].T):
        expected = colorsys.rgb_to_hsv(red, green, blue)
        got = (hue[0, i] / 360, saturation[0, i], value[0, i])
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-14)


def test_colours_come_back_and_turn():
    image = colours()
    hue, saturation, value = hsv.from_bgr(image)
    np.testing.assert_allclose(hsv.to_bgr(hue, saturation, value), image, atol=1e-14)
    for degrees in (-170, -20, 400):
        turned = hsv.to_bgr(hue + degrees, saturation, value)
        for i in range(image.shape[2]):
            h, s, v = (float(part[0, i]) for part in (hue, saturation, value))
            red, green, blue = colorsys.hsv_to_rgb((h + degrees) / 360 % 1, s, v)
            np.testing.assert_allclose(turned[:, 0, i], [blue, green, red], atol=1e-13)


def test_the_unit_of_colours_does_not_matter():
    image = colours()
    hue, saturation, value = hsv.from_bgr(255 * image)
    expected = hsv.from_bgr(image)
    np.testing.assert_allclose(hue, expected[0], atol=1e-9)
    np.testing.assert_allclose(saturation, expected[1], atol=1e-12)
    np.testing.assert_allclose(value, 255 * expected[2])
