"""DummyData: fillers, shapes in both forms, what is drawn and when."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.net import Net
from minidl.testing.harness import build, run


def test_dummy_data_is_zero_without_filler():
    _, (top,) = run(build("DummyData", shape=[dict(dim=[2, 3])]))
    np.testing.assert_array_equal(top.data, np.zeros((2, 3)))


def test_dummy_data_fills_each_top_its_own_way():
    layer = build(
        "DummyData",
        tops=2,
        shape=[dict(dim=[500]), dict(dim=[7])],
        data_filler=[dict(type="uniform", min=-3, max=-1), dict(type="constant", value=2.5)],
    )
    _, (random, constant) = run(layer)
    assert random.data.min() >= -3 and random.data.max() <= -1 and random.data.std() > 0.4
    np.testing.assert_array_equal(constant.data, np.full(7, 2.5))


def test_dummy_data_takes_one_filler_and_one_shape_for_all_tops():
    layer = build(
        "DummyData", tops=2, shape=[dict(dim=[9])], data_filler=[dict(type="gaussian", std=1)]
    )
    _, (one, other) = run(layer)
    assert one.shape == other.shape == (9,)
    assert not np.array_equal(one.data, other.data)


def test_dummy_data_takes_the_old_sizes():
    layer = build("DummyData", tops=2, num=[5], channels=[3, 1], height=[4], width=[2, 7])
    assert layer.top_shapes() == ((5, 3, 4, 2), (5, 1, 4, 7))


def test_dummy_constants_are_filled_once_and_random_tops_in_every_pass():
    fillers = [dict(type="constant", value=1), dict(type="gaussian", std=1)]
    layer = build("DummyData", tops=2, shape=[dict(dim=[6])], data_filler=fillers)
    _, (constant, random) = run(layer)
    first = random.data.copy()
    constant.data[2] = 8
    layer.ctx.streams.passes += 1
    layer.forward([], [constant, random])
    assert constant.data.tolist() == [1, 1, 8, 1, 1, 1]
    assert not np.array_equal(random.data, first)


def test_dummy_constants_fill_a_top_that_was_reshaped():
    layer = build("DummyData", shape=[dict(dim=[6])], data_filler=[dict(type="constant", value=4)])
    _, (top,) = run(layer)
    top.reshape(9)
    layer.forward([], [top])
    np.testing.assert_array_equal(top.data, np.full(9, 4.0))


WRONG_DUMMIES = {
    "no shape": (dict(), "0 shape entries for 1 tops"),
    "both forms": (dict(shape=[dict(dim=[1])], num=[3]), "both shape and num"),
    "a size short": (dict(num=[3], channels=[3], height=[3]), "0 width entries"),
    "two sizes for three tops": (
        dict(tops=3, num=[1, 2], channels=[1], height=[1], width=[1]),
        "2 num entries for 3 tops",
    ),
    "two fillers for three tops": (
        dict(tops=3, shape=[dict(dim=[1])], data_filler=[{}, {}]),
        "2 data_filler entries for 3 tops",
    ),
}


@pytest.mark.parametrize("keywords, message", WRONG_DUMMIES.values(), ids=WRONG_DUMMIES.keys())
def test_dummy_data_refuses(keywords, message):
    with pytest.raises(LayerConfigError, match=f"DummyData layer 'd': .*{message}"):
        build("DummyData", name="d", **keywords)


def test_dummy_data_names_the_layer_where_a_filler_is_unknown():
    layer = build("DummyData", name="d", shape=[dict(dim=[1])], data_filler=[dict(type="gausian")])
    with pytest.raises(
        LayerConfigError, match="DummyData layer 'd': unknown filler(.|\n)*gaussian"
    ):
        run(layer)


IN_PLACE = {
    "the top itself": "",
    "a view of it": 'layer { name: "f" type: "Flatten" bottom: "d" top: "f" }',
}


@pytest.mark.parametrize("between", IN_PLACE.values(), ids=IN_PLACE.keys())
def test_constants_that_are_overwritten_in_place_are_constant_in_the_next_pass(between):
    name = "f" if between else "d"
    net = Net(f"""
    layer {{ name: "d" type: "DummyData" top: "d" top: "kept" dummy_data_param {{
      shape {{ dim: 2 dim: 3 }} data_filler {{ type: "constant" value: 1.5 }} }} }}
    {between}
    layer {{ name: "double" type: "Power" bottom: "{name}" top: "{name}"
      power_param {{ scale: 2 }} }}""")
    for _ in range(3):
        net.forward()
        np.testing.assert_array_equal(net.blobs[name].data, np.full(net.blobs[name].shape, 3.0))
    net.blobs["kept"].data[...] = 7
    net.forward()
    assert (net.blobs["kept"].data == 7).all()
