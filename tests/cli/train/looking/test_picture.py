"""Numbers of a net turned back into pixels."""

import numpy as np
import pytest

from minidl import schema
from minidl.cli.train.looking.picture import Picture
from minidl.data import image_mean

pytest.importorskip("PIL", reason="Pillow is not installed")


def layer(**transform):
    return schema.LayerParameter(
        type="Data", transform_param=schema.TransformationParameter(**transform)
    )


BYTES = np.random.default_rng(4).integers(0, 256, (3, 5, 6)).astype(np.float64)


def test_scale_and_mean_are_undone():
    shown = Picture(layer(scale=0.5, mean_value=[10, 20, 30]))
    values = (BYTES - np.array([10, 20, 30]).reshape(3, 1, 1)) * 0.5
    np.testing.assert_allclose(shown.pixels(values), BYTES)
    assert shown.peak(BYTES) == 255


def test_of_a_mean_image_the_middle_counts(tmp_path):
    whole = np.random.default_rng(5).random((3, 9, 8))
    image_mean.write(tmp_path / "m", whole)
    shown = Picture(layer(mean_file=str(tmp_path / "m")))
    np.testing.assert_allclose(shown.pixels(BYTES - whole[:, 2:7, 1:7]), BYTES, atol=1e-4)


def test_numbers_without_a_transform_are_bytes_if_they_may_be():
    plain = Picture(None)
    assert plain.peak(BYTES) == 255 and plain.peak(BYTES / 256) < 1
    assert plain.peak(BYTES - 300) == BYTES.max() - BYTES.min()
    assert plain.shown(BYTES) == Picture(layer(scale=1)).shown(BYTES)
    assert plain.shown(BYTES / 1000) == plain.shown(BYTES / 1000 * 7 - 3)  # black to white
