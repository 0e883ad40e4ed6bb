"""ProposalTarget against the rules of its sources, one region at a time."""

import numpy as np
import pytest

from minidl.errors import LabelError, LayerConfigError
from minidl.net import Net
from minidl.testing.harness import build
from tests.layers.detection.test_anchor_target import offsets, overlap

OBJECTS = np.array([[10.0, 12, 40, 38, 3], [50, 20, 90, 60, 1]])
SETTINGS = "num_classes: 5 batch_size: %d fg_fraction: %g bg_thresh_lo: %g"


def net(count, settings):
    return Net(f"""
    layer {{ name: "in" type: "Input" top: "rois" top: "gt" input_param {{
      shape {{ dim: {count} dim: 5 }} shape {{ dim: {len(OBJECTS)} dim: 5 }} }} }}
    layer {{ name: "t" type: "ProposalTarget" bottom: "rois" bottom: "gt"
      top: "drawn" top: "labels" top: "targets" top: "inside" top: "outside"
      proposal_target_param {{ {settings} }} }}""")


def regions(count, seed=0):
    """Some near the objects, some anywhere, and a row that is none."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(5, 40, (count, 2))], axis=1)
    near = OBJECTS[rng.integers(0, 2, count), :4] + rng.uniform(-6, 6, (count, 4))
    boxes[::2] = near[::2]
    rows = np.concatenate([np.zeros((count, 1)), boxes], axis=1)
    rows[1] = -1
    return rows.astype(np.float32)


def run(made, rois, objects=OBJECTS):
    made.forward(rois=rois, gt=objects)
    return [np.array(made.blobs[n].read()) for n in ("drawn", "labels", "targets", "inside")]


def kinds(rois, low):
    """By the definition: {region: (class, nearest object)}, the objects among the regions."""
    found = {}
    for row in [*rois[rois[:, 0] == 0], *np.insert(OBJECTS[:, :4], 0, 0, axis=1)]:
        shared = [overlap(row[1:], box) for box in OBJECTS[:, :4]]
        best = int(np.argmax(shared))
        if max(shared) >= 0.5:
            found[tuple(np.float32(row))] = int(OBJECTS[best, 4]), best
        elif max(shared) >= low:
            found[tuple(np.float32(row))] = 0, best
    return found


@pytest.mark.parametrize("low", [0.0, 0.1])
def test_classes_and_targets_follow_the_definition(low):
    rois = regions(30)
    drawn, labels, targets, inside = run(net(30, SETTINGS % (100, 0.5, low)), rois)
    expected = kinds(rois, low)
    assert {tuple(row) for row in drawn} == set(expected)
    assert len(drawn) == len(expected) == len(labels)
    for row, label, target, weight in zip(drawn, labels, targets, inside, strict=True):
        kind, best = expected[tuple(row)]
        assert label == kind
        wanted, weights = np.zeros((5, 4)), np.zeros((5, 4))
        if kind:
            wanted[kind], weights[kind] = offsets(row[1:], OBJECTS[best, :4]), 1
        np.testing.assert_allclose(target, wanted.reshape(-1), rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(weight, weights.reshape(-1))


def test_of_too_many_some_are_drawn_objects_first_and_others_in_each_pass():
    rois, made = regions(40), net(40, SETTINGS % (12, 0.25, 0))
    first, labels, *_ = run(made, rois)
    assert first.shape == (12, 5)
    assert (labels[:3] > 0).all() and not labels[3:].any()
    assert len({tuple(row) for row in first}) == 12
    again = run(made, rois)[0]
    assert {tuple(r) for r in again} != {tuple(r) for r in first}
    same = net(40, SETTINGS % (12, 0.25, 0))
    same.reseed(made.streams.seed)
    np.testing.assert_array_equal(run(same, rois)[0], first)


def test_targets_are_normalised_and_one_serves_all_classes():
    rois = regions(20)
    plain = run(net(20, SETTINGS % (100, 0.5, 0)), rois)
    settings = "num_classes: 2 agnostic: true four_axes: true batch_size: 100 fg_fraction: 0.5 "
    settings += "bg_thresh_lo: 0 " + "mean: 0.5 " * 4 + "std: 2 " * 4
    made = net(20, settings)
    drawn, labels, targets, _ = run(made, rois)
    assert drawn.shape[2:] == labels.shape[2:] == (1, 1)
    wanted = {tuple(r): t.reshape(5, 4)[int(c)] for r, c, t in zip(*plain[:3], strict=True)}
    for row, label, target in zip(drawn, labels, targets, strict=True):
        own = target.reshape(2, 4)[1]
        expected = (wanted[tuple(row.reshape(-1))] - 0.5) / 2 if label.item() else np.zeros(4)
        np.testing.assert_allclose(own, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "keywords, words",
    [
        (dict(num_classes=1), "num_classes is 1"),
        (dict(num_classes=2, batch_size=0), "batch_size is 0"),
        (dict(num_classes=2, fg_fraction=2), "fg_fraction is 2"),
        (dict(num_classes=2, mean=[1, 2]), "mean has 2 numbers"),
        (dict(num_classes=2, std=[1, 0, 1, 1]), "std is"),
    ],
)
def test_what_makes_no_sense_is_refused(keywords, words):
    with pytest.raises(LayerConfigError, match=words):
        build("ProposalTarget", bottoms=2, **keywords)


def test_wrong_shapes_classes_and_images_are_refused():
    layer = build("ProposalTarget", bottoms=2, num_classes=3)
    with pytest.raises(LayerConfigError, match="rows of five numbers"):
        layer.top_shapes((4, 4), (2, 5))
    with pytest.raises(LayerConfigError, match="at least one object"):
        layer.top_shapes((4, 5), (0, 5))
    made = net(6, "num_classes: 3")
    with pytest.raises(LabelError, match=r"class 3 in 'gt'(.|\n)*num_classes - 1, 2"):
        run(made, regions(6))
    with pytest.raises(LabelError, match="region of image 2 in 'rois'"):
        run(net(6, "num_classes: 5"), regions(6) + [2, 0, 0, 0, 0])
