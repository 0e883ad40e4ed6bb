"""Deconvolution against its definition, its derivative, and as the transpose of Convolution."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.layers.base import layer_class
from minidl.layers.context import Context
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import bind, build, make_spec, run

MAP = (2, 4, 3, 5)

CASES = {
    "plain": (MAP, dict(num_output=3, kernel_size=3)),
    "no bias": (MAP, dict(num_output=3, kernel_size=2, bias_term=False)),
    "strided, padded": (MAP, dict(num_output=3, kernel_size=[4, 3], stride=[2, 3], pad=[1, 2])),
    "dilated": (MAP, dict(num_output=3, kernel_size=3, dilation=2, stride=2)),
    "gaps between": (MAP, dict(num_output=2, kernel_size=2, stride=3)),
    "groups": (MAP, dict(num_output=6, kernel_size=3, group=2)),
    "each channel alone": (MAP, dict(num_output=4, kernel_size=4, stride=2, pad=1, group=4)),
    "1 x 1": (MAP, dict(num_output=3, kernel_size=1)),
    "no spatial axis": ((3, 5), dict(num_output=4)),
    "one": ((2, 3, 5), dict(num_output=2, kernel_size=3, stride=2)),
    "three": ((1, 2, 2, 3, 2), dict(num_output=2, kernel_size=[2, 3, 2], stride=2, pad=[0, 1, 0])),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request):
    shape, keywords = request.param
    x = np.random.default_rng(7).standard_normal(shape)
    return build("Deconvolution", **keywords), x, keywords


def by_definition(x, weight, bias, out, keywords):
    """Lay a filter down for every element of x."""
    axes, group = x.ndim - 2, keywords.get("group", 1)
    fields = (keywords.get(name, d) for name, d in (("stride", 1), ("pad", 0), ("dilation", 1)))
    stride, pad, dilation = (f if isinstance(f, list) else [f] * axes for f in fields)
    y = np.zeros(out) + bias.reshape(-1, *[1] * axes)
    per_group = x.shape[1] // group
    for n, c, *i in np.ndindex(x.shape):
        for m, *t in np.ndindex(weight.shape[1:]):
            channel = c // per_group * weight.shape[1] + m
            place = [i[a] * stride[a] + t[a] * dilation[a] - pad[a] for a in range(axes)]
            if all(0 <= p < size for p, size in zip(place, out[2:], strict=True)):
                y[(n, channel, *place)] += weight[(c, m, *t)] * x[(n, c, *i)]
    return y


def test_forward_follows_the_definition(case):
    layer, x, keywords = case
    _, (y,) = run(layer, x)
    weight = layer.params[0].data
    bias = layer.params[1].data if len(layer.params) == 2 else np.zeros(y.shape[1])
    expected = by_definition(x, weight, bias, y.shape, keywords)
    np.testing.assert_allclose(y.data, expected, rtol=1e-12, atol=1e-12)


def test_backward_is_the_derivative_of_forward(case):
    layer, x, _ = case
    check_backward(layer, x, limit=120)


@pytest.mark.parametrize("keywords", [CASES["groups"][1], CASES["strided, padded"][1]])
def test_it_is_the_transpose_of_convolution(keywords):
    """For all x and z: <deconvolution of x, z> = <x, convolution of z>, with the same filters."""
    rng = np.random.default_rng(4)
    x = rng.standard_normal(MAP)
    layer = build("Deconvolution", **keywords, bias_term=False)
    _, (y,) = run(layer, x)
    back = build("Convolution", **{**keywords, "num_output": MAP[1]}, bias_term=False)
    z = rng.standard_normal(y.shape)
    _, (convolved,) = run(back, z, params=[layer.weight.data])
    np.testing.assert_allclose(np.vdot(y.data, z), np.vdot(x, convolved.data), rtol=1e-12)


@pytest.mark.parametrize("limit", [1, 3 * 27 * 15 * 8])
def test_the_room_for_columns_does_not_change_the_result(limit):
    x = np.random.default_rng(3).standard_normal((7, 4, 3, 5))
    results = []
    for bytes in (limit, 10**9):
        spec = make_spec("Deconvolution", num_output=6, kernel_size=3, group=2)
        layer = layer_class(spec)(spec, Context(dtype=np.float64, workspace_limit=bytes))
        bottom, top = run(layer, x)
        top[0].diff[...] = np.random.default_rng(1).standard_normal(top[0].shape)
        layer.backward(top, [True], bottom)
        results.append([top[0].data, bottom[0].diff, *(p.diff for p in layer.params)])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


def test_several_bottoms_share_the_filters():
    x0, x1 = np.random.default_rng(5).standard_normal((2, *MAP))
    check_backward(build("Deconvolution", bottoms=2, num_output=3, kernel_size=2), x0, x1, limit=60)


def test_a_frozen_filter_gets_no_gradient():
    layer = build("Deconvolution", num_output=3, kernel_size=2)
    bottom, top = bind(layer, np.random.default_rng(1).standard_normal(MAP))
    layer.weight.wanted = False
    layer.forward(bottom, top)
    top[0].diff[...] = 1
    layer.backward(top, [True], bottom)
    assert np.all(layer.weight.diff == 0) and np.all(layer.bias.diff == 2 * 4 * 6)


# ------------------------------------------------------------------ Caffe's own tests


def test_caffe_setup():
    layer = build("Deconvolution", num_output=4, kernel_size=3, stride=2)
    assert layer.top_shapes((2, 3, 6, 4)) == ((2, 4, 13, 9),)
    assert layer.param_shapes((2, 3, 6, 4)) == {"weight": (3, 4, 3, 3), "bias": (4,)}


def test_caffe_simple():
    """Ones of 3 channels, filters of ones, bias 0.1: 3.1, more where two or four overlap."""
    layer = build("Deconvolution", num_output=4, kernel_size=3, stride=2)
    _, (y,) = run(layer, np.ones((2, 3, 6, 4)), params=[np.ones((3, 4, 3, 3)), np.full(4, 0.1)])
    rows = np.array([1 + (i % 2 == 0 and 0 < i < 12) for i in range(13)])
    columns = np.array([1 + (j % 2 == 0 and 0 < j < 8) for j in range(9)])
    expected = np.broadcast_to(3 * np.outer(rows, columns) + 0.1, y.shape)
    assert {3.1, 6.1, 12.1} == {round(float(v), 6) for v in y.data.ravel()}
    np.testing.assert_allclose(y.data, expected, rtol=1e-12)


def test_bilinear_filters_double_a_ramp():
    """The use that the class documents: a ramp stays a ramp, but for the border."""
    f = 2
    kernel, pad = 2 * f - f % 2, int(np.ceil((f - 1) / 2))
    tap = 1 - np.abs(np.arange(kernel) / f - (2 * f - 1 - f % 2) / (2 * f))
    layer = build(
        "Deconvolution",
        num_output=2,
        group=2,
        kernel_size=kernel,
        stride=f,
        pad=pad,
        bias_term=False,
    )
    x = np.broadcast_to(np.arange(5.0) * 2, (1, 2, 4, 5))
    _, (y,) = run(layer, x, params=[np.broadcast_to(np.outer(tap, tap), (2, 1, kernel, kernel))])
    assert y.shape == (1, 2, 8, 10)
    np.testing.assert_allclose(np.diff(y.data[:, :, 1:-1, 1:-1], axis=3), 1, rtol=1e-12)


def test_multiply_adds_count_every_filter_element_at_every_place():
    layer = build("Deconvolution", num_output=6, kernel_size=3, group=2)
    assert layer.multiply_adds((2, 4, 3, 5)) == 2 * 4 * 15 * 3 * 9


@pytest.mark.parametrize(
    "keywords, shape, message",
    [
        (dict(kernel_size=1, pad=2), MAP, r"kernel 1 x 1 .*pad 2 x 2.* leaves -1 x 1 of the"),
        (dict(kernel_size=3, group=3), MAP, r"group is 3, but the bottom .* has 4 channels"),
    ],
)
def test_bottoms_that_do_not_fit_are_refused(keywords, shape, message):
    layer = build("Deconvolution", name="up", num_output=3, **keywords)
    with pytest.raises(LayerConfigError, match=f"Deconvolution layer 'up': {message}"):
        layer.top_shapes(shape)
