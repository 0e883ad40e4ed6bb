"""Changes of colour against their definition, pixel by pixel."""

import colorsys

import numpy as np
import pytest

from minidl import schema
from minidl.data.annotated import distort
from minidl.errors import DataError, LayerConfigError

IMAGE = np.random.default_rng(0).integers(0, 256, (3, 9, 7), dtype=np.uint8)


def reject(found, **more):
    raise LayerConfigError(found, **{k: v for k, v in more.items() if k != "field"})


def made(**fields):
    return distort.Distort(schema.DistortionParameter(**fields), reject, "layer 'd'")


def run(seed=0, image=IMAGE, **fields):
    return made(**fields)(image, np.random.default_rng(seed))


def test_hue_saturation_and_value_are_those_of_opencv():
    """Recorded from OpenCV 5.0: blue, green, red and what cvtColor makes of them."""
    bgr = [[10, 0, 255, 90, 17, 128], [200, 0, 255, 90, 3, 64], [30, 0, 255, 200, 250, 129]]
    hsv = [[57, 0, 0, 0, 178, 150], [242, 0, 0, 140, 252, 128], [200, 0, 255, 200, 250, 129]]
    found = distort.to_hsv(np.array(bgr, np.uint8)[:, None])
    np.testing.assert_array_equal(found[:, 0], hsv)


def test_colours_come_back_from_hsv():
    hsv = np.random.default_rng(1).integers(0, 256, (3, 40, 40), dtype=np.uint8)
    found = distort.from_hsv(hsv)
    for (h, s, v), (b, g, r) in zip(
        hsv.reshape(3, -1).T.tolist(), found.reshape(3, -1).T.tolist(), strict=True
    ):
        wanted = colorsys.hsv_to_rgb(h % 180 / 180, s / 255, v / 255)
        assert np.abs(np.array(wanted) * 255 - (r, g, b)).max() <= 0.5 + 1e-3


def test_to_hsv_is_hsv_to_rounding():
    found = distort.to_hsv(IMAGE).reshape(3, -1).T
    for (b, g, r), (h, s, v) in zip(IMAGE.reshape(3, -1).T.tolist(), found.tolist(), strict=True):
        wanted = colorsys.rgb_to_hsv(r / 255, g / 255, b / 255)
        assert abs(wanted[1] * 255 - s) < 0.6 and v == max(b, g, r)
        assert abs((wanted[0] * 180 - h + 90) % 180 - 90) < 0.6


def test_bytes_are_rounded_halves_to_even_and_cut():
    values = np.array([0, 1, 2, 3, 200, 255], np.uint8)
    assert distort.scaled(values, 0.5, 0).tolist() == [0, 0, 1, 2, 100, 128]
    assert distort.scaled(values, 2, -3).tolist() == [0, 0, 1, 3, 255, 255]


def test_brightness_adds_the_same_to_all():
    moved = [
        run(seed, np.full((3, 2, 2), 128, np.uint8), brightness_prob=1, brightness_delta=32)
        for seed in range(200)
    ]
    assert all((m == m.flat[0]).all() for m in moved)
    first = np.array([int(m.flat[0]) for m in moved]) - 128
    assert -32 <= first.min() < -25 and 25 < first.max() <= 32


def test_contrast_multiplies():
    full = np.full((3, 1, 1), 100, np.uint8)
    found = [
        run(s, full, contrast_prob=1, contrast_lower=0.5, contrast_upper=1.5) for s in range(200)
    ]
    values = [int(f.flat[0]) for f in found]
    assert 50 <= min(values) < 56 and 144 < max(values) <= 150


def test_saturation_leaves_grey_and_hue_leaves_value():
    grey = np.repeat(IMAGE[:1], 3, axis=0)
    np.testing.assert_array_equal(run(1, grey, saturation_prob=1, saturation_upper=2), grey)
    for seed in range(20):
        found = run(seed, hue_prob=1, hue_delta=18)
        value, turned = distort.to_hsv(IMAGE)[2], distort.to_hsv(found)[2]
        assert np.abs(value.astype(int) - turned).max() <= 1
        assert (found != IMAGE).any()


def test_a_hue_does_not_turn_below_zero():
    """OpenCV's bytes end at 0: a red that turns back stays red."""
    red = np.array([0, 0, 200], np.uint8).reshape(3, 1, 1)
    found = {tuple(run(s, red, hue_prob=1, hue_delta=60).flat) for s in range(200)}
    hues = [int(distort.to_hsv(np.array(f, np.uint8).reshape(3, 1, 1))[0, 0, 0]) for f in found]
    assert min(hues) == 0 and 50 < max(hues) <= 61


def test_channels_change_places():
    found = {run(s, random_order_prob=1).tobytes() for s in range(100)}
    assert len(found) == 6
    assert sorted(map(bytes, run(4, random_order_prob=1))) == sorted(map(bytes, IMAGE))


def test_each_change_comes_as_often_as_it_says():
    fields = dict(brightness_prob=0.3, brightness_delta=200)
    changed = sum((run(s, **fields) != IMAGE).any() for s in range(1000))
    assert abs(changed / 1000 - 0.3) < 0.06  # four standard deviations
    np.testing.assert_array_equal(run(0), IMAGE)


def test_contrast_comes_first_or_last():
    """What is cut at 255 has lost its colour before, or has it to lose after."""
    fields = dict(contrast_prob=1, contrast_lower=2, contrast_upper=2)
    fields |= dict(saturation_prob=1, saturation_lower=0.5, saturation_upper=0.5)
    colour = np.array([40, 150, 200], np.uint8).reshape(3, 1, 1)
    found = [tuple(run(s, colour, **fields).reshape(-1).tolist()) for s in range(200)]
    counted = set(found)
    counts = [found.count(one) for one in counted]
    assert len(counts) == 2 and min(counts) > 70
    assert {max(one) for one in counted} == {255}  # both are twice as bright


@pytest.mark.parametrize(
    "fields, words",
    [
        (dict(contrast_prob=1, contrast_lower=2, contrast_upper=1), "contrast_lower is 2"),
        (dict(saturation_prob=1, saturation_lower=-1), "saturation_lower is -1"),
        (dict(brightness_delta=-1), "brightness_delta is -1"),
        (dict(hue_delta=float("nan")), "hue_delta is nan"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, words):
    with pytest.raises(LayerConfigError, match=words):
        made(**fields)


def test_images_without_colours_are_refused_where_colours_change():
    grey = IMAGE[:1]
    made(brightness_prob=1, brightness_delta=3).check(grey, "record 0")
    with pytest.raises(DataError, match="record 0 has 1 channels(.|\n)*3: blue"):
        made(hue_prob=0.1, hue_delta=3).check(grey, "record 0")
    with pytest.raises(DataError, match="real numbers"):
        made().check(IMAGE.astype(np.float32), "record 0")
