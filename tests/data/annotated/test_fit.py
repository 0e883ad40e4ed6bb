"""Images and boxes at a size: boxes stay on what they are around."""

import logging

import numpy as np
import pytest

from minidl import schema
from minidl.data.annotated.fit import Fit
from minidl.errors import DataError, LayerConfigError

MODES = schema.ResizeParameter
BOX = np.array([[0.25, 0.5, 0.75, 1]], np.float32)


def reject(found, **more):
    raise LayerConfigError(found)


def made(**fields):
    fields = dict(height=20, width=40) | fields
    return Fit(schema.ResizeParameter(**fields), reject, "layer 'd'")


def picture(shape):
    """Zeros, and 255 where BOX is."""
    image = np.zeros((3, *shape), np.uint8)
    image[:, shape[0] // 2 :, shape[1] // 4 : shape[1] * 3 // 4] = 255
    return image


def bounds(image):
    rows, columns = np.nonzero(image[0] > 127)
    size = np.array([*image.shape[:0:-1]] * 2)
    ends = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    return np.array(ends) / size


SHAPES = {
    "WARP": {(80, 40): (20, 40), (8, 80): (20, 40)},
    "FIT_SMALL_SIZE": {
        (80, 40): (80, 40),
        (8, 80): (20, 200),
        (40, 80): (20, 40),
        (40, 60): (26, 40),
    },
    "FIT_LARGE_SIZE_AND_PAD": {(80, 40): (20, 40), (8, 80): (20, 40), (40, 80): (20, 40)},
}
CASES = [(name, old, new) for name, sizes in SHAPES.items() for old, new in sizes.items()]


@pytest.mark.parametrize("name, old, new", CASES)
def test_sizes_and_boxes(name, old, new):
    fit = made(resize_mode=getattr(MODES, name), interp_mode=[MODES.NEAREST])
    image = picture(old)
    assert fit.shape(image.shape) == (3, *new)
    found = fit(image, np.random.default_rng(0))
    assert found.shape == (3, *new)
    np.testing.assert_allclose(fit.boxes(BOX, image.shape)[0], bounds(found), atol=1 / min(new))


def test_what_lies_around_a_padded_image():
    tall = np.arange(1, 41, dtype=np.uint8).reshape(1, 40, 1).repeat(20, axis=2) * 3
    tall = tall + np.arange(20, dtype=np.uint8)

    def fitted(**fields):
        size = dict(height=40, width=46, resize_mode=MODES.FIT_LARGE_SIZE_AND_PAD)
        return made(**size, **fields)(tall, np.random.default_rng(0))

    assert (fitted()[..., :13] == 0).all() and (fitted(pad_value=[9])[..., 33:] == 9).all()
    np.testing.assert_array_equal(fitted()[..., 13:33], tall)
    np.testing.assert_array_equal(fitted(pad_mode=2)[..., 12], tall[..., 1])
    np.testing.assert_array_equal(fitted(pad_mode=3)[..., 45], tall[..., 19])


def test_every_way_to_interpolate_is_as_likely_as_another():
    fit = made(interp_mode=[MODES.NEAREST, MODES.CUBIC, MODES.AREA])
    image = np.random.default_rng(0).integers(0, 256, (1, 50, 60), dtype=np.uint8)
    found = [fit(image, np.random.default_rng(s)).tobytes() for s in range(600)]
    counts = [found.count(one) for one in set(found)]
    assert len(counts) == 3 and min(counts) > 150


def test_boxes_of_a_small_size_may_be_in_rows_and_columns_of_their_own():
    fit = made(resize_mode=MODES.FIT_SMALL_SIZE, height_scale=10, width_scale=20)
    part = np.array([0, 0, 0.5, 1], np.float32)  # of 20 x 80: 40 columns
    found = fit.unit(BOX, (3, 40, 160), part)
    np.testing.assert_allclose(found, BOX * np.array([2, 2, 2, 2], np.float32))
    with pytest.raises(DataError, match=r"20 rows and 8 columns(.|\n)*width_scale, 20"):
        fit.unit(BOX, (3, 40, 160), np.array([0, 0, 0.1, 1], np.float32))
    np.testing.assert_array_equal(made().unit(BOX, (3, 40, 160), part), BOX)


def test_that_a_probability_is_not_read_is_said(caplog):
    with caplog.at_level(logging.WARNING, logger="minidl"):
        made(prob=0.5)
    assert "resize_param { prob: 0.5 } is not read" in caplog.text


@pytest.mark.parametrize(
    "fields, words",
    [
        (dict(height=0), "height 0 and width 40"),
        (dict(height_scale=3), "height_scale is 3 and width_scale 0"),
        (dict(pad_value=[float("nan")]), "pad_value is nan"),
    ],
)
def test_what_makes_no_sense_is_refused(fields, words):
    with pytest.raises(LayerConfigError, match=words):
        made(**fields)


def test_images_that_do_not_suit_are_refused():
    with pytest.raises(DataError, match="2 pad_value entries, but record 1 has 3 channels"):
        made(pad_value=[1, 2]).check(picture((4, 4)), "record 1")
    with pytest.raises(DataError, match="at most"):
        made(resize_mode=MODES.FIT_SMALL_SIZE, width=4000).shape((3, 10000, 1))
