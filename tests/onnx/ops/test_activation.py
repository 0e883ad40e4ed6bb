"""Functions of one number in ONNX."""

import numpy as np
import pytest

from tests.onnx.support import check, check_layer, layer_net, operators, skip_without

IMAGES = (2, 3, 4, 5)


@pytest.mark.parametrize("slope", [0, 0.25, 1.5, -0.5])
def test_relu(slope):
    check_layer("ReLU", IMAGES, negative_slope=slope)


CASES = [
    ("Sigmoid", ["Sigmoid"], {}),
    ("TanH", ["Tanh"], {}),
    ("Dropout", ["Identity"], {}),
    ("SpatialDropout", ["Identity"], {}),
    ("SpatialDropout", ["Mul"], dict(scale_test=True)),
    ("PReLU", ["PRelu"], {}),
    ("PReLU", ["PRelu"], dict(channel_shared=True)),
    ("ELU", ["Elu"], dict(alpha=0.5)),
    ("ELU", ["Elu"], dict(alpha=-0.5)),
    ("BNLL", ["Softplus"], {}),
    ("Swish", ["Sigmoid", "Mul"], {}),
    ("Swish", ["Mul", "Sigmoid", "Mul"], dict(beta=-1.5)),
    ("AbsVal", ["Abs"], {}),
    ("Clip", ["Clip"], dict(min=-0.5, max=0.25)),
    ("ReLU6", ["Clip"], {}),
    ("HardSwish", ["HardSwish"], {}),
    ("Threshold", ["Greater", "Cast"], dict(threshold=0.25)),
]


@pytest.mark.parametrize("shape", [(2, 5), (2, 3, 4), IMAGES])
@pytest.mark.parametrize("type, expected, keywords", CASES)
def test_one_function(type, expected, keywords, shape):
    skip_without(type)
    assert operators(check_layer(type, shape, **keywords)) == expected


@pytest.mark.parametrize("type", ["Sigmoid", "TanH", "BNLL", "Swish", "ELU"])
def test_large_numbers(type):
    skip_without(type)
    x = np.array([[-1000, -100, -20, 0, 20, 50]], np.float32)
    check(layer_net(type, x.shape), {"x0": x}, vary=False)
