"""DetectionOutput against SSD's rules, step by step in plain Python, and on an example by hand."""

import math

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.harness import build, run

BACKGROUND = 0


def jaccard(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    common = width * height

    def size(box):
        if box[2] < box[0] or box[3] < box[1]:
            return 0.0
        return (box[2] - box[0]) * (box[3] - box[1])

    return common / (size(a) + size(b) - common)


def decoded(prior, variance, offset, code):
    if code == "CORNER":
        return [p + v * o for p, v, o in zip(prior, variance, offset, strict=True)]
    w, h = prior[2] - prior[0], prior[3] - prior[1]
    moved = [v * o for v, o in zip(variance, offset, strict=True)]
    if code == "CORNER_SIZE":
        return [p + m * s for p, m, s in zip(prior, moved, (w, h, w, h), strict=True)]
    x = moved[0] * w + (prior[0] + prior[2]) / 2
    y = moved[1] * h + (prior[1] + prior[3]) / 2
    wide, high = math.exp(moved[2]) * w, math.exp(moved[3]) * h
    return [x - wide / 2, y - high / 2, x + wide / 2, y + high / 2]


def detected(offsets, scores, priors, classes, least, overlap, top_k, keep, eta, code, shared):
    """All rows, in order."""
    count, rows = priors.shape[2] // 4, []
    prior, variance = priors[0].reshape(2, count, 4).tolist()
    for image in range(len(offsets)):
        move = offsets[image].reshape(count, 1 if shared else classes, 4).tolist()
        score = scores[image].reshape(count, classes).tolist()
        kept = []
        for c in range(classes):
            if c == BACKGROUND:
                continue
            found = [i for i in range(count) if score[i][c] > least]
            found.sort(key=lambda i, c=c: -score[i][c])
            threshold, mine = overlap, []
            for i in found[:top_k]:
                which = 0 if shared else c
                box = decoded(prior[i], variance[i], move[i][which], code)
                if all(jaccard(box, other) <= threshold for _, other in mine):
                    mine.append((i, box))
                    if eta < 1 and threshold > 0.5:
                        threshold *= eta
            kept += [(score[i][c], c, box) for i, box in mine]
        if keep is not None and len(kept) > keep:
            best = sorted(kept, key=lambda row: -row[0])[:keep]
            kept = sorted(best, key=lambda row: row[1])
        rows += [[image, c, s, *box] for s, c, box in kept]
    return np.array(rows).reshape(-1, 7)


@pytest.fixture
def net():
    """What a net might say about 60 priors, two images and four classes."""
    rng = np.random.default_rng(5)
    centre, half = rng.uniform(0.2, 0.8, (60, 2)), rng.uniform(0.05, 0.3, (60, 2))
    boxes = np.concatenate([centre - half, centre + half], axis=1).reshape(-1)
    priors = np.stack([boxes, np.tile([0.1, 0.1, 0.2, 0.2], 60)])[None]
    return rng.standard_normal((2, 60 * 16)), rng.random((2, 60 * 4)).round(1), priors


@pytest.mark.parametrize("code", ["CORNER", "CENTER_SIZE", "CORNER_SIZE"])
@pytest.mark.parametrize(
    "least, overlap, top_k, keep, eta, shared",
    [
        (0.05, 0.45, 40, 20, 1, True),
        (0.6, 0.3, None, None, 1, True),
        (0.2, 0.7, 25, 15, 0.9, False),
        (0.2, 0.45, 1000, 5, 1, False),
    ],
)
def test_rows_are_ssds_in_number_order_and_place(
    net, code, least, overlap, top_k, keep, eta, shared, device
):
    offsets, scores, priors = net
    offsets = offsets[:, :240] if shared else offsets
    nms = dict(nms_threshold=overlap, eta=eta) | ({} if top_k is None else {"top_k": top_k})
    layer = build(
        "DetectionOutput", device=device, num_classes=4, confidence_threshold=least, nms_param=nms,
        keep_top_k=-1 if keep is None else keep, code_type=code, share_location=shared,
    )  # fmt: skip
    _, (y,) = run(layer, offsets, scores, priors)
    rows = y.device.to_host(y.data)[0, 0]
    numbers = np.float32(overlap), top_k, keep, np.float32(eta)
    expected = detected(offsets, scores, priors, 4, np.float32(least), *numbers, code, shared)
    assert len(expected) >= 10 and (rows[len(expected) :] == -1).all()
    np.testing.assert_allclose(rows[: len(expected)], expected, rtol=1e-6)


def test_an_example_by_hand():
    """Three priors side by side, and one almost on the first."""
    boxes = [[0, 0, 0.2, 0.2], [0.01, 0, 0.21, 0.2], [0.4, 0, 0.6, 0.2], [0.8, 0, 1, 0.2]]
    priors = np.array([np.ravel(boxes), np.full(16, 0.1)])[None]
    #                   background, cat, dog
    scores = np.array([[0, 0.7, 0.1], [0, 0.9, 0.6], [0, 0.9, 0], [0, 0.3, 0.6]]).reshape(1, -1)
    layer = build("DetectionOutput", num_classes=3, confidence_threshold=0.2, keep_top_k=4)
    _, (y,) = run(layer, np.zeros((1, 16)), scores, priors)
    expected = [
        [0, 1, 0.9, *boxes[1]],  # equal scores: in the order of the priors
        [0, 1, 0.9, *boxes[2]],  # prior 0 is hidden by prior 1, prior 3's cat is the fifth
        [0, 2, 0.6, *boxes[1]],
        [0, 2, 0.6, *boxes[3]],
    ]
    np.testing.assert_allclose(y.data[0, 0], expected, rtol=1e-15)


def test_where_nothing_is_found_every_image_has_a_row():
    layer = build("DetectionOutput", num_classes=2, confidence_threshold=0.5, keep_top_k=3)
    priors = np.array([[0.1, 0.1, 0.3, 0.3], [1, 1, 1, 1.0]])[None]
    _, (y,) = run(layer, np.zeros((2, 4)), np.zeros((2, 2)), priors)
    assert y.data.tolist() == [[[[0, *[-1] * 6], [1, *[-1] * 6]]]]


def test_offsets_may_hold_the_variance():
    offsets, priors = np.full((1, 4), 0.5), np.array([[0, 0, 1, 1], [0.1] * 4])[None]
    for encoded, moved in ((False, 0.05), (True, 0.5)):
        layer = build("DetectionOutput", num_classes=2, variance_encoded_in_target=encoded)
        _, (y,) = run(layer, offsets, np.ones((1, 2)), priors)
        np.testing.assert_allclose(y.data[0, 0, 0, 3:], [moved, moved, 1 + moved, 1 + moved])


@pytest.mark.parametrize(
    "keywords, found",
    [
        (dict(), "num_classes is missing"),
        (dict(num_classes=2, nms_param=dict(nms_threshold=-1)), "nms_threshold is -1"),
        (dict(num_classes=2, nms_param=dict(eta=0)), "eta is 0"),
        (dict(num_classes=2, keep_top_k=0), "keep_top_k is 0"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(keywords, found):
    with pytest.raises(LayerConfigError, match=rf"DetectionOutput layer 'd'.*{found}"):
        build("DetectionOutput", name="d", **keywords)


@pytest.mark.parametrize(
    "shapes, found",
    [
        (((2, 20), (2, 15), (1, 3, 20)), r"the priors 'x2' are \(1, 3, 20\)"),
        (((2, 24), (2, 15), (1, 2, 20)), r"'x0' is \(2, 24\) for 5 priors(.|\n)*\(2, 20\)"),
        (((2, 20), (3, 15), (1, 2, 20)), r"'x1' is \(3, 15\) for 5 priors(.|\n)*\(2, 15\)"),
    ],
)
def test_bottoms_that_do_not_agree_are_refused(shapes, found):
    with pytest.raises(LayerConfigError, match=found):
        build("DetectionOutput", num_classes=3).top_shapes(*shapes)


def test_the_top_has_room_for_all_there_can_be():
    shapes = ((2, 20), (2, 15), (1, 2, 20))
    for keywords, rows in (
        (dict(), 2 * 2 * 5),
        (dict(keep_top_k=4), 2 * 4),
        (dict(keep_top_k=100), 2 * 2 * 5),
        (dict(nms_param=dict(top_k=3)), 2 * 2 * 3),
        (dict(background_label_id=-1), 2 * 3 * 5),
    ):
        layer = build("DetectionOutput", num_classes=3, **keywords)
        assert layer.top_shapes(*shapes) == ((1, 1, rows, 7),)


def test_a_score_at_the_threshold_is_not_above_it():
    priors = np.array([[0, 0, 1, 1, 2, 2, 3, 3], [0.1] * 8])[None]
    layer = build("DetectionOutput", num_classes=2, confidence_threshold=0.25)
    _, (y,) = run(layer, np.zeros((1, 8)), np.array([[0, 0.25, 0, 0.26]]), priors)
    assert y.data[0, 0].tolist() == [[0, 1, 0.26, 2, 2, 3, 3], [-1] * 7]
