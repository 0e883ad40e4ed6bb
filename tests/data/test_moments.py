"""Moments against NumPy's own of all images at once."""

import numpy as np
import pytest

from minidl.data.moments import Moments

RNG = np.random.default_rng(3)
IMAGES = {
    "bytes": RNG.integers(0, 256, (5, 3, 4, 6), np.uint8),
    "floats": RNG.standard_normal((5, 2, 4, 6)).astype("f4") * 3 - 100,
    "one, of one value": np.full((1, 1, 2, 2), 255, np.uint8),
}


@pytest.mark.parametrize("images", IMAGES.values(), ids=IMAGES.keys())
def test_moments_are_those_of_all_images(images):
    found = Moments()
    for image in images:
        found.add(image)
    assert found.count == len(images) and found.shape == images.shape[1:]
    all_of_them = images.astype("f8")
    assert found.image().dtype == np.float32
    np.testing.assert_allclose(found.image(), all_of_them.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.means(), all_of_them.mean(axis=(0, 2, 3)), rtol=1e-12)
    expected = all_of_them.std(axis=(0, 2, 3))
    np.testing.assert_allclose(found.deviations(), expected, rtol=1e-6, atol=1e-6)
