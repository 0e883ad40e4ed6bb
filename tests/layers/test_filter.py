"""Filter: which items or channels pass, what follows it in a net, and its refusals."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.net import Net
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import bind, build


def random(*shape, seed):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


SIMPLE = """
force_backward: true
layer { name: "in" type: "Input" top: "x" top: "s"
  input_param { shape { dim: 4 dim: 3 } shape { dim: 4 } } }
layer { name: "f" type: "Filter" bottom: "x" bottom: "s" top: "y" }
"""


def test_items_that_do_not_pass_get_no_gradient():
    net = Net(SIMPLE)
    x = random(4, 3, seed=1)
    y = net.forward(x=x, s=np.array([0, 1, np.nan, 0]))["y"]
    np.testing.assert_array_equal(y, x[1:3])
    dx = net.backward(y=np.full((2, 3), 5))["x"]
    np.testing.assert_array_equal(dx, [[0] * 3, [5] * 3, [5] * 3, [0] * 3])


def test_no_item_may_pass_and_then_all_of_them():
    net = Net(SIMPLE)
    x = random(4, 3, seed=1)
    assert net.forward(x=x, s=np.zeros(4))["y"].shape == (0, 3)
    np.testing.assert_array_equal(net.forward(x=x, s=np.ones(4))["y"], x)


def test_another_batch_size_makes_all_items_count_again():
    net = Net(SIMPLE)
    net.forward(x=random(4, 3, seed=1), s=np.array([0, 1, 0, 0]))
    net.blobs["x"].reshape(2, 3)
    net.blobs["s"].reshape(2)
    net.reshape()
    assert net.blobs["y"].shape == (2, 3)
    x = random(2, 3, seed=2)
    np.testing.assert_array_equal(net.forward(x=x, s=np.array([0, 1]))["y"], x[1:])


TWICE = """
layer { name: "in" type: "Input" top: "x" top: "s"
  input_param { shape { dim: 4 dim: 3 } shape { dim: 4 } } }
layer { name: "f" type: "Filter" bottom: "x" bottom: "s" bottom: "s" top: "y" top: "u" }
layer { name: "less" type: "Power" bottom: "u" top: "v" power_param { shift: -1 } }
layer { name: "g" type: "Filter" bottom: "y" bottom: "v" top: "z" }
"""


def test_filters_may_follow_one_another():
    net, x = Net(TWICE), random(4, 3, seed=1)
    for s in ([0, 1, 2, 3], [2, 0, 0, 0], [1, 1, 1, 1], [2, 2, 1, 0]):
        expected = x[[n for n, value in enumerate(s) if value not in (0, 1)]]
        np.testing.assert_array_equal(net.forward(x=x, s=np.array(s))["z"], expected)


SAME = """
layer { name: "both" type: "Eltwise" bottom: "y" bottom: "z" top: "sum" }
"""


def test_until_it_is_asked_a_later_filter_counts_as_one_that_lets_all_pass():
    net, x = Net(TWICE + SAME), random(4, 3, seed=1)
    for s in ([2, 2, 2, 2], [2, 0, 0, 0], [0, 3, 2, 0]):
        expected = 2 * x[np.flatnonzero(s)]
        np.testing.assert_array_equal(net.forward(x=x, s=np.array(s))["sum"], expected)


FIXED = """
layer { name: "more" type: "Reshape" bottom: "y" top: "z"
  reshape_param { shape { dim: 2 dim: -1 } } }
"""


def test_a_layer_above_that_cannot_take_so_many_is_named():
    net = Net(SIMPLE + FIXED)
    with pytest.raises(LayerConfigError, match=r"Reshape layer 'more'.*\(1, 3\)"):
        net.forward(s=np.array([0, 1, 0, 0]))
    net.forward(s=np.array([0, 1, 0, 1]))


REFUSED = {
    "counts": (dict(tops=2), (), "2 bottoms and 2 tops"),
    "a wide selector": ({}, ((4, 3), (4, 2)), r"selector 'x1' has the shape \(4, 2\)"),
    "no items in it": ({}, ((4, 3), ()), r"selector 'x1' has the shape \(\)"),
    "another number": ({}, ((4, 3), (5,)), r"'x0' has the shape \(4, 3\), but.*\(5,\)"),
    "a single number": ({}, ((), (5,)), r"'x0' has the shape \(\)"),
}


@pytest.mark.parametrize("keywords, shapes, found", REFUSED.values(), ids=REFUSED.keys())
def test_what_does_not_fit_is_refused(keywords, shapes, found):
    with pytest.raises(LayerConfigError, match=rf"Filter layer 'f'.*{found}"):
        build("Filter", name="f", **keywords).top_shapes(*shapes)


LEARNED = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 4 dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "s" inner_product_param { num_output: 1 } }
layer { name: "f" type: "Filter" bottom: "s" bottom: "s" top: "y" loss_weight: 1 }
"""


def test_the_selector_gets_no_gradient():
    (node,) = (n for n in Net(LEARNED).blueprint.nodes if n.type == "Filter")
    assert node.wanted == (True, False)


# ------------------------------------------------------------------------- with a filter_param

CHANNELS = dict(bottoms=2, tops=2, num_output=3)
SHAPES = ((2, 5, 4, 3), (1, 5))
MASK = np.array([0, 1, 0.5, 0, -2])


def test_channels_of_every_bottom_pass_by_the_mask():
    layer = build("Filter", **CHANNELS)
    bottom, top = bind(layer, *(random(*s, seed=1) for s in SHAPES), params=[MASK])
    layer.forward(bottom, top)
    for x, y in zip(bottom, top, strict=True):
        np.testing.assert_array_equal(y.data, x.data[:, [1, 2, 4]])
    check_backward(layer, *(random(*s, seed=2) for s in SHAPES), params=[MASK])


def test_channels_may_lie_along_another_axis():
    layer = build("Filter", bottoms=1, tops=1, num_output=2, axis=-1)
    assert layer.top_shapes((4, 3, 5)) == ((4, 3, 2),)
    x = random(4, 3, 3, seed=1)
    bottom, top = bind(layer, x, params=[np.array([1, 0, 1])])
    layer.forward(bottom, top)
    np.testing.assert_array_equal(top[0].data, x[:, :, [0, 2]])
    check_backward(layer, x, params=[np.array([1.0, 0, 1])])


PRUNED = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 4 dim: 3 } } }
layer { name: "f" type: "Filter" bottom: "x" top: "y" filter_param { num_output: 2 } }
"""


def test_the_mask_begins_with_the_first_channels_and_is_a_parameter():
    net, x = Net(PRUNED), random(2, 4, 3, seed=1)
    np.testing.assert_array_equal(net.forward(x=x)["y"], x[:, :2])
    (mask,) = net.params["f"]
    assert mask.lr_mult == 0
    mask.data[...] = [0, 1, 0, 1]
    np.testing.assert_array_equal(net.forward(x=x)["y"], x[:, [1, 3]])


def test_a_mask_that_keeps_another_number_is_refused():
    net = Net(PRUNED)
    net.params["f"][0].data[...] = [0, 1, 1, 1]
    with pytest.raises(LayerConfigError, match="keeps 3 channels, and num_output is 2"):
        net.forward()


@pytest.mark.parametrize(
    "fields, shapes, found",
    [
        (dict(num_output=0), (), "num_output is 0"),
        (dict(num_output=6), SHAPES[:1], r"'x0' is \(2, 5, 4, 3\), and num_output 6"),
        (dict(num_output=2, bottoms=2, tops=2), ((2, 5), (2, 4)), r"'x1' is \(2, 4\)"),
        (dict(num_output=2, axis=2), ((2, 5),), "axis is 2"),
    ],
)
def test_channels_that_do_not_fit_are_refused(fields, shapes, found):
    with pytest.raises(LayerConfigError, match=found):
        build("Filter", **{"bottoms": 1, "tops": 1, **fields}).top_shapes(*shapes)
