"""Channels as pictures: numbers that fill, and what each picture is."""

import numpy as np
import pytest

from minidl.data import planes

pytest.importorskip("PIL.Image", reason="Pillow is not installed")


@pytest.mark.parametrize("dtype, mode", [("u1", "L"), ("f4", "F"), ("f8", "F")])
def test_each_channel_is_a_picture_of_its_own(dtype, mode):
    image = np.arange(24).reshape(4, 2, 3).astype(dtype)
    seen = []

    def turn(picture, index):
        seen.append((picture.mode, picture.size, index))
        return picture.transpose(0)  # left and right

    np.testing.assert_array_equal(planes.each(image, turn), image[..., ::-1])
    assert seen == [(mode, (3, 2), i) for i in range(4)]


def test_a_fill_is_one_number_for_each_channel():
    assert planes.fill((), 2, np.float32) == [0, 0]
    assert planes.fill((1.5,), 3, np.float32) == [1.5, 1.5, 1.5]
    assert planes.fill((-3, 7.6, 400), 3, np.uint8) == [0, 8, 255]
