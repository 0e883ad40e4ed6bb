"""ImageData: images by list, in order and shuffled, resized, and what it refuses."""

import logging

import numpy as np
import pytest

from minidl import schema
from minidl.arrays.device import Device
from minidl.arrays.rng import Streams
from minidl.data.resize import stretch
from minidl.errors import DataError, LayerConfigError
from minidl.layers.base import layer_class
from minidl.layers.context import Context
from minidl.net import Net
from minidl.testing.harness import bind, make_spec
from tests.layers.test_data import batches

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

RGB = np.random.default_rng(0).integers(0, 256, (7, 6, 5, 3), dtype=np.uint8)
IMAGES = RGB[..., ::-1].transpose(0, 3, 1, 2)


@pytest.fixture
def folder(tmp_path):
    """0.png to 6.png, listed with labels 0, 10, ..., 60."""
    for i, pixels in enumerate(RGB):
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    (tmp_path / "list.txt").write_text("".join(f"{i}.png {10 * i}\n" for i in range(7)))
    return tmp_path


@pytest.fixture
def make(folder):
    """An ImageData layer from keywords, closed when the test ends."""
    layers = []

    def made(tops=2, source="list.txt", seed=1, phase=schema.TRAIN, device="cpu", **keywords):
        fields = dict(source=str(folder / source), root_folder=f"{folder}/", batch_size=3)
        spec = make_spec("ImageData", tops=tops, **{"name": "images", **fields, **keywords})
        ctx = Context(Device(device), np.float32, phase, Streams(seed))
        layers.append(layer_class(spec)(spec, ctx))
        return layers[-1]

    yield made
    for layer in layers:
        layer.close()


def labels(layer, count):
    return [got[1].tolist() for got in batches(layer, count)]


def test_images_come_in_the_order_of_the_list_and_wrap(make):
    got = batches(make(), 5)
    order = np.arange(15) % 7
    np.testing.assert_array_equal(np.concatenate([data for data, _ in got]), IMAGES[order])
    np.testing.assert_array_equal(np.concatenate([y for _, y in got]), 10 * order)


def test_shuffling_gives_every_image_once_a_pass_and_follows_the_seed(make):
    got = np.concatenate(labels(make(shuffle=True), 14))
    passes = got.reshape(6, 7)
    assert all(sorted(one) == list(range(0, 70, 10)) for one in passes.tolist())
    assert len({tuple(one) for one in passes.tolist()}) > 3
    np.testing.assert_array_equal(got, np.concatenate(labels(make(shuffle=True), 14)))
    assert labels(make(shuffle=True, seed=2), 14) != got.reshape(14, 3).tolist()


def test_a_shuffled_run_goes_on_where_it_was(make):
    whole = labels(make(shuffle=True), 9)
    resumed = make(shuffle=True)
    resumed.position = 5
    assert labels(resumed, 4) == whole[5:]


def test_some_images_may_be_left_out_at_the_beginning(make):
    starts = {labels(make(rand_skip=4, seed=s), 1)[0][0] for s in range(30)}
    assert starts == {0, 10, 20, 30}
    with pytest.raises(DataError, match="lists 7 images, and rand_skip is 9"):
        make(rand_skip=9).top_shapes()


def test_a_run_that_goes_on_takes_the_seed_of_its_snapshot(make):
    """The net gives the seed to layers that are there already, and closes them."""
    options = dict(shuffle=True, rand_skip=5, mirror=True, crop_size=4)
    for seed in range(2, 8):
        expected = batches(make(seed=seed, **options), 4)
        layer = make(seed=1, **options)
        batches(layer, 2)
        layer.ctx.streams.seed = seed
        layer.close()
        layer.position = 0
        for one, other in zip(expected, batches(layer, 4), strict=True):
            np.testing.assert_array_equal(one[0], other[0])
            np.testing.assert_array_equal(one[1], other[1])


def test_several_labels_a_line_make_a_top_of_two_axes(make, folder):
    (folder / "many.txt").write_text("0.png 1 0.5\n1.png 2 -3\n")
    layer = make(source="many.txt", batch_size=2)
    assert layer.top_shapes() == ((2, 3, 6, 5), (2, 2))
    assert labels(layer, 1) == [[[1, 0.5], [2, -3]]]


def test_images_are_stretched_to_a_size(make):
    layer = make(new_height=4, new_width=9)
    assert layer.top_shapes()[0] == (3, 3, 4, 9)
    np.testing.assert_array_equal(batches(layer, 1)[0][0][1], stretch(IMAGES[1], 4, 9))


def test_grey_is_one_channel(make):
    assert make(is_color=False).top_shapes()[0] == (3, 1, 6, 5)
    assert make(is_color=False, force_color=True).top_shapes()[0] == (3, 3, 6, 5)


def test_pictures_are_turned_unless_that_is_not_wanted(make, folder):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    picture = image.open(folder / "0.png")
    exif = picture.getexif()
    exif[0x0112] = 5
    picture.save(folder / "turned.png", exif=exif)
    (folder / "turned.txt").write_text("turned.png 1\n")
    options = dict(source="turned.txt", batch_size=1)
    np.testing.assert_array_equal(batches(make(**options), 1)[0][0][0], IMAGES[0].swapaxes(1, 2))
    lying = batches(make(**options, ignore_orientation=True), 1)[0][0][0]
    np.testing.assert_array_equal(lying, IMAGES[0])


def test_threads_and_augmentation_change_nothing_from_run_to_run(make):
    changes = dict(max_scale=2, max_aspect=1.5, max_rotation=30, hue=50, brightness=0.3)
    options = dict(crop_size=4, mirror=True, augment=changes, batch_size=7)
    one, many = (make(workers=n, **options) for n in (1, 5))
    for (data, _), (data2, _) in zip(batches(one, 3), batches(many, 3), strict=True):
        np.testing.assert_array_equal(data, data2)
    assert not np.array_equal(*(data for data, _ in batches(make(**options), 2)))


def test_the_shape_of_a_batch_is_that_of_its_first_image(make, folder):
    Image.fromarray(RGB[0, :4]).save(folder / "small.png")
    (folder / "two.txt").write_text("0.png 0\nsmall.png 1\n")
    layer = make(source="two.txt", batch_size=1)
    _, top = bind(layer)
    layer.forward([], top)
    assert layer.upcoming_shapes() == ((1, 3, 4, 5), (1,))
    with pytest.raises(DataError, match=r"'small.png', line 2 of .*'0.png', line 1 of"):
        batches(make(source="two.txt", batch_size=2), 1)


def test_an_image_of_the_batch_in_words(make, folder):
    layer = make()
    batches(layer, 2)
    assert layer.record(0) == f"'3.png', line 4 of {folder}/list.txt"
    assert layer.labels_of(1).tolist() == [30, 40, 50]


def test_a_label_that_is_no_class_names_its_line(folder):
    text = f"""
      layer {{ name: "images" type: "ImageData" top: "x" top: "label"
        image_data_param {{ source: "{folder}/list.txt" root_folder: "{folder}/" batch_size: 3 }} }}
      layer {{ name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
        inner_product_param {{ num_output: 15 }} }}
      layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }}"""
    with (
        Net(text, phase=schema.TRAIN) as net,
        pytest.raises(DataError, match=r"20(.|\n)*line 3 of"),
    ):
        net.forward_pass()


def test_a_stand_in_takes_the_place_of_a_list_that_is_not_there(caplog):
    spec = make_spec("ImageData", tops=2, source="nowhere.txt", batch_size=2)
    layer = layer_class(spec)(spec, Context(absent_data=(3, 8, 9)))
    with caplog.at_level(logging.WARNING, "minidl"):
        assert layer.top_shapes() == ((2, 3, 8, 9), (2,))
    assert "nowhere.txt is missing" in caplog.text


@pytest.mark.parametrize("lazy", [False, True])
def test_batches_reach_a_gpu(make, gpu, lazy):
    gpu.lazy = lazy
    expected = batches(make(shuffle=True), 6)
    layer = make(shuffle=True, device="cuda:0")
    _, top = bind(layer)
    for data, y in expected:
        layer.forward([], top)
        got = [layer.ctx.device.to_host(blob.data) for blob in top]
        np.testing.assert_array_equal(got[0], data)
        np.testing.assert_array_equal(got[1], y)
    gpu.lazy = False


WRONG = {
    "no source": (dict(source=None), "source is missing"),
    "a batch of none": (dict(batch_size=0), "batch_size is 0"),
    "one side": (dict(new_height=3), "new_height is 3 and new_width 0"),
    "two sizes": (
        dict(new_height=3, new_width=3, resize=dict(height=3)),
        "both new_height and transform_param.resize",
    ),
}


@pytest.mark.parametrize("keywords, message", WRONG.values(), ids=WRONG.keys())
def test_wrong_parameters_are_refused(keywords, message):
    fields = {"source": "list.txt", **keywords}
    fields = {name: value for name, value in fields.items() if value is not None}
    spec = make_spec("ImageData", name="images", **fields)
    with pytest.raises(LayerConfigError, match=f"ImageData layer 'images': .*{message}"):
        layer_class(spec)(spec, Context())


def test_old_fields_are_refused():
    spec = make_spec("ImageData", source="list.txt")
    spec.image_data_param.crop_size = 3
    with pytest.raises(LayerConfigError, match="the form of 2013(.|\n)*transform_param"):
        layer_class(spec)(spec, Context())


def test_a_list_with_odd_lines_names_the_layer(make, folder):
    (folder / "odd.txt").write_text("0.png\n1.png\n")
    with pytest.raises(DataError) as refusal:
        make(source="odd.txt").top_shapes()
    assert str(refusal.value).count("ImageData layer 'images': ") == 2
