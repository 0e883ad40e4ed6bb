"""Sizes drawn for every picture: against the fork's steps, and within a Transform."""

import math

import numpy as np
import pytest

from minidl import schema
from minidl.data.annotated.interpolate import resized
from minidl.data.transform import Transform
from minidl.data.varied import FIELDS, VariedSize, is_asked
from minidl.errors import DataError, LayerConfigError

RNG = np.random.default_rng(6)
WINDOW = (8, 8)
MODES = schema.ResizeParameter


def reject(found, **parts):
    parts.pop("field", None)
    raise LayerConfigError(found, where="Data layer 'd'", **parts)


def param(**fields):
    return schema.TransformationParameter(**fields)


def varied(window=WINDOW, **fields):
    return VariedSize(param(**fields), window, reject)


def by_definition(old, u, window, p):
    """The fork's steps, in words of its own."""
    h, w = old
    short = min(h, w)
    if p.img_rand_resize_lower and p.img_rand_resize_upper:
        count = p.img_rand_resize_upper - p.img_rand_resize_lower + 1
        short = p.img_rand_resize_lower + math.floor(u[0] * count)
    new_h, new_w = short * h / min(h, w), short * w / min(h, w)
    low, high = p.rand_resize_ratio_lower, p.rand_resize_ratio_upper
    if low >= 1 and high > 1:
        ratio = low + (high - low) * u[1]
        wide = new_w > new_h or (new_w == new_h and u[2] < 0.5)
        new_h, new_w = (new_h, new_h * ratio) if wide else (new_w * ratio, new_w)
    new_h *= p.vertical_stretch_lower + u[3] * (p.vertical_stretch_upper - p.vertical_stretch_lower)
    low, high = p.horizontal_stretch_lower, p.horizontal_stretch_upper
    new_w *= low + u[4] * (high - low)
    size = [
        max(least, math.floor(v + 0.5)) for v, least in zip((new_h, new_w), window, strict=True)
    ]
    return tuple(size) if p.allow_upscale else tuple(map(min, size, old))


SETTINGS = {
    "shorter side": dict(img_rand_resize_lower=10, img_rand_resize_upper=17),
    "one size": dict(img_rand_resize_lower=12, img_rand_resize_upper=12),
    "stretch": dict(
        img_rand_resize_lower=9,
        img_rand_resize_upper=20,
        vertical_stretch_lower=0.75,
        vertical_stretch_upper=1.25,
        horizontal_stretch_lower=0.5,
        horizontal_stretch_upper=1.5,
    ),
    "ratio": dict(rand_resize_ratio_lower=1, rand_resize_ratio_upper=1.75),
    "ratio below 1": dict(rand_resize_ratio_lower=0.5, rand_resize_ratio_upper=1.75),
    "stretch alone": dict(vertical_stretch_lower=0.5, vertical_stretch_upper=0.75),
}


@pytest.mark.parametrize("fields", SETTINGS.values(), ids=SETTINGS.keys())
@pytest.mark.parametrize("larger", [False, True])
def test_sizes_follow_the_steps_of_the_fork(fields, larger):
    made, p = varied(**fields, allow_upscale=larger), param(**fields, allow_upscale=larger)
    seen = set()
    for old in [(15, 21), (23, 14), (16, 16), (9, 30)]:
        for u in RNG.random((30, 5)):
            size = made.size(old, u)
            assert size == by_definition(old, u, WINDOW, p)
            seen.add((old, size))
    assert len(seen) >= (4 if fields.keys() & {"img_rand_resize_lower"} else 3)


def test_pixels_are_found_one_way_where_sides_shrink_and_another_where_one_grows():
    image = RNG.integers(0, 256, (3, 20, 20), dtype=np.uint8)
    u = np.zeros(5)
    down = varied(img_rand_resize_lower=13, img_rand_resize_upper=13)
    np.testing.assert_array_equal(down(image, u), resized(image, 13, 13, MODES.NEAREST))
    mixed = dict(vertical_stretch_lower=1.25, vertical_stretch_upper=1.25, allow_upscale=True)
    np.testing.assert_array_equal(varied(**mixed)(image, u), resized(image, 25, 20, MODES.CUBIC))
    linear = varied(**mixed, interpolation_algo_up="INTER_LINEAR")
    np.testing.assert_array_equal(linear(image, u), resized(image, 25, 20, MODES.LINEAR))
    area = dict(img_rand_resize_lower=13, img_rand_resize_upper=13)
    got = varied(**area, interpolation_algo_down="INTER_AREA")(image, u)
    np.testing.assert_array_equal(got, resized(image, 13, 13, MODES.AREA))


def test_without_numbers_the_middle_of_each_range_is_taken():
    made = varied(img_rand_resize_lower=9, img_rand_resize_upper=15)
    assert made(np.zeros((1, 20, 30), np.uint8), None).shape == (1, 12, 18)


def test_fields_that_draw_no_size_do_not_ask_for_one():
    assert not is_asked(param(allow_upscale=True, interpolation_algo_up="INTER_AREA"))
    for name in FIELDS[:8]:
        assert is_asked(param(**{name: 1}))


def transform(training=True, **fields):
    return Transform(param(crop_size=8, **fields), training, np.float64, reject, "Data layer 'd'")


TWELVE = dict(img_rand_resize_lower=12, img_rand_resize_upper=12)


def apply(made, image, u=None):
    out = np.full(made.top_shape(image.shape, "record 0"), np.nan)
    made(image, u, out)
    return out


@pytest.fixture
def mean_file(tmp_path):
    mean = RNG.uniform(0, 200, (3, 10, 13)).astype(np.float32)
    blob = schema.BlobProto()
    blob.shape.dim.extend(mean.shape)
    blob.data.extend(mean.ravel().tolist())
    (tmp_path / "mean.binaryproto").write_bytes(blob.SerializeToString())
    return mean, str(tmp_path / "mean.binaryproto")


def test_a_window_of_the_sized_picture_loses_the_middle_of_the_mean(mean_file):
    mean, file = mean_file
    image = RNG.integers(0, 256, (3, 20, 24), dtype=np.uint8)
    made = transform(**TWELVE, mirror=True, mean_file=file, scale=0.5)
    assert made.random and made.costly and made.draws == 3 + VariedSize.draws
    sized = resized(image, 12, 14, MODES.NEAREST).astype(np.float64)
    for flip, row, column in [(0.9, 0.5, 0.99), (0.1, 0, 0.4)]:
        u = np.array([flip, row, column, *[0.3] * 5])
        top, left = int(row * 5), int(column * 7)
        seen = sized[:, top : top + 8, left : left + 8] - mean[:, 1:9, 2:10]
        np.testing.assert_allclose(
            apply(made, image, u), (seen if flip > 0.5 else seen[..., ::-1]) / 2
        )


def test_the_size_is_drawn_from_numbers_of_its_own():
    image = RNG.integers(0, 256, (3, 20, 20), dtype=np.uint8)
    made = transform(img_rand_resize_lower=9, img_rand_resize_upper=12)
    got = apply(made, image, np.array([0.99] * 3 + [0] * 5))
    np.testing.assert_array_equal(got, resized(image, 9, 9, MODES.NEAREST)[:, 1:, 1:])


def test_in_testing_the_middle_is_seen():
    image = RNG.integers(0, 256, (3, 20, 24), dtype=np.uint8)
    made = transform(training=False, **TWELVE)
    assert made.random  # a size may be drawn there, too
    expected = resized(image, 12, 14, MODES.NEAREST)[:, 2:10, 3:11]
    np.testing.assert_array_equal(apply(made, image, RNG.random(made.draws)), expected)
    np.testing.assert_array_equal(apply(made, image), expected)


def test_small_records_grow_only_where_they_may():
    small = np.zeros((1, 6, 30), np.uint8)
    with pytest.raises(DataError, match="crop_size is 8, but record 0 has the shape"):
        transform(**TWELVE).top_shape(small.shape, "record 0")
    assert apply(transform(**TWELVE, allow_upscale=True), small).shape == (1, 8, 8)


def test_a_mean_smaller_than_the_window_is_refused(mean_file):
    made = Transform(
        param(crop_size=12, mean_file=mean_file[1], **TWELVE), True, np.float64, reject, "d"
    )
    with pytest.raises(DataError, match=r"shape \(3, 10, 13\)\n.*at least 12 x 12"):
        made.top_shape((3, 20, 20), "record 0")


@pytest.mark.parametrize(
    "fields, found",
    [
        (dict(img_rand_resize_lower=9, img_rand_resize_upper=8), "lower is 9 and .* 8"),
        (dict(vertical_stretch_upper=math.inf), "vertical_stretch is from 1 to inf"),
        (dict(img_rand_resize_lower=9, resize=dict(height=9)), "or another size too"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields, found):
    with pytest.raises(LayerConfigError, match=found):
        transform(**fields)


def test_a_size_without_a_window_is_refused():
    with pytest.raises(LayerConfigError, match="has vertical_stretch_upper and no crop_size"):
        varied(None, vertical_stretch_upper=1.5)
