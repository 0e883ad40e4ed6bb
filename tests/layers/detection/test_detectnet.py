"""DetectNetTransformation against the rules of the fork, one cell at a time, and its net."""

import math

import numpy as np
import pytest

from benchmarks import real_nets
from minidl import schema
from minidl.data.detectnet import Change
from minidl.errors import LabelError, LayerConfigError
from minidl.solver import Solver
from minidl.testing.harness import build, run

RNG = np.random.default_rng(7)

KITTI = "NVIDIA+caffe__examples-kitti-detectnet_network.prototxt"
NEVER = dict.fromkeys(
    ("crop_prob", "scale_prob", "flip_prob", "rotation_prob", "hue_rotation_prob"), 0.0
) | dict(desaturation_prob=0.0)
SEEN = dict(image_size_x=64, image_size_y=48, stride=8)
EPSILON = np.finfo(np.float32).eps


def labels(*pictures, rows=6):
    """The blob of labels: rows of (x, y, w, h, class) for each picture."""
    out = np.zeros((len(pictures), 1, rows, 16))
    for n, objects in enumerate(pictures):
        out[n, 0, 0, :2] = len(objects), 16
        for i, (*box, kind) in enumerate(objects, 1):
            out[n, 0, i, :4], out[n, 0, i, 5] = box, kind
            out[n, 0, i, 6:] = 7  # which is not read
    return out


def cells(objects, p):
    """What each cell is to learn: the fork's loops."""
    planes = {pair.src: pair.dst for pair in p.object_class} or {1: 0}
    rows, columns = p.image_size_y // p.stride, p.image_size_x // p.stride
    out = np.zeros((9 + max(planes.values()), rows, columns))
    for x, y, w, h, kind in objects:
        if p.crop_bboxes:
            right, low = min(x + w, p.image_size_x), min(y + h, p.image_size_y)
            x, y = max(x, 0), max(y, 0)
            w, h = max(0, right - x), max(0, low - y)
        if kind not in planes or w * h < EPSILON:
            continue
        sides = [w * p.scale_cvg, h * p.scale_cvg]
        for i, side in enumerate((w, h)):
            if p.gridbox_type == p.GRIDBOX_MAX:
                sides[i] = min(p.max_cvg_len, sides[i])
            else:
                sides[i] = min(side, max(p.min_cvg_len, sides[i]))
        left, top = x + w / 2 - sides[0] / 2, y + h / 2 - sides[1] / 2
        for row, column in np.ndindex(rows, columns):
            gx, gy = column * p.stride, row * p.stride
            wide = min(left + sides[0], gx + p.stride) - max(left, gx)
            high = min(top + sides[1], gy + p.stride) - max(top, gy)
            if max(wide, 0) * max(high, 0) / p.stride**2 > EPSILON:
                weight = p.stride**2 / (sides[0] * sides[1])
                cell = out[:, row, column]
                cell[:] = 0
                cell[0] = cell[8 + planes[kind]] = 1
                cell[1:5] = x - gx, y - gy, x + w - gx, y + h - gy
                cell[5:8] = 1 / w, 1 / h, weight if p.obj_norm else max(1, weight)
    return out


OBJECTS = [
    (3, 5, 20, 14, 1),
    (12.5, 9.25, 17, 30, 4),  # over the first one
    (40, 30, 60, 50, 1),  # beyond the border
    (-30, 2, 20, 10, 1),  # outside of it
    (30, 2, 5, 0, 1),  # without an area
    (50, 1, 3, 2.5, 4),
    (20, 20, 9, 9, 2),  # of no class that counts
]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        dict(scale_cvg=0.9, max_cvg_len=11),
        dict(gridbox_type="GRIDBOX_MIN", min_cvg_len=10, scale_cvg=0.4, obj_norm=True),
        dict(crop_bboxes=False, obj_norm=True, scale_cvg=1),
    ],
)
def test_each_cell_learns_of_the_last_object_that_covers_it(fields):
    classes = [dict(src=1, dst=0), dict(src=4, dst=2)]
    layer = build("DetectNetTransformation", **NEVER, **SEEN, object_class=classes, **fields)
    _, tops = run(layer, np.zeros((2, 3, 48, 64)), labels(OBJECTS, OBJECTS[:1], rows=9))
    got = np.array(tops[1].data)
    assert got.shape == (2, 11, 6, 8)
    expected = cells(OBJECTS, layer.grid)
    assert (expected[8] > 0).any() and (expected[10] > 0).any()
    np.testing.assert_allclose(got[0], expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(got[1], cells(OBJECTS[:1], layer.grid), rtol=1e-12, atol=1e-13)


def test_without_classes_class_1_is_the_one():
    layer = build("DetectNetTransformation", **NEVER, **SEEN)
    _, tops = run(layer, np.zeros((1, 3, 48, 64)), labels([(0, 0, 20, 20, 1), (30, 9, 20, 20, 0)]))
    np.testing.assert_allclose(tops[1].data[0], cells([(0, 0, 20, 20, 1)], layer.grid))


def test_a_grid_whose_side_is_no_multiple_of_the_stride_is_rounded():
    layer = build("DetectNetTransformation", image_size_x=50, image_size_y=28, stride=8)
    assert layer.top_shapes((1, 3, 9, 9), (1, 1, 2, 16))[1] == (1, 9, 4, 6)


def test_without_changes_a_picture_stays_as_it_is():
    pictures = RNG.random((2, 3, 48, 64)) * 255
    layer = build("DetectNetTransformation", **NEVER, **SEEN, mean_value=[90, 100, 110])
    _, tops = run(layer, pictures, labels([], []))
    expected = pictures - np.array([90, 100, 110]).reshape(3, 1, 1)
    np.testing.assert_allclose(tops[0].data, expected, rtol=1e-13)
    assert not np.array(tops[1].data).any()


def test_scaled_down_a_picture_lies_in_the_middle_of_the_mean():
    layer = build(
        "DetectNetTransformation",
        **{**NEVER, "scale_prob": 1, "scale_min": 0.5, "scale_max": 0.5},
        **SEEN,
    )
    _, tops = run(layer, np.full((1, 3, 48, 64), 10.0), labels([(16, 12, 32, 24, 1)]))
    expected = np.zeros((48, 64))
    expected[12:36, 16:48] = 10
    np.testing.assert_allclose(tops[0].data[0], np.stack([expected] * 3), atol=1e-12)
    np.testing.assert_allclose(tops[1].data[0], cells([(24, 18, 16, 12, 1)], layer.grid))


def test_in_testing_pictures_and_boxes_are_stretched():
    pictures = RNG.random((1, 3, 24, 128)) * 255
    layer = build("DetectNetTransformation", **SEEN, mean_value=[7], phase=schema.TEST)
    _, tops = run(layer, pictures, labels([(30, 4, 50, 12, 1)]))
    expected = Change(0, 1, False, (48, 64), 0, (0, 0)).picture(pictures[0], 7, (48, 64))
    np.testing.assert_allclose(tops[0].data[0], expected, rtol=1e-13)
    np.testing.assert_allclose(tops[1].data[0], cells([(15, 8, 25, 24, 1)], layer.grid))


ALWAYS = dict.fromkeys(NEVER, 1.0)


def test_a_pass_draws_its_own_numbers_whenever_it_is_run():
    pictures, objects = RNG.random((2, 3, 40, 60)) * 255, labels(*[[(9, 9, 30, 20, 1)]] * 2)

    def tops(number, seed=5):
        layer = build("DetectNetTransformation", seed=seed, **ALWAYS, **SEEN, shift_x=9)
        layer.ctx.streams.passes = number
        return [np.array(top.data) for top in run(layer, pictures, objects)[1]]

    first = tops(3)
    for got, expected in zip(tops(3), first, strict=True):
        np.testing.assert_array_equal(got, expected)
    for other in (tops(4), tops(3, seed=6)):
        assert all((a != b).any() for a, b in zip(other, first, strict=True))
    assert (first[1][0] != first[1][1]).any()  # each picture has changes of its own


def test_a_mean_image_is_stretched_to_the_pictures(tmp_path):
    mean = np.broadcast_to(np.array([10.0, 20, 30]).reshape(1, 3, 1, 1), (1, 3, 5, 4))
    blob = schema.BlobProto(num=1, channels=3, height=5, width=4)
    blob.data.extend(mean.ravel().tolist())
    (tmp_path / "mean.binaryproto").write_bytes(blob.SerializeToString())
    pictures = RNG.random((1, 3, 48, 64)) * 255
    fields = dict(mean_file=str(tmp_path / "mean.binaryproto"))
    layer = build("DetectNetTransformation", **NEVER, **SEEN, **fields)
    _, tops = run(layer, pictures, labels([]))
    np.testing.assert_allclose(tops[0].data, pictures - mean[:, :, :1, :1], rtol=1e-6)


@pytest.mark.parametrize(
    "fields, message",
    [
        (dict(stride=0), "stride is 0"),
        (dict(scale_min=0), "scale_min is 0"),
        (dict(max_rotate_degree=math.nan), "max_rotate_degree is nan"),
        (dict(desaturation_max=2), "desaturation_max is 2"),
        (dict(object_class=[dict(src=1)]), "without src or dst"),
        (dict(mean_value=[1, 2]), "2 mean_value entries"),
        (dict(mean_value=[1], mean_file="mean"), "both mean_file and mean_value"),
        (dict(crop_size=5), "has crop_size, which does not act here"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields, message):
    with pytest.raises(LayerConfigError, match=message):
        build("DetectNetTransformation", **fields)


@pytest.mark.parametrize(
    "shapes",
    [
        ((1, 1, 4, 6), (1, 1, 3, 16)),
        ((2, 3, 4, 6), (1, 1, 3, 16)),
        ((1, 3, 4, 6), (1, 1, 3, 15)),
        ((1, 3, 4, 6), (1, 16)),
    ],
)
def test_bottoms_of_other_shapes_are_refused(shapes):
    with pytest.raises(LayerConfigError, match="DetectNetTransformation layer"):
        build("DetectNetTransformation").top_shapes(*shapes)


@pytest.mark.parametrize("header", [(3, 16), (-1, 16), (1, 15), (math.nan, 16)])
def test_labels_that_do_not_say_how_many_they_are_are_refused(header):
    layer = build("DetectNetTransformation", **NEVER, **SEEN)
    wrong = labels([(0, 0, 5, 5, 1)], rows=3)
    wrong[0, 0, 0, :2] = header
    with pytest.raises(LabelError, match="first row of picture 0 in 'x1' is"):
        run(layer, np.zeros((1, 3, 48, 64)), wrong)


def test_labels_that_are_no_numbers_are_no_objects():
    layer = build("DetectNetTransformation", **NEVER, **SEEN)
    objects = [(math.nan, 0, 5, 5, 1), (0, math.inf, 5, 5, 1), (0, 0, 5, 5, math.inf)]
    _, tops = run(layer, np.zeros((1, 3, 48, 64)), labels(objects))
    assert not np.array(tops[1].data).any()


def kitti():
    """The fork's own net, for pictures of 13 x 6 cells."""
    trial = real_nets.possible(real_nets.read(KITTI), schema.TRAIN, KITTI)
    for layer in trial.net.layer:
        if layer.type == "DetectNetTransformation":
            layer.detectnet_groundtruth_param.image_size_x = 13 * 16
            layer.detectnet_groundtruth_param.image_size_y = 6 * 16
    return trial


def weights(solver):
    return [np.array(p.data) for params in solver.net.params.values() for p in params]


@pytest.mark.skipif(not real_nets.index(), reason="reference material not found: prototxt/")
def test_the_forks_net_trains_and_a_resumed_run_equals_an_unbroken_one(tmp_path):
    trial = kitti()
    param = schema.SolverParameter(
        base_lr=1e-3, lr_policy="fixed", max_iter=3, random_seed=1, snapshot_after_train=False
    )
    param.snapshot_prefix, param.solver_mode = str(tmp_path / "s"), schema.SolverParameter.CPU
    param.net_param.CopyFrom(trial.net)

    def solver():
        made = Solver(param, absent_data=trial.record)
        real_nets.fill(made.net)
        return made

    unbroken, first, second = solver(), solver(), solver()
    unbroken.step(3)
    first.step(2)
    _, state = first.snapshot()
    second.restore(state)
    second.step(1)
    assert np.isfinite(second.net.blobs["loss_bbox"].data)
    changed = np.array(second.net.blobs["transformed_label"].data)
    assert changed[:, 0].any() and changed.shape == (1, 9, 6, 13)
    for mine, theirs in zip(weights(second), weights(unbroken), strict=True):
        np.testing.assert_array_equal(mine, theirs)
