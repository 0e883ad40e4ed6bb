"""DecodeBBox against the fork's definition, one region at a time."""

import math

import numpy as np
import pytest

from minidl import schema
from minidl.errors import LayerConfigError
from minidl.testing.harness import build, run

RNG = np.random.default_rng(8)
MEAN, STD = [0.25, -0.125, 0.0625, 0.375], [0.125, 0.1875, 0.25, 0.5]
SETTINGS = dict(bbox_mean=MEAN, bbox_std=STD)


def regions(count=9):
    corner = RNG.random((count, 2)) * 50
    ends = corner + RNG.random((count, 2)) * 30
    return np.concatenate([RNG.integers(0, 3, (count, 1)), corner, ends], axis=1)


def moved(region, offset, mean=MEAN, std=STD):
    t = [o * s + m for o, s, m in zip(offset[4:], std, mean, strict=True)]
    out = []
    for i in (0, 1):
        first, last = region[1 + i], region[3 + i]
        side, centre = last - first + 1, (first + last) / 2
        new = side * math.exp(t[2 + i])
        begin = centre + t[i] * side - (new - 1) / 2
        out.append((begin, begin + new - 1))
    return [region[0], out[0][0], out[1][0], out[0][1], out[1][1]]


@pytest.mark.parametrize("more", [(), (1, 1)])
def test_regions_go_where_their_offsets_say(more):
    boxes, offsets = regions(), RNG.standard_normal((9, 8))
    layer = build("DecodeBBox", **SETTINGS, phase=schema.TEST)
    _, (top,) = run(layer, offsets.reshape(9, 8, *more), boxes.reshape(9, 5, *more))
    assert top.shape == (9, 5, *more)
    expected = [moved(b, o) for b, o in zip(boxes, offsets, strict=True)]
    np.testing.assert_allclose(top.data.reshape(9, 5), expected, rtol=1e-12, atol=1e-12)


def test_without_mean_and_std_offsets_are_what_they_are():
    boxes, offsets = regions(3), RNG.standard_normal((3, 8))
    _, (top,) = run(build("DecodeBBox", phase=schema.TEST), offsets, boxes)
    expected = [moved(b, o, [0] * 4, [1] * 4) for b, o in zip(boxes, offsets, strict=True)]
    np.testing.assert_allclose(top.data, expected, rtol=1e-12, atol=1e-12)


def test_in_training_what_is_no_box_or_an_object_itself_is_dropped():
    boxes, offsets = regions(6), np.zeros((6, 8))
    offsets[1, 6] = offsets[2, 7] = -9  # no pixel wide; no pixel high
    boxes[5], offsets[5, 4] = (-1, 0, 0, 0, 0), 3
    overlaps = np.zeros((6, 6))
    overlaps[:, -1] = [0.5, 0, 0, 0.875, 0.87, 0]
    train = build("DecodeBBox", bottoms=3, gt_iou_thr=0.875)
    _, (top,) = run(train, offsets, boxes, overlaps)
    expected = boxes.copy()
    expected[[1, 2, 3, 5]] = (-1, 0, 0, 0, 0)
    np.testing.assert_allclose(top.data, expected, rtol=1e-12)
    _, (top,) = run(build("DecodeBBox"), offsets, boxes)
    assert np.flatnonzero(top.data[:, 0] == -1).tolist() == [1, 2, 5]
    _, (top,) = run(build("DecodeBBox", phase=schema.TEST), offsets, boxes)
    assert np.flatnonzero(top.data[:, 0] == -1).tolist() == [5]


@pytest.mark.parametrize(
    "fields, found",
    [
        (dict(bbox_mean=[1, 2]), "bbox_mean has 2 numbers"),
        (dict(bbox_mean=MEAN), "one of bbox_mean and bbox_std"),
        (dict(bbox_mean=MEAN, bbox_std=[1, 1, 0, 1]), "bbox_std is"),
        (dict(bottoms=3, phase=schema.TEST), "a third bottom, 'x2', which is for phase TRAIN"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields, found):
    with pytest.raises(LayerConfigError, match=found):
        build("DecodeBBox", **fields)


@pytest.mark.parametrize(
    "shapes, found",
    [
        (((4, 4), (4, 5)), "'x0' is"),
        (((3, 8), (4, 5)), "'x0' is"),
        (((4, 8), (4, 5, 2)), "'x1' is"),
        (((4, 8), (4, 5), (3, 6)), "'x2' is"),
    ],
)
def test_bottoms_of_other_shapes_are_refused(shapes, found):
    with pytest.raises(LayerConfigError, match=found):
        build("DecodeBBox", bottoms=len(shapes)).top_shapes(*shapes)
