"""Classifier against its crops, taken one at a time and by definition."""

import numpy as np
import pytest

import minidl
from minidl.errors import UsageError
from minidl.io import resize_image

# Each output sums one channel with weights that tell positions apart: crops, mirrors and channel
# orders all show.
NET = """
name: "sums"
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 3 dim: 3 dim: 4 dim: 5 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 2 bias_term: false weight_filler { type: "gaussian" } } }
"""
RNG = np.random.default_rng(5)
IMAGES = [RNG.random((9, 11, 3), np.float32), RNG.random((7, 8, 3), np.float32)]
MEAN = np.array([10.0, -20.0, 30.0])


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "sums.caffemodel"
    minidl.Net(NET, seed=2).save(path)
    return path


def classifier(weights, **options):
    options = dict(mean=MEAN, raw_scale=255, channel_swap=(2, 1, 0), input_scale=0.5) | options
    return minidl.Classifier(NET, weights, **options)


def score(net, crop):
    """The net's answer to one crop H x W x RGB, in float64."""
    bgr = crop[..., ::-1].astype(np.float64) * 255 - MEAN
    planes = np.moveaxis(0.5 * bgr, 2, 0).reshape(-1)
    return net.params["ip"][0].data.astype(np.float64) @ planes


def test_the_centre_crop(weights):
    net = classifier(weights, image_dims=(6, 8))
    expected = [score(net, resize_image(image, (6, 8))[1:5, 1:6]) for image in IMAGES]
    found = net.predict(IMAGES, oversample=False)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_ten_crops_are_averaged(weights):
    net = classifier(weights, image_dims=(6, 8))
    expected = []
    for image in IMAGES:
        image = resize_image(image, (6, 8))
        corners = [(0, 0), (0, 3), (2, 0), (2, 3), (1, 1)]
        crops = [image[y : y + 4, x : x + 5] for y, x in corners]
        expected.append(np.mean([score(net, c) for c in crops + [c[:, ::-1] for c in crops]], 0))
    np.testing.assert_allclose(net.predict(IMAGES), expected, rtol=1e-4)


def test_an_image_is_resized_to_the_input_without_image_dims(weights):
    net = classifier(weights)
    expected = [score(net, resize_image(image, (4, 5))) for image in IMAGES]
    found = net.predict(iter(IMAGES), oversample=False)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_it_is_a_net(weights):
    net = classifier(weights)
    assert isinstance(net, minidl.Net)
    assert net.phase == minidl.TEST
    assert net.transformer.raw_scale == {"data": 255}


TWO_INPUTS = NET + 'layer { name: "b" type: "Input" top: "b" input_param { shape { dim: 1 } } }'
REFUSED = {
    "small": (lambda w: classifier(w, image_dims=(3, 9)), r"image_dims is \(3, 9\)(.|\n)*\(4, 5\)"),
    "mean": (lambda w: classifier(w, mean=np.zeros(4)), r"mean has the shape \(4,\)"),
    "nothing": (lambda w: classifier(w).predict([]), "there are no images"),
    "inputs": (lambda w: minidl.Classifier(TWO_INPUTS, w), "net 'sums' has the inputs(.|\n)*one"),
}


@pytest.mark.parametrize("do, message", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_refused(weights, do, message):
    with pytest.raises(minidl.MinidlError, match=message):
        do(weights)


@pytest.mark.parametrize(
    "given, said",
    [
        (IMAGES[0], r"shape \(9, 11, 3\) is one image(.|\n)*fix: predict\(\[image\]\)"),
        (IMAGES[0][..., 0], r"shape \(9, 11\) is one image"),
        (IMAGES[0][..., :1], r"shape \(9, 11, 1\) is one image"),
        ("cat.jpg", r"'cat.jpg' is one image(.|\n)*fix: predict\(\[io.load_image\('cat.jpg'\)\]\)"),
        (["cat.jpg"], r"'cat.jpg' is a file's name(.|\n)*fix: \[io.load_image\('cat.jpg'\)\]"),
        (None, "NoneType is not a list of images"),
        ({"cat": IMAGES[0]}, "dict is not a list of images"),
        (3, "int is not a list of images"),
        ([], "there are no images"),
    ],
)
def test_one_image_in_place_of_a_list_gets_the_right_call(weights, given, said):
    with pytest.raises(UsageError, match=said):
        classifier(weights).predict(given)


def test_images_come_in_any_collection(weights):
    net = classifier(weights)
    expected = net.predict(IMAGES[:1])
    for some in (tuple(IMAGES[:1]), iter(IMAGES[:1]), IMAGES[0][None], np.array(IMAGES[:1])):
        np.testing.assert_array_equal(net.predict(some), expected)
