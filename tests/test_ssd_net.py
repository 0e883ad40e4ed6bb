"""A small SSD, from image to list of boxes, against its definition in plain loops.

The convolutions' outputs are taken as they are. From there on the oracle knows no layer: at each
place of a map, for each of its boxes, four offsets and a score for each class.
"""

import math

import numpy as np
import pytest

from minidl.net import Net
from tests.layers.detection.test_detection_output import detected
from tests.layers.detection.test_prior_box import boxes_by_definition
from tests.places import on

CLASSES = 4
HEIGHT, WIDTH = 48, 64
LEAST, OVERLAP, TOP_K, KEEP = RULES = 0.8, 0.45, 12, 30
VARIANCE = (0.1, 0.1, 0.2, 0.2)
SIDES = {"fine": (12, 20), "coarse": (24, 40)}  # min_size and max_size of each map's boxes
BOXES = 4  # two squares, and the ratios 2 and 1/2

BODY = f"""
layer {{ name: "data" type: "Input" top: "data"
         input_param {{ shape {{ dim: [2, 3, {HEIGHT}, {WIDTH}] }} }} }}
layer {{ name: "fine" type: "Convolution" bottom: "data" top: "fine" convolution_param {{
         num_output: 8 kernel_size: 8 stride: 8 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "relu" type: "ReLU" bottom: "fine" top: "fine" }}
layer {{ name: "coarse" type: "Convolution" bottom: "fine" top: "coarse" convolution_param {{
         num_output: 8 kernel_size: 3 stride: 2 pad: 1 weight_filler {{ type: "msra" }} }} }}
"""
MAP = """
layer {{ name: "{m}_loc" type: "Convolution" bottom: "{m}" top: "{m}_loc" convolution_param {{
         num_output: {offsets} kernel_size: 3 pad: 1
         weight_filler {{ type: "gaussian" std: 0.05 }} }} }}
layer {{ name: "{m}_conf" type: "Convolution" bottom: "{m}" top: "{m}_conf" convolution_param {{
         num_output: {scores} kernel_size: 3 pad: 1
         weight_filler {{ type: "gaussian" std: 0.12 }} }} }}
layer {{ name: "{m}_a" type: "Permute" bottom: "{m}_loc" top: "{m}_a"
         permute_param {{ order: [0, 2, 3, 1] }} }}
layer {{ name: "{m}_b" type: "Permute" bottom: "{m}_conf" top: "{m}_b"
         permute_param {{ order: [0, 2, 3, 1] }} }}
layer {{ name: "{m}_flat_a" type: "Flatten" bottom: "{m}_a" top: "{m}_flat_a" }}
layer {{ name: "{m}_flat_b" type: "Flatten" bottom: "{m}_b" top: "{m}_flat_b" }}
layer {{ name: "{m}_priors" type: "PriorBox" bottom: "{m}" bottom: "data" top: "{m}_priors"
         prior_box_param {{ min_size: {small} max_size: {large} aspect_ratio: 2 clip: true
                            variance: [0.1, 0.1, 0.2, 0.2] }} }}
"""
HEAD = f"""
layer {{ name: "loc" type: "Concat" bottom: "fine_flat_a" bottom: "coarse_flat_a" top: "loc" }}
layer {{ name: "conf" type: "Concat" bottom: "fine_flat_b" bottom: "coarse_flat_b" top: "conf" }}
layer {{ name: "priors" type: "Concat" bottom: "fine_priors" bottom: "coarse_priors" top: "priors"
         concat_param {{ axis: 2 }} }}
layer {{ name: "rows" type: "Reshape" bottom: "conf" top: "rows"
         reshape_param {{ shape {{ dim: [0, -1, {CLASSES}] }} }} }}
layer {{ name: "prob" type: "Softmax" bottom: "rows" top: "prob" softmax_param {{ axis: 2 }} }}
layer {{ name: "flat" type: "Flatten" bottom: "prob" top: "flat" }}
layer {{ name: "found" type: "DetectionOutput" bottom: "loc" bottom: "flat" bottom: "priors"
         top: "found" detection_output_param {{
             num_classes: {CLASSES} code_type: CENTER_SIZE keep_top_k: {KEEP}
             confidence_threshold: {LEAST} nms_param {{ nms_threshold: {OVERLAP} top_k: {TOP_K} }}
         }} }}
"""


def text():
    numbers = dict(offsets=BOXES * 4, scores=BOXES * CLASSES)
    maps = [MAP.format(m=m, small=s, large=b, **numbers) for m, (s, b) in SIDES.items()]
    return "".join([BODY, *maps, HEAD])


def softmax(values):
    top = max(values)
    powers = [math.exp(v - top) for v in values]
    return [p / sum(powers) for p in powers]


def by_definition(maps, rules=RULES):
    """All rows; `maps`: for each map the convolutions' outputs for offsets and for scores."""
    offsets, scores, priors = [[], []], [[], []], []
    for name, (loc, conf) in maps.items():
        _, _, rows, columns = loc.shape
        step = HEIGHT / rows, WIDTH / columns
        ratios = [np.float32(2), 1 / 2]
        boxes = boxes_by_definition([SIDES[name]], ratios, step, 0.5, HEIGHT, WIDTH, rows, columns)
        priors += boxes.clip(0, 1).tolist()
        for image in range(2):
            for i in range(rows):
                for j in range(columns):
                    for box in range(BOXES):
                        offsets[image] += loc[image, box * 4 : box * 4 + 4, i, j].tolist()
                        told = conf[image, box * CLASSES : (box + 1) * CLASSES, i, j].tolist()
                        scores[image] += softmax(told)
    both = np.stack([np.ravel(priors), np.tile(VARIANCE, len(priors))])[None]
    net = np.array(offsets), np.array(scores), both
    return detected(*net, CLASSES, *rules, eta=1, code="CENTER_SIZE", shared=True)


def passed(dtype):
    """The net after a pass, and of each map what its convolutions gave."""
    net = Net(text(), dtype=dtype, seed=3)
    net.forward(data=np.random.default_rng(1).standard_normal((2, 3, HEIGHT, WIDTH)) * 3)
    parts = {m: [net.blobs[f"{m}_{part}"].data for part in ("loc", "conf")] for m in SIDES}
    return net, {m: [np.float64(part) for part in both] for m, both in parts.items()}


@on("cpu/numpy", "cpu/onednn", "cuda:0", "cuda:0/cudnn")
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_boxes_are_those_of_the_definition_in_number_order_and_place(dtype):
    net, maps = passed(dtype)
    rows, expected = np.float64(net.blobs["found"].data[0, 0]), by_definition(maps)
    count = int((rows[:, 0] >= 0).sum())
    assert count == len(expected)
    assert (rows[count:] == -1).all()
    np.testing.assert_array_equal(rows[:count, :2], expected[:, :2])  # image and class
    np.testing.assert_allclose(rows[:count, 2:], expected[:, 2:], rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param((0.83, OVERLAP, TOP_K, KEEP), id="confidence_threshold"),
        pytest.param((LEAST, 0.9, TOP_K, KEEP), id="nms_threshold"),
        pytest.param((LEAST, OVERLAP, 3 * TOP_K, KEEP), id="top_k"),
        pytest.param((LEAST, OVERLAP, TOP_K, 200), id="keep_top_k"),
    ],
)
def test_each_of_its_rules_leaves_something_out(other):
    """So that the test above would see it if a rule were not kept."""
    _, maps = passed(np.float64)
    assert len(by_definition(maps, other)) != len(by_definition(maps))
