"""Power and Eltwise against their definitions, their derivatives, and their refusals."""

import math

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.layers.context import Context
from minidl.layers.elementwise import Eltwise
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, make_spec, run

POWERS = {
    "identity": dict(),
    "linear": dict(scale=-0.5, shift=2),
    "shifted only": dict(shift=-1.5),
    "square": dict(power=2, scale=2, shift=1),
    "cube": dict(power=3, scale=-1.5),
    "inverse": dict(power=-1, scale=0.5, shift=0.25),
    "root": dict(power=0.5, scale=2, shift=1),
    "power 0": dict(power=0, scale=2, shift=1),
    "scale 0": dict(power=3, scale=0, shift=-2),
}


@pytest.fixture(params=POWERS.values(), ids=POWERS.keys())
def power(request):
    layer = build("Power", **request.param)
    (x,) = layer.sample_bottoms([(3, 2, 5)], np.random.default_rng(7))
    return layer, x, {"power": 1, "scale": 1, "shift": 0, **request.param}


def test_power_follows_its_definition(power):
    layer, x, p = power
    _, (y,) = run(layer, x)
    expected = [math.pow(p["shift"] + p["scale"] * v, p["power"]) for v in x.reshape(-1)]
    np.testing.assert_allclose(y.data.reshape(-1), expected, rtol=1e-12)


def test_power_backward_is_the_derivative_of_forward(power):
    layer, x, _ = power
    check_backward(layer, x)


def test_a_square_has_a_gradient_at_its_root():
    layer = build("Power", power=2, scale=2, shift=1)
    (x,), (y,) = run(layer, np.array([-0.5, 1.0]))
    y.diff[...] = [3, 5]
    layer.backward([y], [True], [x])
    np.testing.assert_array_equal(x.diff, [0, 60])


@pytest.mark.parametrize("power", [3, 2.5])
def test_powers_above_one_have_a_gradient_at_their_root(power):
    layer = build("Power", power=power)
    (x,), (y,) = run(layer, np.array([0.0, 4.0]))
    y.diff.fill(1)
    layer.backward([y], [True], [x])
    np.testing.assert_array_equal(x.diff, [0, power * 4 ** (power - 1)])


@pytest.mark.parametrize("params", [dict(power=0), dict(scale=0, shift=3)])
def test_a_constant_has_gradient_zero_whatever_lies_below(params):
    layer = build("Power", **params)
    (x,), (y,) = run(layer, np.array([np.nan, np.inf, 0, -2]))
    assert y.data.tolist() == [1] * 4 if "power" in params else [3] * 4
    y.diff[...] = [np.inf, np.nan, 1, 2]
    layer.backward([y], [True], [x])
    assert x.diff.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    "params, keeps",
    [
        (dict(scale=3), ()),
        (dict(power=0), ()),
        (dict(power=2, scale=0, shift=1), ()),
        (dict(power=2), ("bottom",)),
        (dict(power=-0.5), ("bottom",)),
    ],
)
def test_power_keeps_its_bottom_only_where_the_gradient_reads_it(params, keeps):
    assert build("Power", **params).keeps == keeps


@pytest.mark.parametrize("params", [dict(scale=-2, shift=3), dict(power=0), dict()])
def test_power_in_place(params):
    x = np.array([[1.5, -2.0], [0.0, 4.0]])
    layer = build("Power", in_place=True, **params)
    (bottom,), (top,) = run(layer, x)
    slope = 0 if "power" in params else params.get("scale", 1)
    np.testing.assert_array_equal(
        top.data, 1 if "power" in params else slope * x + 3 * bool(params)
    )
    top.diff[...] = x
    layer.backward([top], [True], [bottom])
    np.testing.assert_array_equal(bottom.diff, slope * x)


def test_a_constant_that_is_no_number_is_refused():
    with pytest.raises(LayerConfigError, match=r"Power layer 'p'.*scale is 0.*-2\*\*0\.5 is nan"):
        build("Power", name="p", scale=0, shift=-2, power=0.5)
    with pytest.raises(LayerConfigError, match=r"0\*\*-1 is inf"):
        build("Power", scale=0, power=-1)


# ---------------------------------------------------------------------------------- Eltwise

A = np.array([[1.5, -2.0, 0.5], [0.0, 3.0, -1.0]])
B = np.array([[-0.5, -2.0, 4.0], [2.0, -1.5, -1.0]])
C = np.array([[2.5, -2.0, 4.0], [-3.0, 1.0, -1.0]])
DY = np.array([[2.0, -3.0, 5.0], [-7.0, 11.0, 13.0]])

ELTWISE = {
    "product of two": (2, dict(operation="PROD"), lambda x: x[0] * x[1]),
    "product of three": (3, dict(operation="PROD"), lambda x: x[0] * x[1] * x[2]),
    "sum": (3, dict(), lambda x: x[0] + x[1] + x[2]),
    "weighted sum": (3, dict(coeff=[2, -0.5, 3]), lambda x: 2 * x[0] - 0.5 * x[1] + 3 * x[2]),
    "difference": (2, dict(coeff=[1, -1]), lambda x: x[0] - x[1]),
    "first weighted": (3, dict(coeff=[4, 1, -1]), lambda x: 4 * x[0] + x[1] - x[2]),
    "maximum of two": (2, dict(operation="MAX"), lambda x: max(x)),
    "maximum of three": (3, dict(operation="MAX"), lambda x: max(x)),
}


@pytest.fixture(params=ELTWISE.values(), ids=ELTWISE.keys())
def eltwise(request):
    count, params, function = request.param
    return build("Eltwise", bottoms=count, **params), [A, B, C][:count], function


def test_eltwise_follows_its_definition(eltwise):
    layer, xs, function = eltwise
    _, (y,) = run(layer, *xs)
    expected = [function(values) for values in zip(*(x.reshape(-1) for x in xs), strict=True)]
    np.testing.assert_array_equal(y.data.reshape(-1), expected)


def test_eltwise_backward_is_the_derivative_of_forward(eltwise):
    layer, xs, _ = eltwise
    rng = np.random.default_rng(1)
    check_backward(layer, *(rng.standard_normal((2, 3, 4)) for _ in xs))


def backward(layer, *xs, wanted=None):
    """The gradients of all bottoms for the top's gradient DY; NaN where none was wanted."""
    bottom, top = run(layer, *xs)
    top[0].diff[...] = DY
    for blob in bottom:
        if blob is not top[0]:
            blob.diff.fill(np.nan)
    layer.backward(top, wanted or [True] * len(xs), bottom)
    return [blob.diff for blob in bottom]


def test_the_stable_product_has_a_gradient_at_zero():
    da, db, dc = backward(build("Eltwise", bottoms=3, operation="PROD"), A, B, C)
    np.testing.assert_array_equal(da, DY * B * C)
    np.testing.assert_array_equal(db, DY * A * C)
    np.testing.assert_array_equal(dc, DY * A * B)


def test_the_unstable_product_divides():
    layer = build("Eltwise", bottoms=3, operation="PROD", stable_prod_grad=False)
    assert layer.keeps == ("bottom", "top")
    xs = [np.random.default_rng(i).uniform(0.5, 2, (2, 3)) * [1, -1, 1] for i in range(3)]
    check_backward(layer, *xs)
    with np.errstate(invalid="ignore"):
        da, db, _ = backward(layer, A, B, C)
    assert np.isnan(da[1, 0])  # 0 / 0
    assert db[1, 0] == 0


def test_on_a_tie_bottom_1_beats_bottom_0_and_later_ones_must_be_larger():
    # c; all equal; b and c equal above a
    # b; a; all equal
    da, db, dc = backward(build("Eltwise", bottoms=3, operation="MAX"), A, B, C)
    np.testing.assert_array_equal(da, DY * [[0, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(db, DY * [[0, 1, 1], [1, 0, 1]])
    np.testing.assert_array_equal(dc, DY * [[1, 0, 0], [0, 0, 0]])


def test_a_maximum_does_not_hide_nan():
    nan = np.array([np.nan, 1.0, 1.0]), np.array([1.0, np.nan, 1.0]), np.array([1.0, 1.0, np.nan])
    _, (y,) = run(build("Eltwise", bottoms=3, operation="MAX"), *nan)
    assert np.isnan(y.data).all()


@pytest.mark.parametrize("coeff", [[], [1, -1, 2], [0.5, 1, 1], [-1, 3, 1]])
def test_a_sum_in_place_overwrites_bottom_0_and_gives_the_same_numbers(coeff):
    apart = build("Eltwise", bottoms=3, coeff=coeff)
    inside = build("Eltwise", bottoms=3, coeff=coeff, in_place=True)
    _, (y,) = run(apart, A, B, C)
    bottom, (z,) = run(inside, A, B, C)
    assert z is bottom[0]
    np.testing.assert_array_equal(z.data, y.data)
    np.testing.assert_array_equal(bottom[1].data, B)
    for got, expected in zip(backward(inside, A, B, C), backward(apart, A, B, C), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_sum_in_place_passes_nothing_on_where_nothing_is_wanted():
    layer = build("Eltwise", bottoms=3, coeff=[2, 3, 4], in_place=True)
    da, db, dc = backward(layer, A, B, C, wanted=[True, False, True])
    np.testing.assert_array_equal(da, 2 * DY)
    assert np.isnan(db).all()
    np.testing.assert_array_equal(dc, 4 * DY)


@pytest.mark.parametrize("operation", ["PROD", "MAX"])
def test_only_a_sum_works_in_place(operation):
    with pytest.raises(
        LayerConfigError, match=rf"Eltwise layer 'e'.*{operation} cannot.*'x0'(.|\n)*own"
    ):
        build("Eltwise", name="e", operation=operation, in_place=True)


def test_the_top_may_be_bottom_0_only():
    spec = make_spec("Eltwise", name="e")
    spec.top[0] = "x1"
    with pytest.raises(LayerConfigError, match=r"Eltwise layer 'e'.*'x1' is also bottom\[1\]"):
        Eltwise(spec, Context())


@pytest.mark.parametrize("operation", ["PROD", "MAX"])
def test_coefficients_belong_to_sums(operation):
    with pytest.raises(LayerConfigError, match=rf"Eltwise layer 'e'.*2 coeff.*{operation}"):
        build("Eltwise", name="e", operation=operation, coeff=[1, 2])


def test_there_are_as_many_coefficients_as_bottoms():
    with pytest.raises(LayerConfigError, match=r"Eltwise layer 'e'.*2 coeff for 3 bottoms"):
        build("Eltwise", name="e", bottoms=3, coeff=[1, 2])


def test_unequal_shapes_are_refused_with_both_names_and_shapes():
    layer = build("Eltwise", name="e", bottoms=3)
    with pytest.raises(
        LayerConfigError, match=r"'e'.*'x2' has shape \(2, 1\).*'x0' has \(2, 3\)(.|\n)*one shape"
    ):
        layer.top_shapes((2, 3), (2, 3), (2, 1))


def test_eltwise_reads_bottoms_again_only_for_products():
    keeps = {op: build("Eltwise", operation=op).keeps for op in ("PROD", "SUM", "MAX")}
    assert keeps == {"PROD": ("bottom",), "SUM": (), "MAX": ()}


def test_every_operation_counts_its_arithmetic():
    counts = [
        build("Eltwise", bottoms=3, operation=op).multiply_adds((2, 5), (2, 5), (2, 5))
        for op in ("PROD", "SUM", "MAX")
    ]
    assert counts == [20, 20, 0]
    assert [build("Power", power=p).multiply_adds((2, 5)) for p in (0, 1, 2)] == [0, 10, 10]
