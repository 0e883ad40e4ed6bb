"""InnerProduct against sums written out, its derivative, and its refusals."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.layers.base import layer_class
from minidl.layers.context import Context
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import bind, build, make_spec, run
from tests.support import relative_error

IMAGES = (3, 2, 4, 5)

CASES = {
    "images": (IMAGES, dict(num_output=6), (3, 6)),
    "stored the other way": (IMAGES, dict(num_output=6, transpose=True), (3, 6)),
    "no bias": (IMAGES, dict(num_output=6, bias_term=False), (3, 6)),
    "from a later axis": (IMAGES, dict(num_output=6, axis=2), (3, 2, 6)),
    "the last axis alone": (IMAGES, dict(num_output=6, axis=-1, transpose=True), (3, 2, 4, 6)),
    "all of it": (IMAGES, dict(num_output=6, axis=0), (6,)),
    "one row": ((1, 7), dict(num_output=4), (1, 4)),
    "one output": ((5, 7), dict(num_output=1), (5, 1)),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request):
    shape, keywords, top = request.param
    x = np.random.default_rng(7).standard_normal(shape)
    return build("InnerProduct", **keywords), x, keywords, top


def test_forward_follows_the_definition(case):
    layer, x, keywords, shape = case
    _, (y,) = run(layer, x)
    assert y.shape == shape
    weight = layer.weight.data.T if keywords.get("transpose") else layer.weight.data
    rows = x.reshape(-1, weight.shape[1])
    expected = np.empty((len(rows), len(weight)))
    for m, n in np.ndindex(expected.shape):
        expected[m, n] = sum(w * v for w, v in zip(weight[n], rows[m], strict=True))
        if keywords.get("bias_term", True):
            expected[m, n] += layer.bias.data[n]
    np.testing.assert_allclose(y.data, expected.reshape(shape), rtol=1e-12, atol=1e-13)


def test_backward_is_the_derivative_of_forward(case):
    layer, x, _, _ = case
    check_backward(layer, x)


def test_float32_stays_close_to_float64(case):
    layer, x, keywords, _ = case
    _, (y,) = run(layer, x)
    single = build("InnerProduct", dtype=np.float32, **keywords)
    _, (z,) = run(single, x.astype(np.float32), params=[p.data for p in layer.params])
    assert z.data.dtype == np.float32
    assert relative_error(z.data, y.data) < 1e-6


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("rows", [1, 2, 4])
def test_a_large_gradient_is_made_a_few_rows_at_a_time(transpose, rows):
    x = np.random.default_rng(3).standard_normal((5, 7))
    keywords = dict(num_output=9, transpose=transpose)
    columns = 9 if transpose else 7
    spec = make_spec("InnerProduct", **keywords)
    context = Context(dtype=np.float64, workspace_limit=rows * columns * 8 + 8)
    layer = layer_class(spec)(spec, context)
    assert layer.buffers(x.shape)["gradient"].shape == (rows, columns)
    check_backward(layer, x)


@pytest.mark.parametrize("transpose", [False, True])
def test_a_gradient_that_counts_as_zero_is_overwritten_and_then_added_to(transpose):
    layer = build("InnerProduct", num_output=4, transpose=transpose)
    bottom, top = run(layer, np.random.default_rng(3).standard_normal((5, 7)))
    top[0].diff[...] = dy = np.random.default_rng(4).standard_normal((5, 4))
    for param in layer.params:
        param.diff.fill(np.nan)
        param.gradient.fresh = True
    expected = bottom[0].data.T @ dy if transpose else dy.T @ bottom[0].data
    for times in (1, 2):
        layer.backward(top, [True], bottom)
        np.testing.assert_allclose(layer.weight.diff, times * expected, rtol=1e-13)
        np.testing.assert_allclose(layer.bias.diff, times * dy.sum(axis=0), rtol=1e-13)


def test_caffe_gemm():
    """The product that Caffe's own test multiplies in all four forms."""
    a = np.arange(1.0, 7).reshape(2, 3)
    b = np.arange(1.0, 13).reshape(3, 4)
    expected = [[38, 44, 50, 56], [83, 98, 113, 128]]
    for transpose, weight in ((True, b), (False, b.T)):
        layer = build("InnerProduct", num_output=4, transpose=transpose, bias_term=False)
        _, (y,) = run(layer, a, params=[weight])
        np.testing.assert_array_equal(y.data, expected)


@pytest.mark.parametrize("frozen", ["weight", "bias"])
def test_a_frozen_parameter_gets_no_gradient(frozen):
    layer = build("InnerProduct", num_output=3)
    bottom, top = bind(layer, np.random.default_rng(1).standard_normal(IMAGES))
    getattr(layer, frozen).wanted = False
    layer.forward(bottom, top)
    top[0].diff[...] = 1
    layer.backward(top, [False], bottom)
    assert np.all(getattr(layer, frozen).diff == 0) and np.all(bottom[0].diff == 0)
    assert np.all(getattr(layer, "bias" if frozen == "weight" else "weight").diff != 0)


def test_parameters_have_caffes_shapes_and_order():
    assert build("InnerProduct", num_output=6).param_shapes(IMAGES) == {
        "weight": (6, 40),
        "bias": (6,),
    }
    bare = build("InnerProduct", num_output=6, transpose=True, bias_term=False)
    assert bare.param_shapes(IMAGES) == {"weight": (40, 6)}
    assert list(bare.fillers) == ["weight"]


def test_multiply_adds_of_lenets_first_inner_product():
    layer = build("InnerProduct", num_output=500)
    assert layer.multiply_adds((64, 50, 4, 4)) == 64 * 800 * 500


def test_no_outputs_are_refused_and_the_layer_named():
    with pytest.raises(LayerConfigError, match="InnerProduct layer 'ip1': num_output is 0"):
        build("InnerProduct", name="ip1")


@pytest.mark.parametrize(
    "shape, message",
    [
        ((4, 5), r"inner_product_param.axis is 2, but the bottom \(4, 5\) has 2 axes"),
        ((4, 5, 0), r"the bottom is empty: \(4, 5, 0\)"),
    ],
)
def test_bottoms_that_do_not_fit_are_refused_with_their_shape(shape, message):
    layer = build("InnerProduct", name="ip1", num_output=3, axis=2)
    with pytest.raises(LayerConfigError, match=f"InnerProduct layer 'ip1': {message}"):
        layer.top_shapes(shape)


def test_weights_are_brought_to_length_1_where_they_are_stored():
    rng = np.random.default_rng(5)
    x, w = rng.standard_normal((3, 4)), rng.standard_normal((2, 4)) * [[3], [0.01]]
    layer = build("InnerProduct", num_output=2, bias_term=False, normalize=True)
    bottom, (y,) = run(layer, x, params=[w])
    unit = np.array([row / (sum(v * v for v in row) + 1e-6) ** 0.5 for row in w])
    np.testing.assert_allclose(layer.weight.data, unit, rtol=1e-12)
    np.testing.assert_allclose(y.data, x @ unit.T, rtol=1e-12)
    y.diff[...] = dy = rng.standard_normal((3, 2))
    layer.backward([y], [True], bottom)
    np.testing.assert_allclose(layer.weight.diff, dy.T @ x, rtol=1e-12)
    np.testing.assert_allclose(bottom[0].diff, dy @ unit, rtol=1e-12)


def test_weights_of_length_1_are_no_engines_work_and_not_stored_the_other_way():
    layer = build("InnerProduct", num_output=2, normalize=True)
    assert layer.op is None
    with pytest.raises(LayerConfigError, match="both normalize and transpose"):
        build("InnerProduct", num_output=2, normalize=True, transpose=True)
