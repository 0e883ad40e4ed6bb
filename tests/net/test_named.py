"""Names of a net's parts: which one was meant, and calls that take something else."""

import copy
import pickle

import numpy as np
import pytest

from minidl import TRAIN, Net
from minidl.errors import UsageError
from minidl.net.named import Named, blob_names, listed

NET = """
name: "small"
force_backward: true
layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "ip1" type: "InnerProduct" bottom: "data" top: "ip1"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "relu1" type: "ReLU" bottom: "ip1" top: "out" }
"""
X = np.random.default_rng(3).standard_normal((2, 3)).astype(np.float32)


@pytest.fixture
def net():
    return Net(NET, TRAIN, seed=1)


@pytest.mark.parametrize(
    "part, name, said",
    [
        ("blobs", "dta", "net 'small' has no blob 'dta'(.|\n)*did you mean 'data'"),
        ("blobs", "xyz", "has no blob 'xyz'\n  expected: data, ip1, out"),
        ("blobs", 1, "has no blob '1'(.|\n)*number 1 is 'ip1'"),
        ("blobs", None, "has no blob 'None'"),
        ("params", "ip2", "has no layer with parameters 'ip2'(.|\n)*did you mean 'ip1'"),
        ("params", "relu1", "net 'small': layer 'relu1' has no parameters"),
        ("layer_dict", "rellu1", "has no layer 'rellu1'(.|\n)*did you mean 'relu1'"),
    ],
)
def test_a_name_that_is_not_there_is_a_key_error_with_the_near_name(net, part, name, said):
    for kind in (UsageError, KeyError):
        with pytest.raises(kind, match=said):
            getattr(net, part)[name]


def test_the_rest_of_a_dict_is_a_dicts(net):
    assert list(net.blobs) == ["data", "ip1", "out"] and isinstance(net.blobs, dict)
    assert net.blobs.get("typo") is None and net.blobs.get("typo", 3) == 3
    assert "typo" not in net.blobs and "relu1" not in net.params
    with pytest.raises(KeyError):
        del net.blobs["typo"]
    plain = Named({"a": 1}, what="blob", of="a net")
    for made in (copy.copy(plain), copy.deepcopy(plain), pickle.loads(pickle.dumps(plain))):
        assert made == {"a": 1}


def test_blobs_stay_the_same_dict_when_the_net_is_reshaped(net):
    blobs = net.blobs
    net.forward(data=np.zeros((5, 3), np.float32))
    assert net.blobs is blobs and blobs["out"].data.shape == (5, 4)


ARRAY_CALLS = {
    "an array": (X, r"given an array of shape \(2, 3\)(.|\n)*fix: net.forward\(data=array\)"),
    "a list of arrays": ([X], r"given a list of other things(.|\n)*net.forward\(data=array\)"),
    "a dict": ({"data": X}, r"given a dict(.|\n)*net.forward\(\*\*inputs\)"),
    "a number": (3, r"given 3(.|\n)*net.forward\(data=array\)"),
    "one name": ("out", r"given the name 'out'(.|\n)*net.forward\(\['out'\]\)"),
}


@pytest.mark.parametrize("given, said", ARRAY_CALLS.values(), ids=ARRAY_CALLS.keys())
def test_what_is_no_list_of_names_gets_the_call_that_was_meant(net, given, said):
    for kind in (UsageError, TypeError):
        with pytest.raises(kind, match=said):
            net.forward(given)
    assert not net.blobs["out"].data.any(), "nothing has run"


@pytest.mark.parametrize("call", ["backward", "forward_all", "forward_backward_all"])
def test_other_calls_of_the_net_say_the_same(net, call):
    with pytest.raises(UsageError, match=rf"net.{call}\(\) was given an array"):
        getattr(net, call)(X)


def test_a_wrong_name_is_refused_before_anything_runs(net):
    net.blobs["data"].data[...] = X
    for call in (net.forward, net.forward_all):
        with pytest.raises(KeyError, match="no blob 'ip11'(.|\n)*did you mean 'ip1'"):
            call(["ip11"])
    assert not net.blobs["out"].data.any()


@pytest.mark.parametrize("names", [None, (), [], ["ip1"], ("ip1",), {"ip1"}, iter(["ip1"])])
def test_names_come_in_any_collection(net, names):
    expected = {"out", "ip1"} if names else {"out"}
    assert set(net.forward(names, data=X)) == expected


def test_a_net_without_inputs_is_helped_too():
    with pytest.raises(TypeError, match=r"fix: net.forward\(data=array\)"):
        blob_names(X, "net.forward", [])


def test_long_lists_are_cut():
    assert listed(["a"] * 1000).endswith("and 988 more")


def test_the_parameters_of_a_layer_are_a_list_and_say_so(net):
    params = net.params["ip1"]
    assert isinstance(params, list) and params[0].data.shape == (4, 3) and len(params[:1]) == 1
    with pytest.raises(AttributeError, match=r"list of parameters: params\[...\]\[0\].data"):
        params.data  # noqa: B018
    assert not hasattr(params, "shapes") and np.ndim(params[1].data) == 1
