"""Shapes of 2014 in today's form."""

import numpy as np
import pytest

from minidl.storage import caffemodel
from minidl.storage.content import LayerWeights, Weights
from minidl.storage.legacy import modern, reshaped
from tests.support import shared


def old(type_, *shapes):
    blobs = [np.arange(np.prod(shape), dtype=np.float32).reshape(shape) for shape in shapes]
    return Weights("n", [LayerWeights("a", type_, blobs, [True] * len(blobs))], [])


CASES = {
    "convolution": ("CONVOLUTION", [(1, 1, 3, 3), (1, 1, 1, 1)], [(1, 1, 3, 3), (1,)]),
    "of 2013": ("conv", [(4, 3, 2, 2), (1, 1, 1, 4)], [(4, 3, 2, 2), (4,)]),
    "inner product": ("INNER_PRODUCT", [(1, 1, 1, 5), (1, 1, 1, 1)], [(1, 5), (1,)]),
    "inner product of 2013": ("innerproduct", [(1, 1, 2, 5), (1, 1, 1, 2)], [(2, 5), (2,)]),
    "today's type": ("BatchNorm", [(1, 1, 1, 6)] * 2 + [(1, 1, 1, 1)], [(6,), (6,), (1,)]),
}


@pytest.mark.parametrize("type_, before, after", CASES.values(), ids=CASES.keys())
def test_a_known_type_gets_todays_shapes(type_, before, after):
    (layer,) = modern(old(type_, *before)).layers
    assert [b.shape for b in layer.blobs] == after
    assert not any(layer.legacy)


def test_an_unknown_type_keeps_its_four_axes_and_says_so():
    (layer,) = modern(old("Novelty", (1, 1, 1, 6))).layers
    assert (layer.type, layer.blobs[0].shape, layer.legacy) == ("Novelty", (1, 1, 1, 6), [True])


def test_a_shape_without_the_ones_is_not_forced():
    (layer,) = modern(old("INNER_PRODUCT", (2, 1, 3, 5))).layers
    assert (layer.blobs[0].shape, layer.legacy) == ((2, 1, 3, 5), [True])


def test_todays_shapes_are_left_alone():
    weights = old("InnerProduct", (1, 1, 2, 5))
    weights.layers[0].legacy = [False]
    assert modern(weights).layers[0].blobs[0].shape == (1, 1, 2, 5)


def test_what_changed_is_told():
    before = old("conv", (4, 3, 2, 2), (1, 1, 1, 4))
    ((name, index, was, now),) = reshaped(before, modern(before))
    assert (name, index, was.shape, now.shape) == ("a", 1, (1, 1, 1, 4), (4,))


@pytest.mark.parametrize("model", ["lenet_v1_everpeace", "cifar10_quick_v1_everpeace"])
def test_real_files_of_2014_are_todays_afterwards(model):
    weights = modern(caffemodel.read(shared(f"models/{model}/weights.caffemodel")))
    assert {la.type for la in weights.layers} == {"Convolution", "InnerProduct"}
    for layer in weights.layers:
        assert [b.ndim for b in layer.blobs] == [4 if layer.type == "Convolution" else 2, 1]
        assert not any(layer.legacy)
