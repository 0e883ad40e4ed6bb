"""ReLU, Sigmoid and TanH against their definitions, their derivatives, and their refusals."""

import logging
import math

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import bind, build, run

# Signed, and with a zero: the gradient of ReLU at 0 is a matter of agreement, not of calculus.
X = np.array([[-3.5, -0.25, 0.0], [0.125, 2.0, 40.0]])
DY = np.array([[2.0, -3.0, 5.0], [-7.0, 11.0, 13.0]])


def relu(slope):
    return lambda x: x if x > 0 else slope * x, lambda x: 1 if x > 0 else slope


CASES = {
    "ReLU": ("ReLU", {}, *relu(0)),
    "ReLU, leaky": ("ReLU", dict(negative_slope=0.25), *relu(0.25)),
    "ReLU, steeper below 0": ("ReLU", dict(negative_slope=3.0), *relu(3.0)),
    "ReLU, folded upwards": ("ReLU", dict(negative_slope=-0.5), *relu(-0.5)),
    "Sigmoid": (
        "Sigmoid",
        {},
        lambda x: 1 / (1 + math.exp(-x)),
        lambda x: math.exp(-x) / (1 + math.exp(-x)) ** 2,
    ),
    "TanH": (
        "TanH",
        {},
        lambda x: 1 - 2 / (math.exp(2 * x) + 1),
        lambda x: 4 / (math.exp(x) + math.exp(-x)) ** 2,
    ),
}
IN_PLACE = [name for name in CASES if name != "ReLU, folded upwards"]


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request):
    return request.param


def elementwise(function, x):
    return np.array([function(value) for value in x.reshape(-1)]).reshape(x.shape)


def test_forward_follows_the_definition(case):
    type, params, function, _ = case
    _, (y,) = run(build(type, **params), X)
    np.testing.assert_allclose(y.data, elementwise(function, X), rtol=1e-12, atol=1e-15)


def test_backward_follows_the_definition_at_zero_too(case):
    type, params, _, slope = case
    layer = build(type, **params)
    (x,), (y,) = run(layer, X)
    y.diff[...] = DY
    layer.backward([y], [True], [x])
    np.testing.assert_allclose(x.diff, DY * elementwise(slope, X), rtol=1e-12, atol=1e-15)


def test_backward_is_the_derivative_of_forward(case):
    type, params, _, _ = case
    x = np.random.default_rng(3).standard_normal((3, 2, 5))
    check_backward(build(type, **params), x)


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_gives_the_same_numbers(name):
    type, params, function, slope = CASES[name]
    layer = build(type, in_place=True, **params)
    (x,), (y,) = run(layer, X)
    assert y is x
    np.testing.assert_allclose(y.data, elementwise(function, X), rtol=1e-12, atol=1e-15)
    y.diff[...] = DY
    layer.backward([y], [True], [x])
    np.testing.assert_allclose(x.diff, DY * elementwise(slope, X), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("name", IN_PLACE)
def test_elements_are_worked_on_in_pieces_without_a_seam(name, in_place, monkeypatch):
    type, params, function, slope = CASES[name]
    monkeypatch.setattr("minidl.arrays.device.Cpu.piece", 4)  # of 6: one whole piece and a rest
    layer = build(type, in_place=in_place, **params)
    assert {buffer.shape for buffer in layer.buffers(X.shape).values()} == {(4,)}
    (x,), (y,) = run(layer, X)
    np.testing.assert_allclose(y.data, elementwise(function, X), rtol=1e-12, atol=1e-15)
    y.diff[...] = DY
    layer.backward([y], [True], [x])
    np.testing.assert_allclose(x.diff, DY * elementwise(slope, X), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("slope", [0.0, 0.1, 0.3, 1.7])
def test_relu_in_float32_rounds_only_the_product(slope):
    layer = build("ReLU", dtype=np.float32, negative_slope=slope)
    x = np.random.default_rng(5).standard_normal(200).astype(np.float32)
    (x,), (y,) = run(layer, x)
    y.diff[...] = dy = np.random.default_rng(6).standard_normal(200).astype(np.float32)
    layer.backward([y], [True], [x])
    slope = np.float32(slope)
    np.testing.assert_array_equal(y.data, np.where(x.data > 0, x.data, slope * x.data))
    np.testing.assert_array_equal(x.diff, np.where(x.data > 0, dy, slope * dy))


def test_relu_hides_neither_infinity_nor_nan():
    _, (y,) = run(build("ReLU"), np.array([-np.inf, np.nan, np.inf]))
    np.testing.assert_array_equal(y.data, [0, np.nan, np.inf])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("type, low", [("Sigmoid", 0.0), ("TanH", -1.0)])
def test_large_numbers_saturate_and_do_not_overflow(type, low, dtype):
    layer = build(type, dtype=dtype)
    (x,), (y,) = run(layer, np.array([-1e30, -1e4, 0, 1e4, 1e30]))
    np.testing.assert_array_equal(y.data, [low, low, (low + 1) / 2, 1, 1])
    y.diff.fill(1)
    layer.backward([y], [True], [x])
    assert x.diff[[0, 1, 3, 4]].tolist() == [0, 0, 0, 0]


def test_a_fold_keeps_its_bottom_and_is_refused_in_place():
    assert build("ReLU", negative_slope=-0.5).keeps == ("bottom",)
    assert build("ReLU", negative_slope=0.5).keeps == ("top sign",)
    with pytest.raises(
        LayerConfigError, match=r"ReLU layer 'fold'.*negative_slope is -0\.5.*'x0'(.|\n)*own"
    ):
        build("ReLU", name="fold", negative_slope=-0.5, in_place=True)


@pytest.mark.parametrize("type", ["ReLU", "Sigmoid", "TanH"])
def test_engine_cudnn_is_said_once_and_not_at_every_pass(type, caplog):
    with caplog.at_level(logging.WARNING, "minidl"):
        layer = build(type, name="act", engine="CUDNN")
        bottom, top = bind(layer, X)
        layer.forward(bottom, top)
        layer.forward(bottom, top)
    assert len(caplog.messages) == 1
    assert f"{type} layer 'act'" in caplog.messages[0]
    assert "CUDNN" in caplog.messages[0]


@pytest.mark.parametrize("engine", ["DEFAULT", "CAFFE"])
def test_other_engines_are_not_worth_a_word(engine, caplog):
    with caplog.at_level(logging.WARNING, "minidl"):
        build("ReLU", engine=engine)
    assert caplog.messages == []
