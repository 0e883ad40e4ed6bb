"""Eltwise, Scale and Bias in ONNX."""

import pytest

from tests.onnx.support import check, check_layer, layer_net

IMAGES = (2, 3, 4, 5)


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
