"""MultiBoxLoss against its sums in plain Python, its derivative, and its refusals."""

import math

import numpy as np
import pytest

from minidl.errors import LabelError, LayerConfigError
from minidl.layers.detection.boxes import encode
from minidl.layers.detection.matching import match
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

CODES = {"CORNER": 1, "CENTER_SIZE": 2, "CORNER_SIZE": 3}
SHAPES = [(2, 80), (2, 60), (1, 2, 80), (1, 1, 5, 8)]


def bottoms(**keywords):
    layer = build("MultiBoxLoss", num_classes=3, **keywords)
    return layer.sample_bottoms(SHAPES, np.random.default_rng(21))


def distance(d, kind):
    return d * d / 2 if kind == "L2" or abs(d) < 1 else abs(d) - 0.5


def surprise(scores, label, kind):
    if kind == "SOFTMAX":
        return math.log(sum(map(math.exp, scores))) - scores[label]
    signs = (1 if c == label else -1 for c in range(len(scores)))
    return sum(math.log(1 + math.exp(-s * x)) for s, x in zip(signs, scores, strict=True))


def summed(
    offsets, scores, priors, rows, *, code, loc, conf, least, ratio, overlap, weight, inside
):
    """The losses of boxes and classes together, and how many boxes have an object."""
    prior, variance = priors[0].reshape(2, -1, 4)
    total, matches = 0, 0
    for image in range(2):
        mine = rows[0, 0][rows[0, 0, :, 0] == image]
        usable = [
            i for i in range(len(prior)) if not inside or 0 <= min(prior[i]) <= max(prior[i]) <= 1
        ]
        found, most = match(prior[usable], mine[:, 3:7], least)
        found, most = dict(zip(usable, found, strict=True)), dict(zip(usable, most, strict=True))
        score = scores[image].reshape(-1, 3).tolist()
        matched = {i: mine[j] for i, j in found.items() if j >= 0}
        for i, row in matched.items():
            goal = encode(prior[i : i + 1], variance[i : i + 1], row[None, 3:7], CODES[code])[0]
            ds = offsets[image].reshape(-1, 4)[i] - goal
            total += weight * sum(distance(d, loc) for d in ds)
            total += surprise(score[i], int(row[1]), conf)
        others = [i for i in range(len(prior)) if i not in matched]
        if ratio is not None:
            others = [i for i in others if i in most and most[i] < overlap]
            others.sort(key=lambda i: -surprise(score[i], 0, conf))
            others = others[: int(len(matched) * ratio)]
        total += sum(surprise(score[i], 0, conf) for i in others)
        matches += len(matched)
    return total, matches


CASES = {
    "as SSD has it": dict(code="CENTER_SIZE"),
    "corners, squares": dict(loc="L2", weight=2.5),
    "corners by size, yes or no": dict(code="CORNER_SIZE", conf="LOGISTIC"),
    "one box for each object": dict(least=None, ratio=1.5),
    "few others": dict(ratio=0.7, overlap=0.2),
    "all others": dict(ratio=None, conf="LOGISTIC"),
    "inside only": dict(inside=True),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_loss_is_the_sum_over_matched_boxes_and_hard_others(case, device):
    p = dict(code="CORNER", loc="SMOOTH_L1", conf="SOFTMAX", least=0.5, ratio=3, overlap=0.5)
    p |= dict(weight=1, inside=False) | case
    kind = "BIPARTITE" if p["least"] is None else "PER_PREDICTION"
    layer = build(
        "MultiBoxLoss", device=device, num_classes=3, code_type=p["code"], loc_loss_type=p["loc"],
        conf_loss_type=p["conf"], match_type=kind,
        overlap_threshold=p["least"] or 0, neg_pos_ratio=p["ratio"] or 0, neg_overlap=p["overlap"],
        mining_type="NONE" if p["ratio"] is None else "MAX_NEGATIVE", loc_weight=p["weight"],
        ignore_cross_boundary_bbox=p["inside"],
    )  # fmt: skip
    arrays = bottoms()
    if p["inside"]:
        arrays[2][0, 0, :40] += 0.4
    p["ratio"] = None if p["ratio"] is None else np.float32(p["ratio"])
    total, matches = summed(*arrays, **p)
    _, (loss,) = run(layer, *arrays)
    assert matches > 4
    np.testing.assert_allclose(device_value(loss), total / matches, rtol=1e-6)


def device_value(blob):
    return blob.device.to_host(blob.data)


@pytest.mark.parametrize("case", [dict(), dict(conf_loss_type="LOGISTIC", mining_type="NONE")])
def test_backward_is_the_derivative_of_forward(case):
    layer = build("MultiBoxLoss", num_classes=3, code_type="CENTER_SIZE", loc_weight=2, **case)
    check_backward(layer, *bottoms())


def test_what_the_sum_is_divided_by():
    arrays, losses = bottoms(), {}
    for mode in ("NONE", "VALID", "BATCH_SIZE", "FULL"):
        layer = build("MultiBoxLoss", num_classes=3, loss_param=dict(normalization=mode))
        _, (loss,) = run(layer, *arrays)
        losses[mode] = float(loss.data)
    p = dict(code="CORNER", loc="SMOOTH_L1", conf="SOFTMAX", least=0.5, ratio=3, overlap=0.5)
    total, matches = summed(*arrays, **p, weight=1, inside=False)
    ratios = {mode: total / loss for mode, loss in losses.items()}
    assert ratios == pytest.approx({"NONE": 1, "VALID": matches, "BATCH_SIZE": 2, "FULL": 40})


def test_without_objects_the_loss_is_0_with_mining():
    arrays = bottoms()
    arrays[3][..., 0] = -1
    bottom, (loss,) = run(build("MultiBoxLoss", num_classes=3), *arrays)
    assert loss.data == 0


def test_difficult_objects_can_be_passed_over():
    arrays = bottoms()
    arrays[3][..., 7] = [[1, 0, 1, 0, 1]]
    layer = build("MultiBoxLoss", num_classes=3, use_difficult_gt=False)
    _, (without,) = run(layer, *arrays)
    arrays[3][0, 0, ::2, 0] = -1
    _, (expected,) = run(build("MultiBoxLoss", num_classes=3), *arrays)
    assert without.data == expected.data != 0


@pytest.mark.parametrize("image, label", [(2, 1), (0, 3), (0, 0), (0.5, 1)])
def test_objects_of_no_image_or_no_class_are_refused(image, label):
    arrays = bottoms()
    arrays[3][0, 0, 1, :2] = image, label
    with pytest.raises(LabelError, match=rf"'x3' has an object of class {label} in image {image}"):
        run(build("MultiBoxLoss", num_classes=3), *arrays)


@pytest.mark.parametrize(
    "keywords, found",
    [
        (dict(), "num_classes is 0"),
        (dict(num_classes=2, background_label_id=2), "background_label_id 2"),
        (dict(num_classes=2, share_location=False), "share_location is not supported"),
        (dict(num_classes=2, mining_type="HARD_EXAMPLE"), "mining_type is not supported"),
        (dict(num_classes=2, bp_inside=True), "bp_inside is not supported"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(keywords, found):
    with pytest.raises(LayerConfigError, match=rf"MultiBoxLoss layer 'm'.*{found}"):
        build("MultiBoxLoss", name="m", **keywords)


@pytest.mark.parametrize("wrong, shape", [(0, (2, 81)), (1, (3, 60)), (2, (1, 80)), (3, (5, 8))])
def test_bottoms_that_do_not_agree_are_refused(wrong, shape):
    shapes = [*SHAPES]
    shapes[wrong] = shape
    with pytest.raises(LayerConfigError, match=r"'x\d' is \("):
        build("MultiBoxLoss", num_classes=3).top_shapes(*shapes)


def test_the_old_form_of_mining():
    assert not build("MultiBoxLoss", num_classes=2, do_neg_mining=False).mines
    assert build("MultiBoxLoss", num_classes=2, do_neg_mining=True).mines
    layer = build("MultiBoxLoss", num_classes=2, do_neg_mining=True, mining_type="NONE")
    assert not layer.mines
