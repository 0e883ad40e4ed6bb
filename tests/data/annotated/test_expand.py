"""An image somewhere in a larger one."""

import numpy as np
import pytest

from minidl import schema
from minidl.data.annotated.expand import Expand
from minidl.errors import DataError, LayerConfigError

IMAGE = np.random.default_rng(0).integers(1, 200, (3, 8, 12), dtype=np.uint8)


def reject(found, **more):
    raise LayerConfigError(found)


def made(mean=(), **fields):
    return Expand(schema.ExpansionParameter(**fields), reject, mean, "layer 'd'")


def test_the_image_lies_where_the_borders_say():
    larger = made((7, 8, 9.4), max_expand_ratio=4)
    ratios, places = [], []
    for seed in range(300):
        image, part = larger(IMAGE, np.random.default_rng(seed), "r")
        height, width = image.shape[1:]
        ratios.append(height / 8)
        assert abs(height / 8 - width / 12) <= 1 / 8
        left, top = round(-part[0] * 12), round(-part[1] * 8)
        places.append((left / max(width - 12, 1), top / max(height - 8, 1)))
        np.testing.assert_array_equal(image[:, top : top + 8, left : left + 12], IMAGE)
        np.testing.assert_allclose((part[2:] - part[:2]) * (12, 8), (width, height), rtol=1e-5)
        around = image.copy()
        around[:, top : top + 8, left : left + 12] = np.reshape([7, 8, 9], (3, 1, 1))
        assert (around == np.reshape([7, 8, 9], (3, 1, 1))).all()
    assert 1 <= min(ratios) < 1.2 and 3.8 < max(ratios) <= 4
    assert np.std(np.array(places), axis=0).min() > 0.2


def test_as_often_as_it_says():
    seldom = made(prob=0.3, max_expand_ratio=2)
    changed = [seldom(IMAGE, np.random.default_rng(s), "r")[1] is not None for s in range(1000)]
    assert abs(np.mean(changed) - 0.3) < 0.06  # four standard deviations
    image, part = made(max_expand_ratio=1.005)(IMAGE, np.random.default_rng(0), "r")
    assert image is IMAGE and part is None


def test_without_a_mean_it_is_black():
    image, _ = made(max_expand_ratio=4)(IMAGE, np.random.default_rng(1), "r")
    assert (image == 0).any() and image.shape[1] > 8


@pytest.mark.parametrize("ratio", [1, 0.5, float("inf"), float("nan")])
def test_a_ratio_that_does_not_expand_is_refused(ratio):
    with pytest.raises(LayerConfigError, match=f"max_expand_ratio is {ratio:g}"):
        made(max_expand_ratio=ratio)


def test_pictures_beyond_all_sizes_are_refused_before_they_are_made():
    with pytest.raises(DataError, match="record 3 becomes(.|\n)*lower max_expand_ratio"):
        made(max_expand_ratio=1e9)(IMAGE, np.random.default_rng(0), "record 3")
