"""The checker itself: it passes what is right and names what is wrong."""

import numpy as np
import pytest

from minidl import schema
from minidl.arrays.device import Device
from minidl.layers.base import Layer, scratch
from minidl.layers.context import Context
from minidl.testing import gradcheck
from minidl.testing.harness import bind, make_spec


class Cube(Layer):
    """y = x**3 * w, with one deliberate fault where asked for."""

    type = "Cube"
    keeps = ("bottom",)
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


def make(cls, device="cpu", **attributes):
    spec = schema.LayerParameter(name="layer", type="Cube", bottom=["x0"], top=["y0"])
    layer = cls(spec, Context(Device(device), np.float64, schema.TRAIN))
    for name, value in attributes.items():
        setattr(layer, name, value)
    return layer


X = np.random.default_rng(5).standard_normal((3, 4))


def test_a_right_gradient_passes_and_every_element_is_looked_at(device):
    report = gradcheck.check_backward(make(Cube, device), X)
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
def test_a_wrong_gradient_is_named_with_index_and_both_values(fault, message, device):
    with pytest.raises(AssertionError, match=message):
        gradcheck.check_backward(make(Cube, device, fault=fault), X)


def test_a_corner_is_counted_and_any_slope_between_both_sides_will_do():
    x = X.copy()
    x[0, 0] = 0
    assert gradcheck.check_backward(make(Absolute), x).kinks == 1
    with pytest.raises(AssertionError, match=r"dx\[0, 0\] is"):
        gradcheck.check_backward(make(Absolute, slope=1.5), x)


def test_a_limit_samples_elements():
    x = np.random.default_rng(1).standard_normal((20, 20))
    report = gradcheck.check(make(Cube), x, limit=30)
    assert (report.checked, report.elements) == (31, 401)


class Forgetful(Cube):
    """y = 2 x**2 with a negative part of slope 1: reads what it is told to read in backward."""

    reads = "bottom"

    def param_shapes(self, bottom):
        return {}

    def buffers(self, bottom):
        return {"noted": scratch(bottom), "ranks": scratch(bottom, np.int64)}

    def forward(self, bottom, top):
        x = bottom[0].data
        top[0].data[...] = np.where(x > 0, 2 * x**2, x)
        self.noted[...] = x
        self.ranks[...] = x > 0

    def backward(self, top, wanted, bottom):
        x, y, n = bottom[0].data, top[0].data, self.noted
        slope = {
            "bottom": lambda: np.where(x > 0, 4 * x, 1),
            "top": lambda: np.where(y > 0, 4 * np.sqrt(np.abs(y) / 2), 1),
            "scratch": lambda: np.where(n > 0, 4 * n, 1),
            "whole scratch": lambda: np.where(self.ranks == 1, 4 * x, 1),
            "top sign": lambda: np.where(y > 0, 4 * x, 1),
        }
        bottom[0].diff[...] = top[0].diff * slope[self.reads]()


@pytest.mark.parametrize(
    ("reads", "keeps"),
    [("bottom", ("bottom",)), ("top", ("top",)), ("top sign", ("bottom", "top sign"))],
)
def test_what_a_layer_declares_it_may_read(reads, keeps):
    gradcheck.check_backward(make(Forgetful, reads=reads, keeps=keeps), X)


@pytest.mark.parametrize(
    ("reads", "keeps"),
    [
        ("bottom", ()),
        ("bottom", ("top",)),
        ("top", ()),
        ("top", ("bottom",)),
        ("top", ("bottom", "top sign")),
        ("top sign", ("bottom",)),
        ("scratch", ("bottom", "top")),
        ("whole scratch", ("bottom", "top")),
    ],
)
def test_reading_what_was_not_declared_is_found(reads, keeps):
    assert gradcheck.check(make(Forgetful, reads=reads, keeps=keeps), X).mismatches


def test_undeclared_data_is_said_to_be_the_likely_cause():
    with pytest.raises(AssertionError, match=r"is nan, .*neither `keeps` nor a saved buffer"):
        gradcheck.check_backward(make(Cube, keeps=()), X)


def test_memory_that_a_kept_blob_shares_stays():
    in_place = make(Forgetful, reads="top", keeps=("top",), is_in_place=True)
    layer, bottom, top = in_place, *bind(in_place, X)
    layer.forward(bottom, top)
    values = top[0].data.copy()
    gradcheck.spoil(layer, bottom, top)
    assert top[0] is bottom[0] and np.array_equal(top[0].data, values)


def test_nothing_asked_for_is_an_error_not_a_pass():
    with pytest.raises(AssertionError, match="no gradient was asked for"):
        gradcheck.check_backward(make(Absolute), X, wanted=[False])


def test_a_spec_is_made_from_keywords():
    spec = make_spec("ReLU", name="r", negative_slope=0.5, in_place=True)
    assert list(spec.bottom) == list(spec.top) == ["x0"]
    assert spec.relu_param.negative_slope == 0.5
