"""Images and arrays in and out: inverses, definitions, refusals."""

import re

import numpy as np
import pytest

from minidl import io, schema
from minidl.errors import DataError, MinidlError, UsageError
from minidl.storage import arrays

RNG = np.random.default_rng(3)
IMAGE = RNG.random((5, 4, 3), np.float32)


def transformer(shape=(2, 3, 5, 4), **settings):
    t = io.Transformer({"data": shape})
    for name, value in settings.items():
        getattr(t, f"set_{name}")("data", value)
    return t


ALL = dict(transpose=(2, 0, 1), channel_swap=(1, 2, 0), raw_scale=255, mean=[9, -20, 40.5])


def test_preprocess_goes_in_pycaffes_order():
    before = IMAGE.copy()
    out = transformer(**ALL, input_scale=0.25).preprocess("data", IMAGE)
    expected = np.empty((3, 5, 4))
    for c, y, x in np.ndindex(3, 5, 4):
        source = float(IMAGE[y, x, (1, 2, 0)[c]])
        expected[c, y, x] = (source * 255 - (9, -20, 40.5)[c]) * 0.25
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(IMAGE, before)


def test_the_callers_array_is_left_alone_where_nothing_moves():
    data = np.ones((3, 5, 4), np.float32)
    assert transformer(raw_scale=2).preprocess("data", data).max() == 2
    assert data.max() == 1
    assert transformer(raw_scale=2).deprocess("data", data).max() == 0.5
    assert data.max() == 1


@pytest.mark.parametrize("order, shape", [((2, 0, 1), (3, 5, 4)), ((2, 1, 0), (3, 4, 5))])
def test_deprocess_undoes_preprocess_whatever_the_orders(order, shape):
    t = transformer((1, *shape), **(ALL | dict(transpose=order)), input_scale=-0.5)
    there = t.preprocess("data", IMAGE)
    assert there.shape == shape
    np.testing.assert_allclose(t.deprocess("data", there), IMAGE, atol=1e-6)
    np.testing.assert_allclose(t.deprocess("data", there[np.newaxis]), IMAGE, atol=1e-6)


def test_an_image_of_another_size_is_resized_first():
    big = RNG.random((9, 11, 3))
    out = transformer(transpose=(2, 0, 1)).preprocess("data", big)
    np.testing.assert_array_equal(out, io.resize_image(big, (5, 4)).transpose(2, 0, 1))


def test_grey_without_a_channel_axis_and_inputs_without_space():
    grey = transformer((1, 1, 5, 4)).preprocess("data", IMAGE[..., 0])
    np.testing.assert_array_equal(grey[0], IMAGE[..., 0])
    assert transformer((1, 1, 2, 2)).preprocess("data", IMAGE[..., 0]).shape == (1, 2, 2)
    flat = transformer((8, 6), mean=np.arange(6)).preprocess("data", np.zeros(6))
    assert flat.tolist() == [0, -1, -2, -3, -4, -5]


MEANS = {
    "a number each": ((2, 3, 5, 4), np.array([1.0, 2, 3])),
    "the whole input": ((2, 3, 5, 4), RNG.random((3, 5, 4))),
    "one channel, no axis": ((2, 1, 5, 4), RNG.random((5, 4))),
}


@pytest.mark.parametrize("shape, mean", MEANS.values(), ids=MEANS.keys())
def test_a_mean_is_subtracted(shape, mean):
    out = transformer(shape, mean=mean).preprocess("data", np.zeros(shape[1:]))
    expected = mean.reshape(3, 1, 1) if mean.ndim == 1 else mean
    np.testing.assert_allclose(out, np.broadcast_to(-expected, shape[1:]), rtol=1e-6)


def test_a_mean_image_of_another_size_is_resized():
    mean = RNG.random((3, 10, 8), np.float32)
    out = transformer(mean=mean).preprocess("data", np.zeros((3, 5, 4)))
    small = io.resize_image(mean.transpose(1, 2, 0), (5, 4)).transpose(2, 0, 1)
    np.testing.assert_allclose(out, -small, rtol=1e-6)


REFUSED = {
    "input": (lambda: transformer().preprocess("dat", IMAGE), "no input 'dat'(.|\n)*'data'"),
    "input, set": (lambda: transformer().set_raw_scale("x", 2), "no input 'x'"),
    "transpose": (lambda: transformer(transpose=(0, 1)), r"input 'data': transpose is \(0, 1\)"),
    "transpose twice": (lambda: transformer(transpose=(2, 0, 0)), "0, 1, 2 in some order"),
    "swap": (lambda: transformer(channel_swap=(1, 0)), r"channel_swap is \(1, 0\)(.|\n)*3 channel"),
    "scale": (lambda: transformer(raw_scale=0), "raw_scale is 0"),
    "scale nan": (lambda: transformer(input_scale=np.nan), "input_scale is nan"),
    "mean count": (lambda: transformer(mean=np.zeros(4)), r"mean has the shape \(4,\)\n.*\(3,\)"),
    "mean channels": (lambda: transformer(mean=np.zeros((2, 9, 9))), r"shape \(2, 9, 9\)"),
    "mean batch": (lambda: transformer(mean=np.zeros((1, 3, 5, 4))), r"mean\[0\]"),
    "mean 2-D": (lambda: transformer(mean=np.zeros((5, 4))), r"shape \(5, 4\)"),
    "axes last": (lambda: transformer().preprocess("data", IMAGE), r"set_transpose\('data'"),
    "axes": (
        lambda: transformer(transpose=(2, 0, 1)).preprocess("data", IMAGE[0]),
        r"shape \(4, 3\)\n.*3 axes",
    ),
    "channels": (
        lambda: transformer(transpose=(2, 0, 1)).preprocess("data", IMAGE[..., :2]),
        r"becomes \(2, 5, 4\)\n  expected: \(3, 5, 4\)",
    ),
    "back": (lambda: transformer().deprocess("data", IMAGE), r"shape \(5, 4, 3\)"),
    "new_dims": (lambda: io.resize_image(IMAGE, (0, 3)), r"new_dims is \(0, 3\)"),
    "order": (lambda: io.resize_image(IMAGE, (2, 3), 3), "interp_order is 3"),
    "empty": (lambda: io.resize_image(np.zeros((0, 3)), (2, 3)), r"shape \(0, 3\)"),
    "crop": (lambda: io.oversample([IMAGE], (6, 2)), r"crop_dims is \(6, 2\)"),
    "no images": (lambda: io.oversample([], (6, 2)), "no images"),
    "datum": (lambda: io.array_to_datum(np.zeros((2, 2))), r"shape \(2, 2\)\n.*\(C, H, W\)"),
    "label": (lambda: io.array_to_datum(IMAGE, 2**31), "label is 2147483648"),
    "diff": (lambda: io.array_to_blobproto(IMAGE, IMAGE[0]), r"diff has the shape \(4, 3\)"),
    "vector": (lambda: io.blobprotovector_str_to_arraylist(b"\xff"), "not a BlobProtoVector"),
}


@pytest.mark.parametrize("make, message", REFUSED.values(), ids=REFUSED.keys())
def test_it_is_refused_with(make, message):
    with pytest.raises(MinidlError) as error:
        make()
    assert re.search(message, str(error.value))


@pytest.mark.parametrize("size", [(5, 4), (7, 9), (3, 2), (1, 1), (20, 3)])
def test_resize_is_bilinear_between_pixel_centres(size):
    out = io.resize_image(IMAGE, size)
    expected = np.empty((*size, 3))
    for y, x in np.ndindex(size):
        v = min(max((y + 0.5) * 5 / size[0] - 0.5, 0), 4)
        u = min(max((x + 0.5) * 4 / size[1] - 0.5, 0), 3)
        total = 0.0
        for j, i in np.ndindex(5, 4):
            total = total + max(0, 1 - abs(v - j)) * max(0, 1 - abs(u - i)) * IMAGE[j, i]
        expected[y, x] = total
    assert out.dtype == np.float32 and out is not IMAGE
    np.testing.assert_allclose(out, expected, atol=1e-6)


def test_resize_to_the_nearest_pixel_and_of_two_axes():
    a = np.array([[1, -2, 3]], np.float32)
    assert io.resize_image(a, (2, 6), 0).tolist() == [[1, 1, -2, -2, 3, 3]] * 2
    assert io.resize_image(a, (1, 1), 0).tolist() == [[-2]]


def test_oversample_takes_corners_centre_and_mirrors():
    images = [RNG.random((5, 6, 2), np.float32) for _ in range(2)]
    crops = io.oversample(images, (2, 3))
    assert crops.shape == (20, 2, 3, 2)
    for i, im in enumerate(images):
        ten = crops[10 * i : 10 * i + 10]
        for k, (y, x) in enumerate([(0, 0), (0, 3), (3, 0), (3, 3), (1, 1)]):
            np.testing.assert_array_equal(ten[k], im[y : y + 2, x : x + 3])
            np.testing.assert_array_equal(ten[k + 5], im[y : y + 2, x : x + 3][:, ::-1])


def test_load_image_gives_rgb_or_grey_between_0_and_1(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    pixels = RNG.integers(0, 256, (3, 2, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    rgb = io.load_image(tmp_path / "a.png")
    assert rgb.dtype == np.float32
    np.testing.assert_allclose(rgb, pixels[..., :3] / 255, atol=1e-7)
    grey = io.load_image(str(tmp_path / "a.png"), color=False)
    weights = np.array([0.299, 0.587, 0.114])
    assert grey.shape == (3, 2, 1)
    np.testing.assert_allclose(grey[..., 0], pixels[..., :3] @ weights / 255, atol=1 / 255)


def test_load_image_turns_a_picture_as_exif_says(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    picture = image.fromarray(np.zeros((2, 5, 3), np.uint8))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.png", exif=exif)
    assert io.load_image(tmp_path / "a.png").shape == (5, 2, 3)
    assert io.load_image(tmp_path / "a.png", upright=False).shape == (2, 5, 3)


def test_load_image_names_the_file(tmp_path):
    pytest.importorskip("PIL")
    (tmp_path / "b.png").write_bytes(b"no image")
    with pytest.raises(DataError) as error:
        io.load_image(tmp_path / "b.png")
    assert f"{tmp_path / 'b.png'}: " in str(error.value)
    with pytest.raises(UsageError, match="no such image file"):
        io.load_image(tmp_path / "c.png")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (3,), (2, 1, 3, 2)])
def test_blobprotos_keep_values_shape_and_gradient(shape, dtype):
    array, diff = (RNG.standard_normal(shape).astype(dtype) for _ in range(2))
    blob = schema.BlobProto.FromString(io.array_to_blobproto(array, diff).SerializeToString())
    for back, expected in (
        (io.blobproto_to_array(blob), array),
        (io.blobproto_to_array(blob, return_diff=True), diff),
    ):
        assert back.dtype == dtype
        np.testing.assert_array_equal(back, expected)


def test_an_old_blobproto_has_four_axes():
    blob = schema.BlobProto(num=1, channels=1, height=2, width=1, data=[1, 2], diff=[3, 4])
    assert io.blobproto_to_array(blob).tolist() == [[[[1], [2]]]]
    assert io.blobproto_to_array(blob, True).tolist() == [[[[3], [4]]]]
    assert arrays.from_blob(blob).tolist() == [[[[1], [2]]]]


def test_lists_of_arrays_survive_their_bytes():
    these = [IMAGE, np.arange(3, dtype=np.float64)]
    back = io.blobprotovector_str_to_arraylist(io.arraylist_to_blobprotovector_str(these))
    assert len(back) == 2
    for a, b in zip(these, back, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("array", [IMAGE, (IMAGE * 255).astype(np.uint8)], ids=["float", "byte"])
def test_datums_keep_values_type_and_label(array):
    datum = io.array_to_datum(array, label=np.int64(7))
    back = io.datum_to_array(datum)
    assert back.dtype == array.dtype and datum.label == 7 and back.flags.writeable
    np.testing.assert_array_equal(back, array)
    assert not io.array_to_datum(array).HasField("label")
