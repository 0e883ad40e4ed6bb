"""Proposal against py-faster-rcnn's rules, anchor by anchor, and its refusals."""

import math

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.layers.detection.proposal import anchors
from minidl.testing.harness import build, run

# The anchors that py-faster-rcnn lists for base 16, ratios 0.5, 1, 2 and scales 8, 16, 32.
LISTED = [
    [-84, -40, 99, 55], [-176, -88, 191, 103], [-360, -184, 375, 199],
    [-56, -56, 71, 71], [-120, -120, 135, 135], [-248, -248, 263, 263],
    [-36, -80, 51, 95], [-80, -168, 95, 183], [-168, -344, 183, 359],
]  # fmt: skip


def test_the_anchors_are_those_everybody_uses():
    assert anchors(16, (0.5, 1, 2), (8, 16, 32)).tolist() == LISTED
    assert build("Proposal").anchors == tuple(map(tuple, LISTED))


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    common = max(width, 0) * max(height, 0)

    def size(box):
        return (box[2] - box[0] + 1) * (box[3] - box[1] + 1)

    return common / (size(a) + size(b) - common)


def proposed(scores, offsets, image, base, stride, least, before, after, overlap):
    """(score, box) of the regions, best first."""
    height, width, scale = image
    a, found = len(base), []
    for i, j, k in np.ndindex(*scores.shape[2:], a):
        x1, y1, x2, y2 = np.array(base[k]) + np.array([j, i, j, i]) * stride
        w, h = x2 - x1 + 1, y2 - y1 + 1
        dx, dy, dw, dh = offsets[0, 4 * k : 4 * k + 4, i, j]
        x, y = x1 + w / 2 + dx * w, y1 + h / 2 + dy * h
        w, h = w * math.exp(dw), h * math.exp(dh)
        xs = [min(max(v, 0), width - 1) for v in (x - w / 2, x + w / 2)]
        ys = [min(max(v, 0), height - 1) for v in (y - h / 2, y + h / 2)]
        if min(xs[1] - xs[0], ys[1] - ys[0]) + 1 >= least * scale:
            found.append((scores[0, a + k, i, j], (xs[0], ys[0], xs[1], ys[1])))
    found.sort(key=lambda pair: -pair[0])
    kept = []
    for score, box in found[:before]:
        if all(iou(box, other) <= overlap for _, other in kept):
            kept.append((score, box))
    return kept[:after]


@pytest.mark.parametrize("before, after, overlap", [(60, 12, 0.5), (6000, 300, 0.7), (20, 5, 0.9)])
def test_the_best_regions_that_do_not_overlap_come_first(before, after, overlap, device):
    rng = np.random.default_rng(11)
    scores, offsets = rng.random((1, 12, 5, 6)), rng.standard_normal((1, 24, 5, 6)) * 0.3
    image = np.array([[70.0, 85, 1.5]])
    layer = build(
        "Proposal", tops=2, device=device, feat_stride=16, scale=[1, 3], min_size=10,
        pre_nms_topn=before, post_nms_topn=after, nms_thresh=overlap,
    )  # fmt: skip
    _, tops = run(layer, scores, offsets, image)
    regions, values = (blob.device.to_host(blob.data) for blob in tops)
    base = anchors(16, (0.5, 1, 2), (1, 3))
    limits = 16, 10, before, after, np.float32(overlap)
    expected = proposed(scores, offsets, image[0], base, *limits)
    count = len(expected)
    assert 0 < count <= after
    np.testing.assert_allclose(
        regions[:count, 1:], [box for _, box in expected], rtol=1e-9, atol=1e-9
    )
    np.testing.assert_array_equal(values[:count, 0], [score for score, _ in expected])
    assert (regions[:count, 0] == 0).all()
    assert (regions[count:] == [-1, 0, 0, 0, 0]).all() and (values[count:] == 0).all()


def test_rows_without_a_region_give_zeros_in_region_pooling():
    layer = build("Proposal", scale=1, min_size=500, post_nms_topn=3)
    _, (regions,) = run(layer, np.ones((1, 6, 2, 2)), np.zeros((1, 12, 2, 2)), [[40.0, 40, 1]])
    assert (regions.data[:, 0] == -1).all()
    pool = build("ROIPooling", pooled_h=2, pooled_w=2, spatial_scale=0.0625)
    _, (y,) = run(pool, np.ones((1, 3, 2, 2)), regions.data)
    assert (y.data == 0).all()


def test_shapes_for_other_anchors_and_parameters_of_0_are_refused():
    layer = build("Proposal", name="p", scale=[8])
    with pytest.raises(LayerConfigError, match=r"'p'.*'x0' is \(1, 18, 4, 4\), with 3 anchors"):
        layer.top_shapes((1, 18, 4, 4), (1, 12, 4, 4), (1, 3))
    with pytest.raises(LayerConfigError, match=r"'x1' is \(1, 12, 4, 5\)"):
        layer.top_shapes((1, 6, 4, 4), (1, 12, 4, 5), (1, 3))
    with pytest.raises(LayerConfigError, match=r"'x0' is \(2, 6, 4, 4\)(.|\n)*for one image"):
        layer.top_shapes((2, 6, 4, 4), (2, 12, 4, 4), (2, 3))
    with pytest.raises(LayerConfigError, match=r"'x2' is \(1, 2\)"):
        layer.top_shapes((1, 6, 4, 4), (1, 12, 4, 4), (1, 2))
    with pytest.raises(LayerConfigError, match=r"'p'.*post_nms_topn is 0"):
        build("Proposal", name="p", post_nms_topn=0)
    with pytest.raises(LayerConfigError, match=r"'p'.*scale \(0.0,\)"):
        build("Proposal", name="p", scale=0)
