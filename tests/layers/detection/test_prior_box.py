"""PriorBox against SSD's order and sizes, written out in loops; what is refused."""

import math

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.harness import build, run

MAP, IMAGE = np.zeros((1, 4, 2, 3)), np.zeros((1, 3, 60, 80))


def boxes_by_definition(sizes, ratios, step, offset, height=60, width=80, rows=2, columns=3):
    """sizes: (min_size, max_size or None); all in pixels, boxes in parts of the image."""
    boxes = []
    for i in range(rows):
        for j in range(columns):
            cx, cy = (j + offset) * step[1], (i + offset) * step[0]
            for small, large in sizes:
                sides = [(small, small)]
                if large:
                    sides.append((math.sqrt(small * large), math.sqrt(small * large)))
                for ratio in ratios:
                    sides.append((small * math.sqrt(ratio), small / math.sqrt(ratio)))
                for w, h in sides:
                    corner = (cx - w / 2) / width, (cy - h / 2) / height
                    other = (cx + w / 2) / width, (cy + h / 2) / height
                    boxes.append((*corner, *other))
    return np.array(boxes)


def test_boxes_come_place_by_place_and_size_by_size():
    layer = build("PriorBox", min_size=[10, 21.9], max_size=[20, 40.5], aspect_ratio=[2, 3, 0.5])
    _, (y,) = run(layer, MAP, IMAGE)
    sizes = [(10, 20), (21, 40)]  # fractions of a pixel are cut off
    expected = boxes_by_definition(sizes, [2, 0.5, 3, 1 / 3], (30, 80 / 3), 0.5)
    assert y.shape == (1, 2, 2 * 3 * 12 * 4)
    np.testing.assert_allclose(y.data[0, 0].reshape(-1, 4), expected, rtol=1e-12, atol=1e-15)
    assert (y.data[0, 1] == np.float32(0.1)).sum() + (y.data[0, 1] == 0.1).sum() == 2 * 3 * 12 * 4


def test_step_offset_variance_and_ratios_without_flip():
    layer = build(
        "PriorBox", min_size=8, aspect_ratio=[1, 2, 2], flip=False, step_h=5, step_w=7,
        offset=0.25, variance=[0.1, 0.2, 0.3, 0.4], img_size=50,
    )  # fmt: skip
    _, (y,) = run(layer, MAP, IMAGE)
    expected = boxes_by_definition([(8, None)], [2], (5, 7), 0.25, 50, 50)
    np.testing.assert_allclose(y.data[0, 0].reshape(-1, 4), expected, rtol=1e-12)
    variance = np.float32([0.1, 0.2, 0.3, 0.4])
    np.testing.assert_array_equal(y.data[0, 1].reshape(-1, 4), np.tile(variance, (12, 1)))


def test_clip_keeps_boxes_in_the_image():
    _, (y,) = run(build("PriorBox", min_size=70, clip=True), MAP, IMAGE)
    expected = boxes_by_definition([(70, None)], [], (30, 80 / 3), 0.5)
    assert expected.min() < 0 and expected.max() > 1
    np.testing.assert_allclose(y.data[0, 0].reshape(-1, 4), expected.clip(0, 1), rtol=1e-12)


@pytest.mark.parametrize(
    "keywords, found",
    [
        (dict(), "min_size is missing"),
        (dict(min_size=0.5), r"min_size is \[0\]"),
        (dict(min_size=[3, 4], max_size=5), "has 1 max_size for 2 min_size"),
        (dict(min_size=5, max_size=5), "max_size 5 beside min_size 5"),
        (dict(min_size=5, aspect_ratio=0), "aspect_ratio is 0"),
        (dict(min_size=5, variance=[0.1, 0.2]), "variance is"),
        (dict(min_size=5, step=3, step_h=2), "step and step_h given"),
        (dict(min_size=5, img_h=3), "img_h given"),
        (dict(min_size=5, step=0), "step is 0"),
    ],
)
def test_parameters_that_make_no_boxes_are_refused(keywords, found):
    with pytest.raises(LayerConfigError, match=rf"PriorBox layer 'p'.*{found}"):
        build("PriorBox", name="p", **keywords)


def test_a_bottom_that_is_no_map_is_refused():
    with pytest.raises(LayerConfigError, match=r"'x1' has the shape \(1, 3\)"):
        build("PriorBox", min_size=5).top_shapes((1, 4, 2, 3), (1, 3))
