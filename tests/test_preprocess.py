"""preprocess against the data layers whose part it plays, and against Pillow and plain slices."""

import json
import logging

import numpy as np
import pytest

import minidl
from minidl import preprocess, prototxt, schema
from minidl.data import image_mean, lmdb_writer
from minidl.errors import DataError, FormatError, MinidlError, UsageError
from minidl.preprocess import Preprocess

image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

RNG = np.random.default_rng(4)
PIXELS = RNG.integers(0, 256, (9, 13, 3), np.uint8)  # red, green, blue


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder, with picture.png, list.txt that names it, and a mean image."""
    monkeypatch.chdir(tmp_path)
    image.fromarray(PIXELS).save("picture.png")
    (tmp_path / "list.txt").write_text("picture.png 2\n")
    mean = RNG.uniform(0, 200, (3, 9, 13)).astype(np.float32)
    image_mean.write(tmp_path / "mean.binaryproto", mean)
    return tmp_path


def net_text(transform, source="list.txt", kind="ImageData", more=""):
    field = "image_data_param" if kind == "ImageData" else "data_param"
    return f"""
    layer {{ name: "pictures" type: "{kind}" top: "data" top: "label"
      {field} {{ source: "{source}" batch_size: 1 {more} }}
      transform_param {{ {transform} }} }}"""


def transform(text):
    return prototxt.read_message(text, schema.TransformationParameter)


TRANSFORMS = {
    "nothing": "",
    "crop and means": "crop_size: 5 mean_value: 10 mean_value: 20 mean_value: 30 scale: 0.5",
    "a mean image": 'crop_size: 6 mean_file: "mean.binaryproto"',
    "resized": "resize { mode: HALF_CROP height: 8 width: 7 filter: ANTIALIAS } mean_value: 9",
    "covered and cropped": "resize { mode: COVER height: 11 } crop_size: 11 scale: 0.00390625",
    "grey": "force_gray: true crop_size: 4 mean_value: 100",
    "for training alone": "crop_size: 8 augment { max_rotation: 30 } workers: 2",
}


@pytest.mark.parametrize("text", ["", "ignore_orientation: true"])
def test_a_turned_picture_becomes_what_the_data_layer_gives(text):
    picture = image.fromarray(PIXELS)
    exif = picture.getexif()
    exif[0x0112] = 8
    picture.save("picture.png", exif=exif)
    with minidl.Net(net_text(text), minidl.TEST) as net:
        net.forward()
        expected = net.blobs["data"].data[0].copy()
    prepare = preprocess.find(prototxt.read_net(net_text(text)))
    np.testing.assert_array_equal(prepare("picture.png"), expected)
    assert expected.shape == ((3, 9, 13) if text else (3, 13, 9))


@pytest.mark.parametrize("text", TRANSFORMS.values(), ids=TRANSFORMS.keys())
def test_a_picture_becomes_what_the_data_layer_gives(text):
    model = net_text(text)
    with minidl.Net(model, minidl.TEST) as net:
        net.forward()
        expected = net.blobs["data"].data[0].copy()
    prepare = preprocess.of_net(prototxt.read_net(model))
    np.testing.assert_array_equal(prepare("picture.png"), expected)
    assert prepare("picture.png").dtype == np.float32
    assert prepare.shape() in (None, expected.shape)


def test_new_height_and_width_of_image_lists_are_a_stretch():
    model = net_text("", more="new_height: 6 new_width: 4 is_color: false")
    with minidl.Net(model, minidl.TEST) as net:
        net.forward()
        expected = net.blobs["data"].data[0].copy()
    prepare = preprocess.of_net(prototxt.read_net(model))
    np.testing.assert_array_equal(prepare("picture.png"), expected)
    assert prepare.shape() == (1, 6, 4)


def stored(folder, shape=(1, 6, 5)):
    lmdb_writer.write(folder / "train_lmdb", np.zeros((2, *shape), np.uint8), np.arange(2))
    return prototxt.read_net(net_text("scale: 0.5 mirror: true", "train_lmdb", "Data"))


def test_records_of_the_data_set_say_how_large_pictures_become(folder):
    prepare = preprocess.of_net(stored(folder))
    assert prepare.shape() == (1, 6, 5)
    grey = image.open("picture.png").convert("L")
    whole = (0, 0, *grey.size)
    small = grey.transform((5, 6), image.Transform.EXTENT, whole, image.Resampling.BILINEAR)
    np.testing.assert_array_equal(prepare("picture.png")[0], np.asarray(small) / 2)


def test_the_description_beside_the_data_set_says_how_they_got_there(folder):
    resized = transform("resize { mode: CROP height: 6 width: 5 filter: ANTIALIAS } scale: 7")
    Preprocess(resized, "gray", ("cat", "dog")).write(folder / "preprocess.json")
    found = preprocess.of_net(stored(folder))
    assert found.transform.resize == resized.resize
    assert found.transform.scale == 0.5  # the layer's own
    assert found.labels == ("cat", "dog") and found.channels == "gray"


def test_where_one_phases_data_set_is_absent_that_of_the_other_is_asked(folder):
    stored(folder)
    layers = [("TRAIN", "train_lmdb"), ("TEST", "gone_lmdb")]
    text = "".join(
        net_text("scale: 0.5", source, "Data").replace(
            "top: ", f"include {{ phase: {p} }} top: ", 1
        )
        for p, source in layers
    )
    found = preprocess.of_net(prototxt.read_net(text))
    assert found.shape() == (1, 6, 5) and found.channels == "gray"


def test_where_only_crop_size_is_known_records_are_those_of_caffe(caplog):
    model = prototxt.read_net(net_text("crop_size: 227", "nowhere_lmdb", "Data"))
    with caplog.at_level(logging.WARNING, "minidl"):
        found = preprocess.of_net(model)
    assert found.transform.resize.height == 256 and found.shape() == (3, 227, 227)
    assert "taken as 256 x 256" in caplog.text


def test_the_layer_of_phase_test_counts():
    both = net_text("scale: 2").replace("top: ", "include { phase: TRAIN } top: ", 1)
    both += net_text("scale: 3").replace("top: ", "include { phase: TEST } top: ", 1)
    assert preprocess.of_net(prototxt.read_net(both)).transform.scale == 3
    only = net_text("scale: 2").replace("top: ", "include { phase: TRAIN } top: ", 1)
    assert preprocess.of_net(prototxt.read_net(only)).transform.scale == 2


def test_a_net_without_pictures_has_no_description():
    text = 'layer { name: "d" type: "Input" top: "d" input_param { shape { dim: 1 } } }'
    assert preprocess.of_net(prototxt.read_net(text)) is None


# ---------------------------------------------------------------------- arrays, orders, crops


def test_arrays_of_bytes_and_of_load_image_are_the_same_picture():
    prepare = Preprocess(transform("crop_size: 5 scale: 0.5"))
    expected = prepare("picture.png")
    np.testing.assert_array_equal(prepare(PIXELS), expected)
    np.testing.assert_allclose(prepare(minidl.io.load_image("picture.png")), expected, rtol=1e-6)


@pytest.mark.parametrize("channels, order", [("BGR", [2, 1, 0]), ("RGB", [0, 1, 2])])
def test_the_order_of_channels(channels, order):
    found = Preprocess(transform(""), channels)("picture.png")
    np.testing.assert_array_equal(found, PIXELS[:, :, order].transpose(2, 0, 1))


def test_colours_become_grey_and_grey_becomes_three_channels():
    grey = np.rint(PIXELS @ np.array([0.299, 0.587, 0.114]))
    np.testing.assert_allclose(Preprocess(transform(""), "gray")(PIXELS)[0], grey, atol=1)
    found = Preprocess(transform(""))(PIXELS[:, :, 0])
    np.testing.assert_array_equal(found, np.stack([PIXELS[:, :, 0]] * 3))


def test_ten_crops_are_corners_and_middle_each_minus_its_own_part_of_the_mean():
    prepare = Preprocess(transform('crop_size: 4 mean_file: "mean.binaryproto" scale: 2'))
    whole = Preprocess(transform('mean_file: "mean.binaryproto" scale: 2'))("picture.png")
    expected = minidl.io.oversample([whole.transpose(1, 2, 0)], (4, 4)).transpose(0, 3, 1, 2)
    found = prepare.ten_crops("picture.png")
    # from right to left the mean is turned with its picture, as a data layer's mirror does
    np.testing.assert_allclose(found, expected, rtol=1e-6)


# ---------------------------------------------------------------------- files


def test_what_was_written_is_read_wherever_the_file_goes(folder):
    first = Preprocess(
        transform(
            'crop_size: 5 mean_file: "mean.binaryproto" scale: 0.0039'
            " resize { mode: FILL height: 9 width: 13 }"
        ),
        "BGR",
        ("a cat", "ein Hündchen"),
    )
    expected = first("picture.png")
    (folder / "run").mkdir()
    first.write("run/preprocess.json")
    (folder / "run").rename(folder / "moved")
    (folder / "mean.binaryproto").unlink()
    again = preprocess.read("moved/preprocess.json")
    assert again.labels == first.labels
    np.testing.assert_array_equal(again("picture.png"), expected)
    assert json.loads((folder / "moved/preprocess.json").read_text("utf-8"))["labels"][0] == "a cat"


WRONG = {
    "not JSON": ("{", "is not JSON"),
    "another file": ("[1]", "does not describe pictures"),
    "another version": ('{"format": "minidl preprocess 9"}', "does not describe"),
    "an entry": ('{"format": "%s", "lables": []}', "did you mean 'labels'"),
    "channels": ('{"format": "%s", "channels": "BRG"}', "channels is 'BRG'"),
    "labels": ('{"format": "%s", "labels": [1]}', "labels is not a list of names"),
    "a field": ('{"format": "%s", "transform_param": {"crop": 3}}', 'no field named "crop"'),
}


@pytest.mark.parametrize("text, message", WRONG.values(), ids=WRONG.keys())
def test_a_file_that_is_none_is_refused(text, message, folder):
    (folder / "preprocess.json").write_text(text.replace("%s", preprocess.FORMAT))
    with pytest.raises(FormatError, match=message):
        preprocess.read("preprocess.json")


def test_pictures_that_cannot_be_are_refused(folder):
    (folder / "no.png").write_text("no")
    prepare = Preprocess(transform("crop_size: 10"))
    with pytest.raises(DataError, match="no.png: holds 2 bytes"):
        prepare("no.png")
    with pytest.raises(DataError, match="picture.png: crop_size is 10, but the picture"):
        prepare("picture.png")
    with pytest.raises(UsageError, match="no such image"):
        prepare("picture.pgn")
    with pytest.raises(UsageError, match=r"shape \(4,\)"):
        prepare(np.zeros(4))
    with pytest.raises(MinidlError, match="preprocess.json: has both"):
        Preprocess(transform('mean_value: 1 mean_file: "mean.binaryproto"'))("picture.png")


def test_the_data_layer_counts_before_the_files_beside_weights_and_model(folder):
    for place, scale in [("run", 3), ("model", 4)]:
        (folder / place).mkdir()
        Preprocess(transform(f"scale: {scale}"), labels=(place,)).write(f"{place}/preprocess.json")
    given = "run/x.caffemodel", "model/net.prototxt"
    own = preprocess.find(prototxt.read_net(net_text("scale: 2")), *given)
    assert own.transform.scale == 2 and own.labels == ("run",)
    deploy = prototxt.read_net('name: "x"')
    assert preprocess.find(deploy, *given).transform.scale == 3
    assert preprocess.find(deploy, "x.caffemodel", given[1]).transform.scale == 4
    assert preprocess.find(deploy, "x.caffemodel", "net.prototxt") is None


def test_of_an_input_alone_only_its_size_is_known():
    found = preprocess.of_input((7, 1, 4, 5))
    assert found.channels == "gray" and found.shape() == (1, 4, 5)
    assert preprocess.of_input((7, 3, 4, 5))("picture.png").max() > 1  # bytes
