"""Convolution against its definition, its derivative, Caffe's known answers and its refusals."""

import logging

import numpy as np
import pytest

from minidl import schema
from minidl.errors import LayerConfigError
from minidl.layers.base import layer_class
from minidl.layers.context import Context
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import bind, build, make_spec, run
from tests.support import relative_error

IMAGE = (2, 4, 7, 6)

CASES = {
    "plain": (IMAGE, dict(num_output=3, kernel_size=3)),
    "no bias": (IMAGE, dict(num_output=3, kernel_size=2, bias_term=False)),
    "one number for each axis": (
        IMAGE,
        dict(num_output=3, kernel_size=[3, 2], stride=[2, 1], pad=[1, 0], dilation=[1, 2]),
    ),
    "pairs": (
        IMAGE,
        dict(num_output=2, kernel_h=1, kernel_w=4, stride_h=3, stride_w=2, pad_w=2),
    ),
    "groups": (IMAGE, dict(num_output=6, kernel_size=3, pad=1, group=2)),
    "depthwise": (IMAGE, dict(num_output=4, kernel_size=3, stride=2, pad=1, group=4)),
    "depthwise, two filters each": (IMAGE, dict(num_output=8, kernel_size=2, group=4)),
    "1 x 1, a product for each image": (IMAGE, dict(num_output=6, kernel_size=1, group=2)),
    "1 x 1 on small maps": ((5, 4, 2, 3), dict(num_output=3, kernel_size=1)),
    "1 x 1 with a stride": (IMAGE, dict(num_output=3, kernel_size=1, stride=2)),
    "1 x 1 with padding": (IMAGE, dict(num_output=3, kernel_size=1, pad=1)),
    "as large as the image": (IMAGE, dict(num_output=3, kernel_h=7, kernel_w=6)),
    "kernel past the padding": ((2, 2, 4, 6), dict(num_output=3, kernel_size=[5, 7], stride=2)),
    "no spatial axis": ((3, 5), dict(num_output=4)),
    "one": ((2, 3, 9), dict(num_output=4, kernel_size=3, stride=2, dilation=2)),
    "three": ((1, 2, 4, 3, 5), dict(num_output=3, kernel_size=[2, 3, 2], pad=1, stride=[2, 1, 2])),
    "channels first": ((4, 5, 6), dict(num_output=3, kernel_size=3, axis=0)),
    "channels late": ((2, 3, 4, 6), dict(num_output=3, kernel_size=3, axis=-2)),
    "the general code by name": (IMAGE, dict(num_output=3, kernel_size=3, force_nd_im2col=True)),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request):
    shape, keywords = request.param
    x = np.random.default_rng(7).standard_normal(shape)
    return build("Convolution", **keywords), x, keywords


def each_axis(keywords, name, default, axes):
    """A field's value on every axis, from any of the ways in which it can be given."""
    if f"{name}_h" in keywords or f"{name}_w" in keywords:
        return [keywords.get(f"{name}_h", default), keywords.get(f"{name}_w", default)]
    value = keywords.get("kernel_size" if name == "kernel" else name, default)
    return value if isinstance(value, list) else [value] * axes


def by_definition(x, weight, bias, out, keywords):
    axis = keywords.get("axis", 1) % x.ndim
    x = x.reshape(-1, *x.shape[axis:])
    axes, group = x.ndim - 2, keywords.get("group", 1)
    stride, pad, dilation = (
        each_axis(keywords, *field, axes) for field in (("stride", 1), ("pad", 0), ("dilation", 1))
    )
    y = np.zeros((len(x), *out[axis:]))
    per_group = len(weight) // group
    for n, m, *o in np.ndindex(y.shape):
        for c, *t in np.ndindex(weight.shape[1:]):
            channel = m // per_group * weight.shape[1] + c
            place = [o[a] * stride[a] - pad[a] + t[a] * dilation[a] for a in range(axes)]
            if all(0 <= p < size for p, size in zip(place, x.shape[2:], strict=True)):
                y[(n, m, *o)] += weight[(m, c, *t)] * x[(n, channel, *place)]
        y[(n, m, *o)] += bias[m]
    return y.reshape(out)


def parameters(layer):
    values = [p.data for p in layer.params]
    return values if len(values) == 2 else [*values, np.zeros(len(values[0]))]


def test_forward_follows_the_definition(case):
    layer, x, keywords = case
    _, (y,) = run(layer, x)
    expected = by_definition(x, *parameters(layer), y.shape, keywords)
    np.testing.assert_allclose(y.data, expected, rtol=1e-12, atol=1e-12)


def test_backward_is_the_derivative_of_forward(case):
    layer, x, _ = case
    check_backward(layer, x, limit=120)


def test_float32_stays_close_to_float64(case):
    layer, x, keywords = case
    _, (y,) = run(layer, x)
    single = build("Convolution", dtype=np.float32, **keywords)
    _, (z,) = run(single, x.astype(np.float32), params=[p.data for p in layer.params])
    assert z.data.dtype == np.float32
    assert relative_error(z.data, y.data) < 1e-6


def with_limit(bytes, phase=schema.TRAIN, bottoms=1, **keywords):
    """A layer whose columns may take so many bytes."""
    spec = make_spec("Convolution", bottoms=bottoms, **keywords)
    context = Context(dtype=np.float64, phase=phase, workspace_limit=bytes)
    return layer_class(spec)(spec, context)


def passes(layer, *bottoms, backwards=1):
    bottom, top = run(layer, *bottoms)
    for i, blob in enumerate(top):
        blob.diff[...] = np.random.default_rng(i).standard_normal(blob.shape)
    for _ in range(backwards):
        layer.backward(top, [True] * len(bottom), bottom)
    arrays = [t.data for t in top] + [b.diff for b in bottom]
    return arrays, [p.diff for p in layer.params]


@pytest.mark.parametrize("keywords", [CASES["groups"][1], CASES["1 x 1 on small maps"][1]])
@pytest.mark.parametrize("limit", [1, 3 * 18 * 42 * 8, 10**7])
@pytest.mark.parametrize("phase", [schema.TRAIN, schema.TEST])
def test_the_room_for_columns_does_not_change_the_result(keywords, limit, phase):
    x = np.random.default_rng(3).standard_normal((7, 4, 7, 6))
    whole = passes(with_limit(10**9, **keywords), x)
    for got, expected in zip(passes(with_limit(limit, phase, **keywords), x), whole, strict=True):
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


def test_the_columns_stay_within_their_limit():
    keywords = dict(num_output=8, kernel_size=3, pad=1)
    image = 4 * 9 * 7 * 6 * 8
    for limit, images in ((1, 1), (image, 1), (3 * image, 3), (10 * image, 7)):
        buffers = with_limit(limit, **keywords).buffers((7, 4, 7, 6))
        assert buffers["columns"].shape == (images * image // 8,)


def test_backward_reads_the_bottom_as_it_is_then():
    """As in Caffe; the columns of forward are not kept, however small they are."""
    layer = build("Convolution", num_output=3, kernel_size=3)
    x, other = np.random.default_rng(3).standard_normal((2, *IMAGE))
    gradients = []
    for first, then in ((x, other), (other, other)):
        bottom, top = bind(layer, first)
        layer.forward(bottom, top)
        bottom[0].data[...] = then
        top[0].diff[...] = np.random.default_rng(4).standard_normal(top[0].shape)
        layer.backward(top, [True], bottom)
        gradients.append(np.array(layer.weight.diff))
    np.testing.assert_array_equal(*gradients)


def test_a_large_gradient_is_made_a_few_filters_at_a_time():
    keywords = dict(num_output=10, kernel_size=3, group=2)
    x = np.random.default_rng(3).standard_normal((2, 4, 5, 5))
    layer = with_limit(2 * 18 * 2 * 8, **keywords)
    assert layer.buffers(x.shape)["gradient"].shape == (2, 2, 18)  # of 5 filters a group
    expected = passes(with_limit(10**9, **keywords), x)[1]
    for a, b in zip(passes(layer, x)[1], expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11)


def test_backward_can_be_run_again():
    x = np.random.default_rng(3).standard_normal(IMAGE)
    once = passes(build("Convolution", num_output=3, kernel_size=3), x)
    twice = passes(build("Convolution", num_output=3, kernel_size=3), x, backwards=2)
    np.testing.assert_array_equal(twice[0][1], once[0][1])
    for a, b in zip(twice[1], once[1], strict=True):
        np.testing.assert_allclose(a, 2 * b, rtol=1e-12)


def test_several_bottoms_share_the_filters():
    rng = np.random.default_rng(5)
    x0, x1 = rng.standard_normal((2, *IMAGE))
    layer = build("Convolution", bottoms=2, num_output=3, kernel_size=3)
    check_backward(layer, x0, x1, limit=60)
    (y0, y1, *_), _ = passes(layer, x0, x1)
    alone = build("Convolution", num_output=3, kernel_size=3)
    for x, y in ((x0, y0), (x1, y1)):
        _, (expected,) = run(alone, x)
        np.testing.assert_allclose(y, expected.data, rtol=1e-12)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("frozen", ["weight", "bias"])
def test_a_frozen_parameter_gets_no_gradient(kernel, frozen):
    layer = build("Convolution", num_output=3, kernel_size=kernel)
    bottom, top = bind(layer, np.random.default_rng(1).standard_normal(IMAGE))
    getattr(layer, frozen).wanted = False
    layer.forward(bottom, top)
    top[0].diff[...] = 1
    layer.backward(top, [False], bottom)
    assert np.all(getattr(layer, frozen).diff == 0)
    assert np.all(getattr(layer, "bias" if frozen == "weight" else "weight").diff != 0)


# ------------------------------------------------------------------ Caffe's own tests


@pytest.mark.parametrize("num_output, group", [(4, 1), (3, 3)])
def test_caffe_setup(num_output, group):
    layer = build("Convolution", num_output=num_output, kernel_size=3, stride=2, group=group)
    assert layer.top_shapes((2, 3, 6, 4)) == ((2, num_output, 2, 1),)


def test_caffe_sobel():
    """A 3 x 3 Sobel filter is a column of 1 2 1 and then a row of -1 0 1."""
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 4))
    column, row = np.array([1.0, 2, 1]), np.array([-1.0, 0, 1])
    full = build("Convolution", num_output=1, kernel_size=3, stride=2, bias_term=False)
    down = build("Convolution", num_output=1, bias_term=False, kernel_size=[3, 1], stride=[2, 1])
    across = build("Convolution", num_output=1, bias_term=False, kernel_size=[1, 3], stride=[1, 2])
    _, (expected,) = run(full, x, params=[np.tile(np.outer(column, row), (1, 3, 1, 1))])
    _, (between,) = run(down, x, params=[np.tile(column[:, None], (1, 3, 1, 1))])
    _, (got,) = run(across, between.data, params=[row.reshape(1, 1, 1, 3)])
    np.testing.assert_allclose(got.data, expected.data, atol=1e-12)


def test_caffe_general_code_is_bit_equal_to_that_for_images():
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 4)).astype(np.float32)
    tops = []
    for general in (False, True):
        keywords = dict(num_output=4, kernel_size=3, stride=2, force_nd_im2col=general)
        tops.append(run(build("Convolution", dtype=np.float32, **keywords), x)[1][0].data)
    np.testing.assert_array_equal(*tops)


# ------------------------------------------------------------------ what it says about itself


def test_parameters_have_caffes_shapes_and_order():
    layer = build("Convolution", num_output=6, kernel_h=3, kernel_w=5, group=2)
    assert layer.param_shapes((1, 4, 9, 9)) == {"weight": (6, 2, 3, 5), "bias": (6,)}
    assert set(layer.fillers) == {"weight", "bias"}
    bare = build("Convolution", num_output=6, kernel_size=3, bias_term=False)
    assert list(bare.param_shapes((1, 4, 9, 9))) == ["weight"] and list(bare.fillers) == ["weight"]


def test_multiply_adds_of_lenets_second_convolution():
    layer = build("Convolution", num_output=50, kernel_size=5)
    assert layer.multiply_adds((64, 20, 12, 12)) == 64 * 50 * 8 * 8 * 20 * 25
    grouped = build("Convolution", num_output=50, kernel_size=5, group=10)
    assert grouped.multiply_adds((64, 20, 12, 12)) == 64 * 50 * 8 * 8 * 2 * 25


def test_cudnn_is_said_not_to_be_here_and_computed_all_the_same(caplog):
    with caplog.at_level(logging.WARNING, "minidl"):
        layer = build("Convolution", name="conv1", num_output=2, kernel_size=3, engine="CUDNN")
    assert [r.getMessage() for r in caplog.records] == [
        "Convolution layer 'conv1': engine CUDNN is not available, another one computes it"
    ]
    caplog.clear()
    build("Convolution", num_output=2, kernel_size=3, engine="CAFFE")
    assert not caplog.records
    run(layer, np.zeros(IMAGE))


@pytest.mark.parametrize(
    "keywords, message",
    [
        (dict(kernel_size=3), "num_output is 0 or missing"),
        (dict(num_output=5, kernel_size=3, group=2), "num_output is 5, group is 2"),
        (dict(num_output=5, kernel_size=3, group=0), "num_output is 5, group is 0"),
        (dict(num_output=2, kernel_size=0), "kernel_size is 0"),
        (dict(num_output=2, kernel_size=[3, 0]), "kernel_size is 3 x 0"),
        (dict(num_output=2, kernel_size=3, stride=0), "stride is 0"),
        (dict(num_output=2, kernel_size=3, dilation=0), "dilation is 0"),
        (dict(num_output=2, kernel_size=3, kernel_h=3), "both kernel_size and kernel_h are given"),
        (dict(num_output=2, kernel_size=3, pad=1, pad_w=1), "both pad and pad_w are given"),
        (dict(num_output=2, kernel_h=3), "kernel_h x kernel_w is 3 x 0"),
        (dict(num_output=2, kernel_size=3, stride_w=2), "stride_h x stride_w is 0 x 2"),
    ],
)
def test_bad_parameters_are_refused_and_name_the_layer(keywords, message):
    with pytest.raises(LayerConfigError, match=f"Convolution layer 'conv1': {message}"):
        build("Convolution", name="conv1", **keywords)


@pytest.mark.parametrize(
    "keywords, shape, message",
    [
        (dict(), IMAGE, "kernel_size is missing"),
        (dict(kernel_size=3, group=3), IMAGE, r"group is 3, but the bottom .* has 4 channels"),
        (dict(kernel_size=[3, 3, 3]), IMAGE, r"kernel 3 x 3 x 3 is for 3 axes, .* has 2 after"),
        (dict(kernel_size=3, stride=[1, 1]), (2, 3, 9), r"stride 1 x 1 is for 2 axes"),
        (dict(kernel_h=3, kernel_w=3), (2, 3, 9), r"kernel 3 x 3 is for 2 axes"),
        (dict(kernel_size=3, axis=4), IMAGE, r"convolution_param.axis is 4, but the bottom"),
        (dict(kernel_size=3), (0, 4, 7, 6), r"the bottom is empty: \(0, 4, 7, 6\)"),
        (
            dict(kernel_size=8, pad=[0, 1]),
            IMAGE,
            r"kernel 8 x 8 \(stride 1 x 1, pad 0 x 1, dilation 1 x 1\) leaves 0 x 1 of the "
            r"bottom's 7 x 6, shape \(2, 4, 7, 6\)",
        ),
    ],
)
def test_bottoms_that_do_not_fit_are_refused_with_their_sizes(keywords, shape, message):
    layer = build("Convolution", name="conv1", **{"num_output": 6, **keywords})
    with pytest.raises(LayerConfigError, match=f"Convolution layer 'conv1': {message}"):
        layer.top_shapes(shape)


def test_bottoms_of_two_shapes_are_refused():
    layer = build("Convolution", bottoms=2, num_output=2, kernel_size=3)
    with pytest.raises(
        LayerConfigError, match=r"'x1' is \(2, 4, 7, 7\), but 'x0' is \(2, 4, 7, 6\)"
    ):
        layer.top_shapes(IMAGE, (2, 4, 7, 7))
