"""Transform against a definition in loops; its refusals; its random numbers."""

from importlib.util import find_spec

import numpy as np
import pytest

from minidl import schema
from minidl.data.augment import Augment
from minidl.data.resize import Resize
from minidl.data.transform import Transform
from minidl.errors import DataError, FormatError, LayerConfigError, MinidlError

RNG = np.random.default_rng(5)
IMAGE = RNG.integers(0, 256, (3, 9, 6), dtype=np.uint8)  # taller than wide
MEAN = RNG.uniform(-20, 300, (3, 9, 6)).astype(np.float32)


def reject(found, **parts):
    parts.pop("field", None)
    raise LayerConfigError(found, where="Data layer 'd'", **parts)


def transform(training=True, dtype=np.float64, **fields):
    param = schema.TransformationParameter(**fields)
    return Transform(param, training, dtype, reject, "Data layer 'd'")


def apply(made, image=IMAGE, rng=None):
    out = np.full(made.top_shape(image.shape, "record 0"), np.nan, made.dtype)
    made(image, None if rng is None else rng.random(made.draws), out)
    return out


class Fixed:
    """Random numbers that are not: for `mirror`, the row and the column."""

    def __init__(self, *numbers):
        self.numbers = numbers

    def random(self, count):
        assert count == len(self.numbers)
        return np.array(self.numbers)


@pytest.fixture
def mean_file(tmp_path):
    """A writer of mean images, in the new or the old form of their shape."""

    def write(mean=MEAN, legacy=False):
        blob = schema.BlobProto()
        if legacy:
            blob.num, (blob.channels, blob.height, blob.width) = 1, mean.shape
        else:
            blob.shape.dim.extend(mean.shape)
        blob.data.extend(mean.ravel().tolist())
        path = tmp_path / "mean.binaryproto"
        path.write_bytes(blob.SerializeToString())
        return str(path)

    return write


def by_definition(image, crop, top, left, flip, mean, scale):
    c, h, w = image.shape
    side = (crop, crop) if crop else (h, w)
    y = np.empty((c, *side))
    for k, i, j in np.ndindex(y.shape):
        row, column = top + i, left + (side[1] - 1 - j if flip else j)
        y[k, i, j] = (float(image[k, row, column]) - float(mean[k, row, column])) * scale
    return y


# the window's place for u = (mirror, row, column): floor(u * (size - crop + 1))
WINDOWS = {
    "first place, plain": (dict(crop_size=4, mirror=True), (0.7, 0.0, 0.0), (0, 0, False)),
    "first place, mirrored": (dict(crop_size=4, mirror=True), (0.3, 0.0, 0.0), (0, 0, True)),
    "last place, mirrored": (dict(crop_size=4, mirror=True), (0.0, 0.99, 0.99), (5, 2, True)),
    "within": (dict(crop_size=4), (0.0, 0.5, 0.4), (3, 1, False)),
    "as wide as the image": (dict(crop_size=6, mirror=True), (0.1, 0.3, 0.9), (1, 0, True)),
    "mirror alone": (dict(mirror=True), (0.49, 0.9, 0.9), (0, 0, True)),
    "no mirror": (dict(mirror=True), (0.5, 0.9, 0.9), (0, 0, False)),
}


@pytest.mark.parametrize("means", ["none", "one value", "a value a channel", "file"])
@pytest.mark.parametrize("fields, u, place", WINDOWS.values(), ids=WINDOWS.keys())
def test_a_training_record_follows_the_definition(fields, u, place, means, mean_file):
    extra, mean = {}, np.zeros(IMAGE.shape)
    if means == "one value":
        extra, mean = dict(mean_value=[104.5]), mean + 104.5
    elif means == "a value a channel":
        extra = dict(mean_value=[104, 117, 123])
        mean = mean + np.reshape([104, 117, 123], (3, 1, 1))
    elif means == "file":
        extra, mean = dict(mean_file=mean_file()), MEAN
    made = transform(scale=-0.5, **fields, **extra)
    crop = fields.get("crop_size", 0)
    expected = by_definition(IMAGE, crop, *place, mean, -0.5)
    np.testing.assert_allclose(apply(made, rng=Fixed(*u)), expected, rtol=1e-12)


def test_in_the_test_phase_the_window_lies_in_the_middle_and_upper_left_of_it():
    made = transform(training=False, crop_size=4)
    assert not made.random
    np.testing.assert_array_equal(apply(made), IMAGE[:, 2:6, 1:5])


def test_in_the_test_phase_records_are_mirrored_too_but_stay_in_the_middle():
    made = transform(training=False, crop_size=4, mirror=True)
    assert made.random
    got = apply(made, rng=Fixed(0.1, 0.9, 0.9))
    np.testing.assert_array_equal(got, IMAGE[:, 2:6, 4:0:-1])


def test_without_options_the_values_are_kept():
    made = transform()
    assert not made.random
    np.testing.assert_array_equal(apply(made), IMAGE)


def test_floats_are_transformed_like_bytes():
    image = RNG.standard_normal((2, 3, 4)).astype(np.float32)
    got = apply(transform(scale=3, mean_value=[0.5, -2]), image)
    np.testing.assert_allclose(got, (image - np.reshape([0.5, -2], (2, 1, 1))) * 3, rtol=1e-12)


def test_float32_is_computed_in_float32_as_caffe_does():
    made = transform(dtype=np.float32, scale=0.00390625, mean_value=[33.3])
    expected = (IMAGE.astype(np.float32) - np.float32(33.3)) * np.float32(0.00390625)
    np.testing.assert_array_equal(apply(made), expected)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_mean_file_may_have_the_new_or_the_old_form_of_shape(mean_file, legacy):
    made = transform(mean_file=mean_file(legacy=legacy))
    np.testing.assert_allclose(apply(made), IMAGE - MEAN.astype(float), rtol=1e-12)


def test_every_place_is_drawn_and_none_beyond():
    made, rng = transform(crop_size=4), np.random.default_rng(0)
    ramp = np.arange(54, dtype=np.uint8).reshape(1, 9, 6)
    corners = {int(apply(made, ramp, rng)[0, 0, 0]) for _ in range(400)}
    assert corners == {6 * row + column for row in range(6) for column in range(3)}


def test_an_image_draws_three_numbers_whatever_its_options_need():
    """So that batches of a resumed run stay what they were when an option is changed."""
    assert transform().draws == transform(mirror=True, crop_size=4).draws == 3


REFUSED = {
    "both means": (dict(mean_file="m", mean_value=[1.0]), "both mean_file and mean_value"),
    "both colours": (dict(force_color=True, force_gray=True), "both force_color and force_gray"),
    "a scale that is no number": (dict(scale=float("nan")), "scale is nan"),
    "an infinite mean": (dict(mean_value=[1.0, float("inf")]), "mean_value is inf"),
}


@pytest.mark.parametrize("fields, message", REFUSED.values(), ids=REFUSED.keys())
def test_contradictions_are_refused_before_any_record_is_seen(fields, message):
    with pytest.raises(LayerConfigError, match=f"Data layer 'd': .*{message}"):
        transform(**fields)


UNFIT = {
    "crop higher": (dict(crop_size=10), r"crop_size is 10, but record 0 has the shape \(3, 9, 6\)"),
    "crop wider": (dict(crop_size=7), r"crop_size is 7(.|\n)*crop_size <= 6"),
    "two means": (dict(mean_value=[1.0, 2.0]), "2 mean_value entries, but record 0 has 3 channels"),
}


@pytest.mark.parametrize("fields, message", UNFIT.values(), ids=UNFIT.keys())
def test_a_record_that_does_not_fit_is_refused(fields, message):
    with pytest.raises(DataError, match=f"Data layer 'd': .*{message}"):
        apply(transform(**fields))


def test_a_mean_image_of_another_size_is_refused(mean_file):
    path = mean_file(MEAN[:, :, :5])
    with pytest.raises(DataError, match=r"has the shape \(3, 9, 5\), but record 0 has \(3, 9, 6\)"):
        apply(transform(mean_file=path))


def test_an_absent_or_damaged_mean_file_is_refused(tmp_path):
    with pytest.raises(MinidlError, match="there is no such mean image"):
        apply(transform(mean_file=str(tmp_path / "mean.binaryproto")))
    (tmp_path / "bad").write_bytes(b"\xff\xff\xff")
    with pytest.raises(FormatError, match="bad"):
        apply(transform(mean_file=str(tmp_path / "bad")))


# ---------------------------------------------------------------------- resized and augmented

needs_pillow = pytest.mark.skipif(find_spec("PIL") is None, reason="Pillow is not installed")


@needs_pillow
def test_records_are_resized_before_all_else(mean_file):
    mean = RNG.uniform(0, 255, (3, 5, 8)).astype(np.float32)
    size = schema.ImageResize(height=5, width=8)
    made = transform(training=False, resize=size, crop_size=4, mean_file=mean_file(mean))
    small = Resize(size, reject)(IMAGE)
    expected = small[:, 0:4, 2:6] - mean[:, 0:4, 2:6].astype(float)
    np.testing.assert_allclose(apply(made), expected)


@needs_pillow
def test_a_resized_record_too_small_for_the_crop_says_so():
    with pytest.raises(DataError, match=r"is 4, but record 0, resized, has .*\(3, 3, 3\)"):
        apply(transform(resize=schema.ImageResize(height=3), crop_size=4))


COLORFUL = dict(max_scale=2, max_rotation=20, brightness=0.3, hue=40)


@needs_pillow
def test_a_record_is_warped_cut_recoloured_and_only_then_normalised():
    changes = schema.ImageAugmentation(**COLORFUL)
    made = transform(augment=changes, crop_size=4, mirror=True, mean_value=[50], scale=0.1)
    u = np.random.default_rng(8).random(12)
    u[:3] = 0.3, 0.99, 0.0
    alone = Augment(changes, reject, (50,))
    expected = alone.warp(IMAGE, u[3:])[:, 5:9, 3::-1].astype(float)
    alone.recolor(expected, u[3:], True)
    out = np.empty(made.top_shape(IMAGE.shape, "record 0"))
    made(IMAGE, u, out)
    np.testing.assert_allclose(out, (expected - 50) * 0.1, rtol=1e-6)


def test_nothing_is_augmented_in_the_test_phase():
    made = transform(training=False, augment=schema.ImageAugmentation(**COLORFUL))
    assert not made.random and made.draws == 3
    np.testing.assert_array_equal(apply(made), IMAGE)


def test_wrong_augmentation_is_refused_in_the_test_phase_too():
    with pytest.raises(LayerConfigError, match="max_aspect is 0"):
        transform(training=False, augment=schema.ImageAugmentation(max_aspect=0))


def test_a_fill_has_one_number_or_one_for_each_channel():
    changes = schema.ImageAugmentation(max_scale=2, fill=[1, 2])
    with pytest.raises(DataError, match="2 augment.fill entries, but record 0 has 3 channels"):
        apply(transform(augment=changes))


def test_a_window_may_be_wider_than_high():
    made = transform(training=False, crop_h=3, crop_w=6)
    np.testing.assert_array_equal(apply(made), IMAGE[:, 3:6])
    square = transform(training=False, crop_h=3, crop_w=6, crop_size=5)
    assert apply(square).shape == (3, 5, 5)
    made = transform(crop_h=3, crop_w=5, mirror=True)
    np.testing.assert_array_equal(
        apply(made, rng=Fixed(0.1, 0.99, 0.99)), IMAGE[:, 6:9, 1:6][..., ::-1]
    )
    with pytest.raises(LayerConfigError, match="crop_h is 3 and crop_w 0(.|\n)*both, or neither"):
        transform(crop_h=3)
    with pytest.raises(DataError, match=r"crop_h and crop_w are 3, 7(.|\n)*crop_w <= 6"):
        apply(transform(crop_h=3, crop_w=7))


@pytest.mark.parametrize(
    "name, fix",
    [
        ("resize_param", "resize {"),
        ("noise_param", "augment {"),
        ("distort_param", "augment {"),
        ("expand_param", "augment {"),
        ("emit_constraint", "leave it out"),
    ],
)
def test_what_annotated_data_alone_reads_is_refused(name, fix):
    with pytest.raises(LayerConfigError, match=rf"{name}, which only AnnotatedData(.|\n)*{fix}"):
        transform(**{name: {}})
