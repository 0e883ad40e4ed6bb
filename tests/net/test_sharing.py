"""Nets that use the parameters of another: by layer, and by the names of parameters."""

import numpy as np
import pytest

from minidl import schema
from minidl.errors import WeightsError
from minidl.net import Net
from tests.places import on

pytestmark = on("cpu", "cuda:0/numpy")

INPUT = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 8 dim: 5 dim: 5 } } }
"""


def conv(name, bottom, top, *shared, mode="STRICT", rest=""):
    """A convolution of 8 maps; `shared` are the names of its weight and its bias."""
    param = "".join(f'param {{ name: "{n}" share_mode: {mode} }}\n' for n in shared)
    return f"""
    layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{top}" {param} {rest}
      convolution_param {{ num_output: 8 kernel_size: 3 pad: 1
        weight_filler {{ type: "gaussian" std: 0.2 }} bias_filler {{ type: "gaussian" }} }} }}"""


def net(*layers, phase=schema.TEST, seed=1, **options):
    return Net(INPUT + "".join(layers), phase=phase, seed=seed, **options)


def after(net, x):
    """Every output of `net` for `x`, copied."""
    return {name: np.array(net.device.to_host(y)) for name, y in net.forward(x=x).items()}


@pytest.fixture
def x():
    return np.random.default_rng(5).standard_normal((2, 8, 5, 5))


def two_in_a_row(shared=("w", "b"), seed=1):
    return net(conv("a", "x", "y", *shared), conv("b", "y", "z", *shared), seed=seed)


TRAINED = {
    "which it shares with a layer of both nets": [conv("a", "x", "y", "w", "b")],
    "which has no name in the other net": [conv("a", "x", "y")],
    "which only a layer of the other net has": [conv("other", "x", "y", "w", "b")],
    "behind the layer that shares it": [conv("b", "x", "y", "w", "b")],
}


@pytest.mark.parametrize("trained", TRAINED.values(), ids=TRAINED.keys())
def test_a_layer_of_one_net_alone_follows_the_name_of_its_parameter(trained, x):
    train, test = net(*trained, phase=schema.TRAIN), two_in_a_row(seed=7)
    test.share_with(train)
    (name,) = train.params
    for i in (0, 1):
        train.params[name][i].data[...] += 0.25
        for layer in "ab":
            np.testing.assert_array_equal(test.params[layer][i].data, train.params[name][i].data)
    alone = two_in_a_row(seed=9)
    for i in (0, 1):
        alone.params["a"][i].data[...] = train.params[name][i].data
    np.testing.assert_allclose(after(test, x)["z"], after(alone, x)["z"], rtol=1e-5, atol=1e-5)


def test_a_name_that_the_other_net_lacks_shares_nothing():
    train, test = net(conv("a", "x", "y", "v", "c")), two_in_a_row(("w",))
    other = net(conv("new", "x", "y", "w"), seed=3)
    before = other.params["new"][0].data.copy()
    other.share_with(train)
    np.testing.assert_array_equal(other.params["new"][0].data, before)
    test.share_with(net(conv("c", "x", "y"), seed=4))
    assert not any(p.borrowed for params in test.params.values() for p in params)


def test_layers_without_a_parameters_name_are_nobodys_partners():
    train, test = net(conv("a", "x", "y")), net(conv("a", "x", "y"), conv("b", "y", "z"), seed=3)
    before = test.params["b"][0].data.copy()
    test.share_with(train)
    np.testing.assert_array_equal(test.params["b"][0].data, before)


def test_layers_that_share_here_and_not_there_each_take_their_own(x):
    """As in Caffe. On engines the two may have come in different layouts."""
    train = two_in_a_row((), seed=1)
    expected = after(train, x)["z"]
    test = two_in_a_row(seed=3)
    after(test, x)
    test.share_with(train)
    np.testing.assert_allclose(after(test, x)["z"], expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(after(train, x)["z"], expected, rtol=1e-5, atol=1e-5)


def test_layers_that_share_still_add_to_one_gradient(x):
    loss = 'layer { name: "l" type: "Reduction" bottom: "z" top: "l" loss_weight: 1 }'
    layers = conv("a", "x", "y", "w", "b"), conv("b", "y", "z", "w", "b"), loss
    other, mine = (net(*layers, phase=schema.TRAIN, seed=s) for s in (1, 2))
    mine.share_with(other)
    gradients = []
    for one in (other, mine):
        one.clear_param_diffs()
        one.forward(x=x)
        one.backward()
        gradients.append([np.array(one.device.to_host(p.diff)) for p in one.learnable])
    for theirs, ours in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    assert mine.params["b"][0].gradient is mine.params["a"][0].gradient
    assert mine.params["a"][0].gradient is not other.params["a"][0].gradient


def product(name, bottom, outputs, mode):
    return f"""
    layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}"
      param {{ name: "w" share_mode: {mode} }}
      inner_product_param {{ num_output: {outputs} bias_term: false
        weight_filler {{ type: "gaussian" }} }} }}"""


def test_a_permissive_partner_may_have_another_shape():
    train = net(product("a", "x", 50, "STRICT"))  # 50 x 200
    wide = """layer { name: "t" type: "Tile" bottom: "x" top: "t" tile_param { tiles: 2 } }"""
    test = net(wide, product("c", "t", 25, "PERMISSIVE"), seed=2)  # 25 x 400
    test.share_with(train)
    np.testing.assert_array_equal(
        test.params["c"][0].data.ravel(), train.params["a"][0].data.ravel()
    )
    strict = net(wide, product("c", "t", 25, "STRICT"), seed=2)
    with pytest.raises(WeightsError, match=r"layer 'c' has .*25, 400(.|\n)*expected: .*50, 200"):
        strict.share_with(train)


def test_a_layer_of_the_same_name_but_no_parameters_is_no_partner(x):
    train = net(conv("a", "x", "y"))
    relu = net('layer { name: "a" type: "ReLU" bottom: "x" top: "y" }')
    relu.share_with(train)
    assert (after(relu, x)["y"] >= 0).all()
