"""Ways to spoil an image, against their definition."""

import logging

import numpy as np
import pytest

from minidl import schema
from minidl.data.annotated import noise
from minidl.data.annotated.distort import to_hsv
from minidl.errors import DataError, LayerConfigError

IMAGE = np.random.default_rng(0).integers(0, 256, (3, 10, 8), dtype=np.uint8)


def reject(found, **more):
    raise LayerConfigError(found)


def made(**fields):
    return noise.Noise(schema.NoiseParameter(**fields), reject, "layer 'd'")


def run(image=IMAGE, **fields):
    return made(**fields)(image, np.random.default_rng(0))


def test_without_colours_all_channels_are_the_same():
    found = run(decolorize=True)
    b, g, r = IMAGE[:, 3, 4].astype(float)
    assert (found[0] == found[2]).all()
    assert abs(found[0, 3, 4] - (0.114 * b + 0.587 * g + 0.299 * r)) <= 0.5001


def test_a_blur_is_a_weighted_mean_and_mirrors_the_border():
    padded = np.pad(IMAGE[0].astype(float), 3, "reflect")
    kernel = np.exp(-(np.arange(-3, 4) ** 2) / 4.5)
    kernel = np.outer(kernel, kernel) / kernel.sum() ** 2
    wanted = [[(padded[y : y + 7, x : x + 7] * kernel).sum() for x in range(8)] for y in range(10)]
    assert np.abs(run(gauss_blur=True)[0] - np.array(wanted)).max() < 0.6


def test_levels_of_grey_are_spread():
    ramp = np.repeat(np.arange(100, 110, dtype=np.uint8), 3).reshape(1, 6, 5)
    found = run(ramp, hist_eq=True)
    assert found.min() == 0 and found.max() == 255
    np.testing.assert_array_equal(np.unique(found), np.rint(np.arange(10) * 255 / 9))
    flat = np.full((3, 4, 4), 9, np.uint8)
    np.testing.assert_array_equal(run(flat, hist_eq=True), flat)


def test_the_darkest_of_five():
    found = run(erode=True)
    assert found[1, 4, 4] == min(
        IMAGE[1, y, x] for y, x in [(4, 4), (3, 4), (5, 4), (4, 3), (4, 5)]
    )
    assert found[2, 0, 0] == min(IMAGE[2, 0, 0], IMAGE[2, 1, 0], IMAGE[2, 0, 1])


def test_four_levels_and_the_inverse():
    assert set(np.unique(run(posterize=True))) == {32, 96, 160, 224}
    assert (run(inverse=True) == 255 - IMAGE).all()


def test_so_many_pixels_get_a_value():
    large = np.zeros((3, 100, 100), np.uint8)
    found = run(large, saltpepper=True, saltpepper_param=dict(fraction=0.1, value=[1, 2, 3]))
    hit = (found == np.reshape([1, 2, 3], (3, 1, 1))).all(axis=0)
    assert hit.sum() == (found != 0).any(axis=0).sum() and 900 < hit.sum() <= 1000
    assert hit[:50].any() and hit[50:].any() and not large.any()


def test_a_jpeg_keeps_what_is_smooth():
    smooth = np.repeat(np.linspace(0, 200, 32).astype(np.uint8)[None, None], 16, axis=1)
    smooth = np.repeat(smooth, 3, axis=0)
    found = run(smooth, jpeg=90)
    assert found.shape == smooth.shape and 0 < np.abs(found.astype(int) - smooth).max() < 9
    assert run(smooth[:1], jpeg=90).shape == (1, 16, 32)


def test_colours_as_hue_saturation_and_value_come_last():
    np.testing.assert_array_equal(run(inverse=True, convert_to_hsv=True), to_hsv(255 - IMAGE))


def test_what_cannot_be_done_is_refused(caplog):
    for fields, words in (
        (dict(clahe=True), "asks for clahe, which only OpenCV's code defines"),
        (dict(convert_to_lab=True), "asks for convert_to_lab"),
        (dict(jpeg=101), "jpeg is 101"),
        (dict(saltpepper=True), "saltpepper with 0 values"),
    ):
        with pytest.raises(LayerConfigError, match=words):
            made(**fields)
    with caplog.at_level(logging.WARNING, logger="minidl"):
        made(prob=0.5)
    assert "noise_param { prob: 0.5 } is not read" in caplog.text


def test_images_that_do_not_suit_are_refused():
    with pytest.raises(DataError, match="record 2 has real numbers"):
        made().check(IMAGE.astype(np.float32), "record 2")
    with pytest.raises(DataError, match="record 2 has 1 channels"):
        made(decolorize=True).check(IMAGE[:1], "record 2")
    with pytest.raises(DataError, match="as many as saltpepper_param has values"):
        two = dict(fraction=0.1, value=[1, 2])
        made(saltpepper=True, saltpepper_param=two).check(IMAGE, "record 2")
