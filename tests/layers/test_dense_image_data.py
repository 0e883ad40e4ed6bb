"""DenseImageData: images with the images of their labels, seen through the same window."""

import numpy as np
import pytest

from minidl import schema
from minidl.arrays.rng import Streams
from minidl.errors import DataError, LayerConfigError
from minidl.layers.base import layer_class
from minidl.layers.context import Context
from minidl.net import Net
from minidl.testing.harness import make_spec
from tests.layers.test_data import batches

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

RNG = np.random.default_rng(0)
LABELS = np.arange(3 * 6 * 8, dtype=np.uint8).reshape(3, 1, 6, 8)  # every label there once
RGB = np.stack([LABELS[:, 0], 255 - LABELS[:, 0], LABELS[:, 0] // 2], axis=-1)


@pytest.fixture
def make(tmp_path):
    """A layer from keywords over three images, whose red is their label; closed at the end."""
    layers = []
    for i in range(3):
        Image.fromarray(RGB[i]).save(tmp_path / f"{i}.png")
        Image.fromarray(LABELS[i, 0]).save(tmp_path / f"{i}_labels.png")
    lines = "".join(f"{i}.png {i}_labels.png\n" for i in range(3))
    (tmp_path / "list.txt").write_text(lines)

    def made(source="list.txt", absent=None, phase=schema.TRAIN, **keywords):
        fields = dict(source=str(tmp_path / source), root_folder=f"{tmp_path}/", batch_size=2)
        spec = make_spec("DenseImageData", **{"name": "street", **fields, **keywords})
        ctx = Context(dtype=np.float32, phase=phase, streams=Streams(1), absent_data=absent)
        layers.append(layer_class(spec)(spec, ctx))
        return layers[-1]

    yield made
    for layer in layers:
        layer.close()


def all_of(layer, count):
    data, labels = zip(*batches(layer, count), strict=True)
    return np.concatenate(data), np.concatenate(labels)


def test_images_and_labels_come_in_the_order_of_the_list(make):
    layer = make()
    assert layer.top_shapes() == ((2, 3, 6, 8), (2, 1, 6, 8))
    data, labels = all_of(layer, 3)
    np.testing.assert_array_equal(labels, LABELS[np.arange(6) % 3])
    np.testing.assert_array_equal(data, RGB[np.arange(6) % 3][..., ::-1].transpose(0, 3, 1, 2))


def test_mean_and_scale_are_for_images_alone(make):
    data, labels = all_of(make(mean_value=[1, 2, 3], scale=0.5), 2)
    np.testing.assert_array_equal(labels[:3], LABELS)
    np.testing.assert_array_equal(data[:3, 2], (LABELS[:, 0] - 3.0) / 2)


@pytest.mark.parametrize("keywords", [dict(mirror=True), dict(crop_size=4), dict(shuffle=True)])
def test_labels_are_seen_through_the_window_of_their_image(make, keywords):
    data, labels = all_of(make(**keywords), 20)
    np.testing.assert_array_equal(data[:, 2:], labels)
    assert len({one.tobytes() for one in labels}) > 3 or "shuffle" in keywords
    flipped = labels[:, 0, 0, 0] > labels[:, 0, 0, 1]
    assert 0 < flipped.mean() < 1 if "mirror" in keywords else not flipped.any()


def test_the_layers_own_mirror_is_that_of_transform_param(make):
    spec = make(source="list.txt").spec
    spec.dense_image_data_param.mirror = True
    layer = layer_class(spec)(spec, Context(dtype=np.float32, streams=Streams(1)))
    data, labels = all_of(layer, 20)
    layer.close()
    np.testing.assert_array_equal(data[:, 2:], labels)
    assert 0 < (labels[:, 0, 0, 0] > labels[:, 0, 0, 1]).mean() < 1


@pytest.mark.parametrize("factor", [1, 2])
def test_both_are_stretched_and_labels_have_nothing_between_them(make, factor):
    size = dict(new_height=9, new_width=4)
    layer = make(**size, label_divide_factor=factor)
    small = (9 // factor, 4 // factor)
    assert layer.top_shapes() == ((2, 3, 9, 4), (2, 1, *small))
    _, labels = all_of(layer, 1)
    rows, columns = np.arange(small[0]) * 6 // small[0], np.arange(small[1]) * 8 // small[1]
    np.testing.assert_array_equal(labels, LABELS[:2][:, :, rows][..., columns])


def test_a_stand_in_has_the_shapes_of_what_is_absent(make):
    def shapes(**keywords):
        return make(source="nowhere.txt", absent=(3, 9, 8), **keywords).top_shapes()

    assert shapes() == ((2, 3, 9, 8), (2, 1, 9, 8))
    assert shapes(crop_size=5) == ((2, 3, 5, 5), (2, 1, 5, 5))
    size = dict(new_height=6, new_width=12)
    assert shapes(**size, label_divide_factor=3) == ((2, 3, 6, 12), (2, 1, 2, 4))


def test_a_net_learns_from_pixels(make):
    text = """layer { name: "street" type: "DenseImageData" top: "data" top: "label"
        dense_image_data_param { source: "%s" root_folder: "%s" batch_size: 3 } }
      layer { name: "score" type: "Convolution" bottom: "data" top: "score"
        convolution_param { num_output: 144 kernel_size: 1 } }
      layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }"""
    source = make().data_source
    net = Net(text % (source, source.replace("list.txt", "")), schema.TRAIN, seed=1)
    try:
        np.testing.assert_allclose(net.forward()["loss"], np.log(144), rtol=1e-5)
        net.backward()
    finally:
        net.close()


REFUSED = {
    "mean": (dict(mean_file="m"), "mean_file"),
    "one side": (dict(new_height=3), "new_height is 3 and new_width 0"),
    "labels of no size": (dict(label_divide_factor=2), "label_divide_factor is 2 without"),
    "labels that are cropped": (
        dict(label_divide_factor=2, new_height=8, new_width=8, crop_size=4),
        "label_divide_factor is 2 beside crop_size",
    ),
    "no labels": (dict(label_divide_factor=9, new_height=8, new_width=8), "leaves 0 x 0 labels"),
    "resize": (dict(resize=dict(height=3)), "has transform_param.resize"),
    "a size for each": (
        dict(img_rand_resize_lower=9, img_rand_resize_upper=9, crop_size=4),
        "draws a size for every picture",
    ),
    "factor": (dict(label_divide_factor=0), "label_divide_factor is 0"),
}


@pytest.mark.parametrize("keywords, message", REFUSED.values(), ids=REFUSED.keys())
def test_refusals_name_the_layer_and_what_was_found(make, keywords, message):
    if "mean_file" in keywords:
        spec = make().spec
        spec.dense_image_data_param.mean_file = "m"
        with pytest.raises(LayerConfigError, match="move it to transform_param"):
            layer_class(spec)(spec, Context())
        return
    with pytest.raises(LayerConfigError, match=f"DenseImageData layer 'street'.*{message}"):
        make(**keywords)


def test_more_is_not_left_out_than_there_is(make):
    with pytest.raises(DataError, match="layer 'street'.*lists 3 images, and rand_skip is 9"):
        make(rand_skip=9).top_shapes()
