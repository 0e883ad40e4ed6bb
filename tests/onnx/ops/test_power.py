"""Power, Exp and Log in ONNX."""

import numpy as np
import pytest

from tests.onnx.support import (
    check,
    check_layer,
    layer_net,
    needs,
    operators,
    outputs_there,
    random_inputs,
)

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


BASES = [dict(), dict(base=2), dict(base=0.5, scale=-2, shift=1), dict(scale=0.5), dict(shift=0.25)]


@needs("Exp")
@pytest.mark.parametrize("keywords", BASES)
def test_exp_and_log(keywords):
    check_layer("Exp", (3, 4), **keywords)
    net = layer_net("Log", (3, 4), **keywords)
    inner = np.abs(random_inputs(net)["x0"]) + 0.5
    x = (inner - keywords.get("shift", 0)) / keywords.get("scale", 1)
    check(net, {"x0": x.astype(np.float32)}, vary=False)
