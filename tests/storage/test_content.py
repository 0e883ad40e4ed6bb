"""Arrays by name into layers and back; a description that is missing or not ours."""

import numpy as np
import pytest

from minidl.errors import FormatError
from minidl.storage import content
from minidl.storage.content import Weights
from tests.storage import support

A, B = np.ones((2, 3), np.float32), np.zeros(4, np.float32)


def gather(arrays, text="", owners_only=False):
    return content.gather(arrays, text, "w.npz", owners_only)


def test_what_is_named_and_described_comes_back():
    weights = support.weights()
    weights.layers[2].blobs[0] = np.ones((1, 1, 1, 2))
    weights.layers[2].legacy = [True]
    got = gather(dict(content.named(weights)), content.describe(weights))
    support.check_same(got, weights)


def test_without_a_description_layers_come_as_their_arrays_do():
    got = gather({"b/c/1": B, "b/c/0": A, "a/0": A})
    assert [(la.name, la.type, len(la.blobs)) for la in got.layers] == [
        ("b/c", "", 2),
        ("a", "", 1),
    ]


def test_layers_that_the_description_does_not_know_come_last():
    text = '{"net": "n", "layers": [{"name": "gone"}, {"name": "b", "type": "B"}]}'
    got = gather({"a/0": A, "b/0": B}, text)
    assert [(la.name, la.type) for la in got.layers] == [("b", "B"), ("a", "")]


def test_old_axes_are_believed_of_four_axes_only():
    text = '{"net": "n", "layers": [{"name": "a", "legacy": [true, true, 1, true]}]}'
    (layer,) = gather({"a/0": A, "a/1": A.reshape(1, 1, 2, 3), "a/2": B}, text).layers
    assert layer.legacy == [False, True, False]


FOREIGN = ["", "{", "3", "[]", "null", '{"layers": 1}', '{"layers": [1, {"name": 1}]}', "[" * 9999]
FOREIGN += ['{"net": 5, "layers": [{"name": "a", "type": 4}, {"name": "a", "legacy": 1}]}']


@pytest.mark.parametrize("text", FOREIGN, ids=range(len(FOREIGN)))
def test_a_description_that_is_not_ours_says_nothing(text):
    got = gather({"a/0": A}, text)
    assert (got.name, [(la.name, la.type, la.legacy) for la in got.layers]) == (
        "",
        [("a", "", [False])],
    )


@pytest.mark.parametrize("name", ["a", "0", "a/", "a/x", "a/-1", "a/01", "a/1000", "a/99999999"])
def test_a_name_that_is_not_layer_and_index_is_refused(name):
    with pytest.raises(FormatError, match="w.npz: holds an array called '(.|\n)*conv1/0"):
        gather({name: A})


def test_a_gap_is_refused_unless_another_layer_may_have_the_parameter():
    with pytest.raises(FormatError, match="has blob 2 of layer 'a', but not blob 0"):
        gather({"a/2": A})
    (layer,) = gather({"a/2": A}, owners_only=True).layers
    assert layer.blobs[:2] == [None, None] and layer.blobs[2] is A


@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f4", ">f8"])
def test_floats_become_the_machines_without_loss(dtype):
    values = np.array([[1.5, -0.0, np.inf, 2.0**-14]], dtype)
    got = content.as_floats(values, "a/0", "w")
    assert got.dtype == (np.float64 if dtype == ">f8" else np.float32) and got.dtype.isnative
    np.testing.assert_array_equal(got, values)
    assert np.signbit(got[0, 1]) and got.shape == (1, 4)


@pytest.mark.parametrize("dtype", ["i4", "c8", "?", "S3", np.longdouble])
def test_other_numbers_are_refused(dtype):
    with pytest.raises(FormatError, match="w: array 'a/0' has the type"):
        content.as_floats(np.zeros(2, dtype), "a/0", "w")


def test_no_arrays_are_noted():
    assert gather({}).notes == ["holds no weights"]
    assert content.describe(Weights("n", [], [], True)) == (
        '{"version": 1, "net": "n", "layers": [], "owners_only": true}'
    )
