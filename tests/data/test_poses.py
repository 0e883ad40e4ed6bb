"""People cut out by their joints, against the steps of the fork in plain loops."""

import math
from pathlib import Path

import numpy as np
import pytest

from minidl.arrays.rng import Streams
from minidl.data.poses import DRAWS, Look, PoseBatches, Poses, box_around, joint_maps
from minidl.data.resize import stretch
from minidl.data.sampler import Sequential
from minidl.errors import DataError

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

RNG = np.random.default_rng(6)
PIXELS = RNG.integers(0, 256, (60, 50, 3), np.uint8)
JOINTS = [(20, 12), (30, 15), (17, 40)]
TORSO = [(18, 20), (28, 36)]
LOOK = Look(
    *(64, 48, 16, 12, 3, 0.7),
    margins=(3, 4, 5, 6),
    random_margin=7,
    scales=(1.0, 1.5),
    with_torso=False,
    mean=np.zeros((3, 1, 1)),
    scale=1.0,
    recolor=False,
)
OTHER = LOOK._replace(with_torso=True)


def trunc(x):
    return int(x)  # toward zero, as C does


def box_by_steps(points, height, width, look, u):
    xs, ys = [x for x, _ in points[:-2]], [y for _, y in points[:-2]]
    x1, y1, x2, y2 = min(xs), min(ys), max(xs), max(ys)
    left, right, top, bottom = (m + 7 * r for m, r in zip((3, 4, 5, 6), u[1:5], strict=True))
    if look.with_torso:
        (tx1, ty1), (tx2, ty2) = points[-2:]
        x1, y1 = max(min(x1, trunc(tx1 - left)), 0), max(min(y1, trunc(ty1 - top)), 0)
        x2 = min(max(x2, trunc(tx2 + right)), width - 1)
        y2 = min(max(y2, trunc(ty2 + bottom)), height - 1)
        left = right = top = bottom = 0
    scale = 1 + 0.5 * u[0] if look.scales else 1
    h, w = trunc((y2 - y1 + 1) * scale), trunc((x2 - x1 + 1) * scale)
    cx, cy = (x1 + x2) // 2, (y1 + y2) // 2
    return (
        max(trunc(cx - w // 2 - left), 0),
        max(trunc(cy - h // 2 - top), 0),
        min(trunc(cx + w // 2 + right), width - 1),
        min(trunc(cy + h // 2 + bottom), height - 1),
    )


@pytest.mark.parametrize("look", [LOOK, OTHER, LOOK._replace(scales=None)])
def test_the_box_is_the_forks(look):
    for seed in range(20):
        u = np.random.default_rng(seed).random(DRAWS)
        points = [*JOINTS, *TORSO]
        for height, width in ((60, 50), (42, 33)):
            found = box_around(np.array(points), (height, width), look, u)
            assert tuple(found) == box_by_steps(points, height, width, look, u)


def test_maps_have_ones_at_joints_and_a_ring_around_them():
    maps = joint_maps(np.array([[4, 3], [0, 7], [30, 2]]), 8, 10)
    assert maps.shape == (3, 8, 10) and not maps[2].any()
    for one, (x, y) in zip(maps, [(4, 3), (0, 7)], strict=False):
        ones = {
            (i, j)
            for i, j in np.ndindex(8, 10)
            if max(abs(i - y), abs(j - x)) <= 1 or (abs(i - y), abs(j - x)) in ((0, 2), (2, 0))
        }
        for i, j in np.ndindex(8, 10):
            near = any(abs(i - r) <= 2 and abs(j - c) <= 2 for r, c in ones)
            assert one[i, j] == (1 if (i, j) in ones else -1 if near else 0)


def write(folder, numbers=None, count=1):
    Image.fromarray(PIXELS).save(folder / "a.png")
    points = [*JOINTS, *TORSO]
    numbers = numbers or " ".join(f"{x + 1} {y + 1}\n" for x, y in points)
    (folder / "a.txt").write_text(numbers)
    (folder / "list.txt").write_text(f"{folder}/a.png {folder}/a.txt\n" * count)
    return Poses(Path(folder / "list.txt"), 3)


def batches(poses, look, size=2, seed=1):
    order = Sequential(len(poses), size)
    return PoseBatches(poses, look, order, np.float64, Streams(seed), "poses", 1)


@pytest.mark.parametrize("look", [LOOK, OTHER, LOOK._replace(height=32, width=20)])
def test_an_image_is_cut_out_shrunk_and_laid_at_the_top_in_the_middle(tmp_path, look):
    made = batches(write(tmp_path), look)
    batch = made.make(3)
    made.close()
    draws = Streams(1).generator("poses", 3).random((2, DRAWS))
    for u, data, maps in zip(draws, batch.data, batch.labels, strict=True):
        ratio = look.height * 0.7 / math.dist(*TORSO)
        height, width = trunc(60 * ratio), trunc(50 * ratio)
        points = [(trunc(x * ratio), trunc(y * ratio)) for x, y in (*JOINTS, *TORSO)]
        x1, y1, x2, y2 = box_by_steps(points, height, width, look, u)
        pixels = stretch(PIXELS[..., ::-1].transpose(2, 0, 1), height, width)
        pixels = pixels[:, y1 : y2 + 1, x1 : x2 + 1]
        points = [(x - x1, y - y1) for x, y in points]
        fit = min(look.height / pixels.shape[1], look.width / pixels.shape[2])
        if fit < 1:
            pixels = stretch(pixels, trunc(pixels.shape[1] * fit), trunc(pixels.shape[2] * fit))
            points = [(trunc(x * fit), trunc(y * fit)) for x, y in points]
        left = max((look.width - pixels.shape[2]) // 2 - 1, 0)
        expected = np.zeros((3, look.height, look.width))
        expected[:, : pixels.shape[1], left : left + pixels.shape[2]] = pixels
        np.testing.assert_array_equal(data, expected)
        small = look.height // look.rows
        places = [(trunc((x + left) / small), trunc(y / small)) for x, y in points[:3]]
        np.testing.assert_array_equal(maps, joint_maps(np.array(places), look.rows, look.columns))


def test_mean_scale_and_colours_come_last(tmp_path):
    poses, mean = write(tmp_path), np.full((3, 64, 48), 20.0)
    plain, changed = (
        batches(poses, look) for look in (LOOK, LOOK._replace(mean=mean, scale=0.5, recolor=True))
    )
    before, after = plain.make(0).data.copy(), changed.make(0).data
    plain.close(), changed.close()
    colors = 0.8 + 0.4 * Streams(1).generator("poses", 0).random((2, DRAWS))[:, 5:, None, None]
    np.testing.assert_allclose(after, np.minimum((before - 20) * 0.5 * colors, 255), rtol=1e-12)


@pytest.mark.parametrize(
    "numbers, message",
    [
        ("1 2 3", "a.txt' holds 3 words(.|\n)*10 whole numbers"),
        ("1 2 3 4 5 6 7 8 9 x", "whole numbers"),
        ("1 2 3 4 5 6 7 7 7 7", "the torso has no length"),
    ],
)
def test_joints_that_are_none_are_named(tmp_path, numbers, message):
    with pytest.raises(DataError, match=f"list.txt:1(.|\n)*{message}"):
        write(tmp_path, numbers).read(0)


@pytest.mark.parametrize(
    "numbers, height, message",
    [
        ("9 9 9 9 9 9 7 7 7 8", 40000, "becomes (.|\n)*torso is too small"),
        ("900 900 901 901 902 903 1 1 1 40", 64, "joints beyond the picture"),
    ],
)
def test_people_that_cannot_be_cut_out_are_named(tmp_path, numbers, height, message):
    made = batches(write(tmp_path, numbers), LOOK._replace(height=height))
    with pytest.raises(DataError, match=f"a.png', line 1 of(.|\n)*{message}"):
        made.make(0)
    made.close()
