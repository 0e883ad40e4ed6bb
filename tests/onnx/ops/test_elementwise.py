"""Activations, Power, Eltwise, Scale, Bias and Dropout in ONNX."""

import numpy as np
import pytest

from tests.onnx.support import check, check_layer, layer_net, operators, outputs_there

IMAGES = (2, 3, 4, 5)


@pytest.mark.parametrize("slope", [0, 0.25, 1.5, -0.5])
def test_relu(slope):
    check_layer("ReLU", IMAGES, negative_slope=slope)


@pytest.mark.parametrize("type", ["Sigmoid", "TanH", "Dropout"])
def test_plain_functions(type):
    check_layer(type, (2, 5))


POWERS = {
    "identity": ([], dict()),
    "linear": (["Mul", "Add"], dict(scale=-0.5, shift=2)),
    "scaled": (["Mul"], dict(scale=3)),
    "square": (["Pow"], dict(power=2)),
    "cube": (["Mul", "Add", "Pow"], dict(power=3, scale=2, shift=-1)),
    "constant 1": (["Shape", "ConstantOfShape"], dict(power=0)),
    "constant": (["Shape", "ConstantOfShape"], dict(scale=0, shift=3, power=2)),
}


@pytest.mark.parametrize("expected, keywords", POWERS.values(), ids=POWERS.keys())
def test_power(expected, keywords):
    net = check_layer("Power", (3, 4), **keywords)
    assert operators(net) == (expected or ["Identity"])


def test_a_constant_power_does_not_look_at_its_bottom():
    net = layer_net("Power", (2, 2), power=0)
    (y,) = outputs_there(net, {"x0": np.full((2, 2), np.nan)}).values()
    assert (y == 1).all()


@pytest.mark.parametrize(
    "keywords",
    [
        dict(),
        dict(coeff=[2, -1, 0.5]),
        dict(coeff=[1, -1, 1]),
        dict(operation="PROD"),
        dict(operation="MAX"),
    ],
)
def test_eltwise(keywords):
    check_layer("Eltwise", *[IMAGES] * 3, **keywords)


@pytest.mark.parametrize("axis, num_axes", [(1, 1), (0, -1), (-1, 1), (1, 2), (2, -1), (0, 0)])
def test_learned_operands_line_up_from_their_axis(axis, num_axes):
    check_layer("Scale", IMAGES, axis=axis, num_axes=num_axes, bias_term=True)
    check_layer("Scale", IMAGES, axis=axis, num_axes=num_axes)
    check_layer("Bias", IMAGES, axis=axis, num_axes=num_axes)


@pytest.mark.parametrize(
    "axis, other", [(1, (3,)), (0, (2, 3)), (1, (3, 4, 5)), (2, (4,)), (0, ())]
)
@pytest.mark.parametrize("type", ["Scale", "Bias"])
def test_given_operands_line_up_from_their_axis(type, axis, other):
    check(layer_net(type, IMAGES, other, axis=axis))
