"""TextProposal against its definition, one anchor at a time."""

import math

import numpy as np
import pytest

from minidl import schema
from minidl.errors import LayerConfigError
from minidl.net import Net
from minidl.testing.harness import build, run

RNG = np.random.default_rng(4)
# First and last row of the anchors at the first place: CTPN's formula, worked out by hand.
ROWS = [
    (2, 12), (0, 15), (-3, 18), (-8, 23), (-16, 31),
    (-26, 41), (-40, 55), (-61, 76), (-91, 106), (-133, 148),
]  # fmt: skip


def test_anchors_are_moved_up_and_down_and_cut_off():
    height, width, stride = 3, 4, 16
    scores = RNG.random((1, 20, height, width))
    offsets = RNG.standard_normal((1, 20, height, width))
    image = np.array([[40.0, 59.0]])  # smaller than the map: boxes are cut off on every side
    layer = build("TextProposal", tops=2)
    _, (boxes, values) = run(layer, scores, offsets, image)
    index, cut = 0, set()
    for row, column, a in np.ndindex(height, width, 10):
        top, low = (y + stride * row for y in ROWS[a])
        tall, centre = low - top + 1, (top + low) / 2
        d, e = offsets[0, 2 * a : 2 * a + 2, row, column]
        new = tall * math.exp(e)
        first = d * tall + centre - new / 2
        raw = [stride * column, first, stride * column + 15, first + new]
        expected = [max(0, min(v, most)) for v, most in zip(raw, [58, 39, 58, 39], strict=True)]
        cut |= {i for i in range(4) if raw[i] != expected[i]}
        np.testing.assert_allclose(boxes.data[index], expected, rtol=1e-12, atol=1e-12)
        assert values.data[index, 0] == scores[0, 10 + a, row, column]
        index += 1
    assert index == len(boxes.data) and {1, 2, 3} <= cut


def test_the_python_layer_of_ctpn_is_this_one():
    net = Net(
        """
        layer { name: "i" type: "Input" top: "s" top: "o" top: "i" input_param {
          shape { dim: 1 dim: 20 dim: 2 dim: 3 } shape { dim: 1 dim: 20 dim: 2 dim: 3 }
          shape { dim: 1 dim: 2 } } }
        layer { name: "p" type: "Python" bottom: "s" bottom: "o" bottom: "i" top: "rois" top: "v"
          python_param { module: "layers.text_proposal_layer" layer: "ProposalLayer"
            param_str: "'feat_stride': 8" } }""",
        phase=schema.TEST,
    )
    layer = net.layer_dict["p"]
    assert (layer.type, layer.stride) == ("TextProposal", 8)
    assert net.blobs["rois"].data.shape == (60, 4) and net.blobs["v"].data.shape == (60, 1)


@pytest.mark.parametrize(
    "shapes",
    [
        ((1, 18, 2, 3), (1, 20, 2, 3), (1, 2)),
        ((1, 20, 2, 3), (1, 20, 3, 2), (1, 2)),
        ((2, 20, 2, 3), (2, 20, 2, 3), (1, 2)),
        ((1, 20, 2, 3), (1, 20, 2, 3), (1, 1)),
    ],
)
def test_bottoms_of_other_shapes_are_refused(shapes):
    with pytest.raises(LayerConfigError, match="TextProposal layer"):
        build("TextProposal").top_shapes(*shapes)


def test_a_stride_of_nothing_is_refused():
    with pytest.raises(LayerConfigError, match="feat_stride is 0"):
        build("TextProposal", feat_stride=0)
