"""The checker itself: it passes what is right and names what is wrong."""

import numpy as np
import pytest

from minidl import schema
from minidl.context import Context
from minidl.layers.base import Layer
from minidl.testing import gradcheck
from minidl.testing.harness import make_spec


class Cube(Layer):
    """y = x**3 * w, with one deliberate fault where asked for."""

    type = "Cube"
    fault = ""

    def top_shapes(self, bottom):
        return (bottom,)

    def param_shapes(self, bottom):
        return {"weight": (1,)}

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data ** 3 * self.weight.data

    def backward(self, top, wanted, bottom):
        x, dy, w = bottom[0].data, top[0].diff, self.weight.data
        if wanted[0]:
            dx = 3 * x**2 * w * dy
            if self.fault == "factor":
                dx *= 2
            if self.fault == "one element":
                dx[1, 2] += 0.01
            if self.fault == "adds to the diff":
                dx = dx + bottom[0].diff
            bottom[0].diff[...] = dx
        dw = (x**3 * dy).sum()
        if self.fault == "overwrites the param diff":
            self.weight.diff[...] = dw
        else:
            self.weight.diff += dw


class Absolute(Cube):
    """y = |x|: a corner at 0, where any slope between -1 and 1 is right."""

    slope = 0.0

    def param_shapes(self, bottom):
        return {}

    def forward(self, bottom, top):
        np.abs(bottom[0].data, out=top[0].data)

    def backward(self, top, wanted, bottom):
        x = bottom[0].data
        bottom[0].diff[...] = top[0].diff * np.where(x == 0, self.slope, np.sign(x))


def make(cls, **attributes):
    spec = schema.LayerParameter(name="layer", type="Cube", bottom=["x0"], top=["y0"])
    layer = cls(spec, Context(dtype=np.float64, phase=schema.TRAIN))
    for name, value in attributes.items():
        setattr(layer, name, value)
    return layer


X = np.random.default_rng(5).standard_normal((3, 4))


def test_a_right_gradient_passes_and_every_element_is_looked_at():
    report = gradcheck.check_backward(make(Cube), X)
    assert (report.checked, report.kinks) == (13, 0)


@pytest.mark.parametrize(
    ("fault", "message"),
    {
        "factor": r"Cube: dx\[\d, \d\] is (.*), finite differences say .* \(ratio 2, .* 12 of 12",
        "one element": r"Cube: dx\[1, 2\] is .* 1 of 12 elements wrong",
        "adds to the diff": r"Cube: dx\[.* is nan",
        "overwrites the param diff": r"Cube: dweight\[0\]",
    }.items(),
)
def test_a_wrong_gradient_is_named_with_index_and_both_values(fault, message):
    with pytest.raises(AssertionError, match=message):
        gradcheck.check_backward(make(Cube, fault=fault), X)


def test_a_corner_is_counted_and_any_slope_between_both_sides_will_do():
    x = X.copy()
    x[0, 0] = 0
    assert gradcheck.check_backward(make(Absolute), x).kinks == 1
    with pytest.raises(AssertionError, match=r"dx\[0, 0\] is"):
        gradcheck.check_backward(make(Absolute, slope=1.5), x)


def test_a_limit_samples_elements():
    x = np.random.default_rng(1).standard_normal((20, 20))
    assert gradcheck.check(make(Cube), x, limit=30).checked == 31


def test_nothing_asked_for_is_an_error_not_a_pass():
    with pytest.raises(AssertionError, match="no gradient was asked for"):
        gradcheck.check_backward(make(Absolute), X, wanted=[False])


def test_a_spec_is_made_from_keywords():
    spec = make_spec("ReLU", name="r", negative_slope=0.5, in_place=True)
    assert list(spec.bottom) == list(spec.top) == ["x0"]
    assert spec.relu_param.negative_slope == 0.5
