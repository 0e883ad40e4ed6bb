"""Scale and Bias against their definitions, their derivatives, and their refusals."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import bind, build, run


def random(*shape, seed=7):
    return np.random.default_rng(seed).standard_normal(shape)


def backward(layer, bottom, top, dy):
    """Put dy into the top's gradient and run backward for all bottoms."""
    top[0].diff[...] = dy
    layer.backward(top, [True] * len(bottom), bottom)
    return [blob.diff for blob in bottom]


CASES = {
    # bottom, operand, options
    "channels": ((2, 3, 4, 5), (3,), {}),
    "vectors": ((4, 3), (3,), {}),
    "two axes": ((2, 3, 4, 5), (3, 4), dict(axis=1, num_axes=2)),
    "last axis": ((2, 3, 4), (4,), dict(axis=-1)),
    "all axes from one on": ((2, 3, 4, 2), (4, 2), dict(axis=2, num_axes=-1)),
    "everything": ((2, 3, 4), (2, 3, 4), dict(axis=0, num_axes=-1)),
    "items": ((4, 3, 2), (4,), dict(axis=0)),
    "one number": ((2, 3, 2), (), dict(num_axes=0)),
    "one number for a number": ((), (), dict(num_axes=0)),
}
cases = pytest.mark.parametrize("shape, operand, options", CASES.values(), ids=CASES.keys())


def spread(a, shape, axis=1, **_):
    """The operand repeated to the bottom's shape, one element at a time."""
    axis = axis % len(shape) if shape and a.ndim else 0
    full = np.empty(shape)
    for index in np.ndindex(*shape):
        full[index] = a[index[axis : axis + a.ndim]]
    return full


@cases
def test_scale_multiplies_and_adds_along_its_axes(shape, operand, options):
    x, s, b = random(*shape), random(*operand, seed=8), random(*operand, seed=9)
    _, (y,) = run(build("Scale", bias_term=True, **options), x, params=[s, b])
    expected = x * spread(s, shape, **options) + spread(b, shape, **options)
    np.testing.assert_allclose(y.data, expected, rtol=1e-14)


@cases
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("bias_term", [False, True])
def test_scale_backward_is_the_derivative_of_forward(shape, operand, options, in_place, bias_term):
    layer = build("Scale", bias_term=bias_term, in_place=in_place, **options)
    assert layer.param_shapes(shape) == dict.fromkeys(["scale", "bias"][: 1 + bias_term], operand)
    check_backward(layer, random(*shape))


@cases
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("bias_term", [False, True])
def test_scale_by_a_second_bottom(shape, operand, options, in_place, bias_term):
    options = {**options, "num_axes": 1}  # a second bottom brings its own number of axes
    x, s, b = random(*shape), random(*operand, seed=8), random(*operand, seed=9)
    layer = build("Scale", bottoms=2, tops=1, in_place=in_place, bias_term=bias_term, **options)
    assert layer.param_shapes(shape, operand) == ({"bias": operand} if bias_term else {})
    _, (y,) = run(layer, x, s, params=[b] * bias_term)
    expected = x * spread(s, shape, **options) + bias_term * spread(b, shape, **options)
    np.testing.assert_allclose(y.data, expected, rtol=1e-14)
    check_backward(layer, x, s)


def test_scale_in_place_survives_a_later_layer_that_overwrites_its_top():
    layer = build("Scale", bottoms=2, tops=1, in_place=True)
    x, s, dy = random(2, 3, 4), random(3, seed=8), random(2, 3, 4, seed=9)
    bottom, top = run(layer, x, s)
    top[0].data[...] = bottom[1].data[...] = 99
    assert layer.keeps == ()
    dx, ds = backward(layer, bottom, top, dy)
    np.testing.assert_allclose(dx, dy * s[:, None])
    np.testing.assert_allclose(ds, (dy * x).sum(axis=(0, 2)))


def test_scale_starts_at_one_and_its_bias_at_zero_unless_told():
    layer = build("Scale", bias_term=True)
    assert (layer.fillers["scale"].type, layer.fillers["scale"].value) == ("constant", 1)
    assert layer.fillers["bias"].value == 0
    told = build(
        "Scale", bias_term=True, filler=dict(type="msra"), bias_filler=dict(type="uniform")
    )
    assert (told.fillers["scale"].type, told.fillers["bias"].type) == ("msra", "uniform")
    assert build("Scale", filler=dict(std=2)).fillers["scale"].value == 0  # as in Caffe
    assert list(build("Scale", bottoms=2, tops=1, bias_term=True).fillers) == ["bias"]


@cases
@pytest.mark.parametrize("in_place", [False, True])
def test_bias_adds_along_its_axes(shape, operand, options, in_place):
    x, b = random(*shape), random(*operand, seed=9)
    layer = build("Bias", in_place=in_place, **options)
    assert layer.param_shapes(shape) == {"bias": operand}
    _, (y,) = run(layer, x, params=[b])
    np.testing.assert_allclose(y.data, x + spread(b, shape, **options), rtol=1e-14)
    check_backward(layer, x)


@cases
@pytest.mark.parametrize("in_place", [False, True])
def test_bias_from_a_second_bottom(shape, operand, options, in_place):
    x, b = random(*shape), random(*operand, seed=9)
    layer = build("Bias", bottoms=2, tops=1, in_place=in_place, **{**options, "num_axes": 1})
    assert layer.param_shapes(shape, operand) == {}
    _, (y,) = run(layer, x, b)
    np.testing.assert_allclose(y.data, x + spread(b, shape, **options), rtol=1e-14)
    check_backward(layer, x, b)


def test_bias_starts_at_its_filler():
    assert build("Bias", filler=dict(type="xavier")).fillers["bias"].type == "xavier"
    assert build("Bias", bottoms=2, tops=1).fillers == {}


@pytest.mark.parametrize("type", ["Scale", "Bias"])
def test_only_what_is_wanted_receives_a_gradient(type):
    layer = build(type, bottoms=2, tops=1)
    bottom, top = run(layer, random(2, 3), random(3))
    for wanted in ([True, False], [False, True]):
        for blob in bottom:
            blob.diff.fill(np.nan)
        top[0].diff[...] = 1
        layer.backward(top, wanted, bottom)
        assert [not np.isnan(blob.diff).any() for blob in bottom] == wanted


@pytest.mark.parametrize("type", ["Scale", "Bias"])
def test_a_frozen_parameter_receives_no_gradient(type):
    layer = build(type)
    bottom, top = bind(layer, random(2, 3))
    layer.forward(bottom, top)
    for param in layer.params:
        param.wanted = False
        param.diff.fill(5)
    backward(layer, bottom, top, 1)
    assert all((param.diff == 5).all() for param in layer.params)


MISFITS = {
    "too many axes": (dict(axis=2, num_axes=3), [(2, 3, 4, 5)], r"needs 3 axes.*\(2, 3, 4, 5\)"),
    "axis outside": (dict(axis=4), [(2, 3, 4, 5)], r"axis is 4.*\(2, 3, 4, 5\) has 4 axes"),
    "other sizes": ({}, [(2, 3, 4), (3, 5)], r"\(3, 5\).*axis 1.*\(2, 3, 4\).*has \(3, 4\)"),
    "sticks out": (dict(axis=-1), [(2, 3, 4), (4, 5)], r"needs 2 axes"),
}


@pytest.mark.parametrize("options, shapes, message", MISFITS.values(), ids=MISFITS.keys())
@pytest.mark.parametrize("type", ["Scale", "Bias"])
def test_an_operand_that_does_not_fit_is_refused(type, options, shapes, message):
    layer = build(type, name="s1", bottoms=len(shapes), tops=1, **options)
    with pytest.raises(LayerConfigError, match=rf"{type} layer 's1'.*{message}"):
        layer.top_shapes(*shapes)


@pytest.mark.parametrize("type", ["Scale", "Bias"])
def test_impossible_parameters_are_refused(type):
    with pytest.raises(LayerConfigError, match=f"{type} layer 's1': num_axes is -2"):
        build(type, name="s1", num_axes=-2)
