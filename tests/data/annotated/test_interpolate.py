"""Five ways to another size, against what OpenCV makes of a row, and against their definition."""

import numpy as np
import pytest

from minidl import schema
from minidl.data.annotated import interpolate

ROW = np.array([12, 200, 35, 90, 255, 7, 140], np.uint8).reshape(1, 1, -1)
# Recorded from cv2.resize of OpenCV 5.0: to 4 columns, and to 10.
OPENCV = {
    "LINEAR": ([83, 42, 234, 90], [12, 115, 159, 43, 71, 148, 243, 69, 67, 140]),
    "AREA": ([93, 74, 172, 83], [12, 119, 176, 35, 74, 137, 255, 42, 64, 140]),
    "NEAREST": ([12, 200, 90, 7], [12, 12, 200, 35, 35, 90, 255, 255, 7, 140]),
    "CUBIC": ([91, 27, 255, 76], [0, 133, 181, 40, 44, 166, 251, 55, 41, 151]),
    "LANCZOS4": ([95, 16, 255, 63], [0, 138, 187, 44, 16, 189, 249, 55, 28, 160]),
}


def mode(name):
    return getattr(schema.ResizeParameter, name)


@pytest.mark.parametrize("name", OPENCV)
def test_a_row_becomes_what_opencv_makes_of_it(name):
    for wanted in OPENCV[name]:
        for turned in (False, True):
            image = ROW.swapaxes(1, 2) if turned else ROW
            size = (len(wanted), 1) if turned else (1, len(wanted))
            found = interpolate.resized(image, *size, mode(name))
            assert found.dtype == np.uint8 and found.shape == (1, *size)
            assert np.abs(found.reshape(-1).astype(int) - wanted).max() <= 1


def test_area_where_one_side_grows_takes_two_pixels_of_the_other():
    """Recorded likewise: two such rows, to 5 x 4."""
    found = interpolate.resized(np.repeat(ROW, 2, axis=1), 5, 4, mode("AREA"))
    assert np.abs(found[0, 0].astype(int) - [93, 59, 208, 83]).max() <= 1


@pytest.mark.parametrize("size", [(3, 4), (1, 1), (5, 7), (2, 7)])
def test_area_is_the_mean_of_what_a_pixel_covers(size):
    image = np.random.default_rng(0).random((2, 5, 7)).astype(np.float32)
    fine = np.repeat(np.repeat(image, size[0], axis=1), size[1], axis=2)
    wanted = fine.reshape(2, size[0], 5, size[1], 7).mean((2, 4))
    found = interpolate.resized(image, *size, mode("AREA"))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


@pytest.mark.parametrize("name", OPENCV)
def test_what_is_flat_stays_flat_and_what_has_the_size_stays(name):
    flat = np.full((3, 6, 9), 77, np.uint8)
    for size in ((4, 5), (11, 20), (3, 20)):
        np.testing.assert_array_equal(interpolate.resized(flat, *size, mode(name)), 77)
    image = np.random.default_rng(1).integers(0, 256, (3, 6, 9), dtype=np.uint8)
    np.testing.assert_array_equal(interpolate.resized(image, 6, 9, mode(name)), image)
