"""AnchorTarget against the rules of the paper, one anchor at a time."""

import math

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.layers.detection.proposal import anchors
from minidl.testing.harness import build, run

SIZE = (4, 6)  # rows and columns of the map
SCORES, IMAGE = np.zeros((1, 2, *SIZE)), np.array([[64.0, 96, 1]])
OBJECTS = np.array([[10.0, 12, 40, 38, 3], [50, 20, 90, 60, 1], [0, 0, 17, 15, 7]])
SETTINGS = dict(scale=[1, 2, 3], feat_stride=16)


def overlap(a, b):
    """Intersection by union, both end pixels counted."""
    sides = [min(a[i + 2], b[i + 2]) - max(a[i], b[i]) + 1 for i in (0, 1)]
    common = max(0, sides[0]) * max(0, sides[1])
    area = [(c[2] - c[0] + 1) * (c[3] - c[1] + 1) for c in (a, b)]
    return common / (sum(area) - common)


def offsets(a, b):
    wide, high = (
        [(c[2] - c[0] + 1) for c in (a, b)],
        [(c[3] - c[1] + 1) for c in (a, b)],
    )
    x, y = (
        [c[i] + side / 2 for c, side in zip((a, b), n, strict=True)]
        for i, n in ((0, wide), (1, high))
    )
    return (
        (x[1] - x[0]) / wide[0],
        (y[1] - y[0]) / high[0],
        math.log(wide[1] / wide[0]),
        math.log(high[1] / high[0]),
    )


def by_definition(objects, border=0, above=0.7, below=0.3):
    """Labels and targets of all anchors, (rows, columns, A), as if all of them were kept."""
    shapes = anchors(16, (0.5, 1, 2), (1, 2, 3))
    labels = np.full((*SIZE, len(shapes)), -1)
    targets = np.zeros((*SIZE, len(shapes), 4))
    shared = {}
    for row, column, a in np.ndindex(labels.shape):
        box = shapes[a] + 16 * np.array([column, row, column, row])
        if min(box[:2]) < -border or box[2] >= 96 + border or box[3] >= 64 + border:
            continue
        shared[row, column, a] = [overlap(box, other) for other in objects]
        best = int(np.argmax(shared[row, column, a]))
        targets[row, column, a] = offsets(box, objects[best])
    most = np.max(list(shared.values()), axis=0)
    for place, values in shared.items():
        if max(values) >= above or any(v == m for v, m in zip(values, most, strict=True)):
            labels[place] = 1
        elif max(values) < below:
            labels[place] = 0
    return labels, targets


def outputs(objects=OBJECTS, **settings):
    layer = build("AnchorTarget", bottoms=3, tops=4, **{**SETTINGS, **settings})
    _, tops = run(layer, SCORES, objects, IMAGE)
    labels, *boxes = (np.array(top.data) for top in tops)
    count = labels.size // (SIZE[0] * SIZE[1])
    labels = labels.reshape(count, *SIZE).transpose(1, 2, 0)
    return labels, *(b.reshape(count, 4, *SIZE).transpose(2, 3, 0, 1) for b in boxes)


@pytest.mark.parametrize("border", [0, 20])
def test_labels_and_targets_follow_the_definition(border):
    labels, targets, inside, outside = outputs(allowed_border=border)
    expected, moves = by_definition(OBJECTS[:, :4], border)
    np.testing.assert_array_equal(labels, expected)
    assert {-1, 0, 1} == set(labels.reshape(-1))
    np.testing.assert_allclose(targets, moves, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(inside, np.repeat((labels == 1)[..., None], 4, axis=-1))
    share = np.where(labels >= 0, 1 / (labels >= 0).sum(), 0)
    np.testing.assert_allclose(outside, np.repeat(share[..., None], 4, axis=-1), rtol=1e-12)


def test_thresholds_are_those_given():
    labels, *_ = outputs(positive_overlap=0.4, negative_overlap=0.1)
    expected, _ = by_definition(OBJECTS[:, :4], above=0.4, below=0.1)
    np.testing.assert_array_equal(labels, expected)


def test_of_too_many_some_are_drawn():
    every, *_ = outputs(positive_overlap=0.3)
    assert (every == 1).sum() > 4 and (every == 0).sum() > 6
    labels, *_ = outputs(positive_overlap=0.3, batch_size=10, fg_fraction=0.45)
    assert ((labels == 1).sum(), (labels == 0).sum()) == (4, 6)
    assert (every[labels >= 0] == labels[labels >= 0]).all()


def test_an_image_without_room_for_an_anchor_has_no_labels():
    labels, targets, inside, outside = outputs(scale=[40])
    assert (labels == -1).all() and not targets.any() and not inside.any() and not outside.any()


@pytest.mark.parametrize(
    "fields, message",
    [
        (dict(batch_size=0), "batch_size is 0"),
        (dict(fg_fraction=1.5), "fg_fraction is 1.5"),
        (dict(scale=[0]), r"scale \(0.0,\)"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields, message):
    with pytest.raises(LayerConfigError, match=message):
        build("AnchorTarget", bottoms=3, tops=4, **fields)


@pytest.mark.parametrize(
    "shapes",
    [
        ((2, 2, 4, 6), (3, 5), (1, 3)),
        ((1, 2, 4, 6), (3, 3), (1, 3)),
        ((1, 2, 4, 6), (3, 5), (1, 2)),
    ],
)
def test_bottoms_of_other_shapes_are_refused(shapes):
    with pytest.raises(LayerConfigError, match="AnchorTarget layer"):
        build("AnchorTarget", bottoms=3, tops=4).top_shapes(*shapes)
