"""Softmax against its definition, its derivative, and its refusals."""

import logging
import math

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

CASES = {
    "channels of images": ((2, 5, 3, 2), {}),
    "vectors": ((3, 7), {}),
    "last axis": ((2, 3, 4), dict(axis=-1)),
    "first axis": ((4, 3), dict(axis=0)),
    "one axis": ((5,), dict(axis=0)),
    "one class": ((3, 1, 2), {}),
}
cases = pytest.mark.parametrize("shape, options", CASES.values(), ids=CASES.keys())


def random(*shape, seed=7):
    return 2 * np.random.default_rng(seed).standard_normal(shape)


def softmax_by_definition(x, axis=1):
    y = np.empty_like(x)
    for index in np.ndindex(x.shape):
        line = list(index)
        line[axis] = slice(None)
        y[index] = math.exp(x[index]) / sum(math.exp(v) for v in x[tuple(line)])
    return y


@cases
@pytest.mark.parametrize("in_place", [False, True])
def test_forward_follows_the_definition(shape, options, in_place):
    x = random(*shape)
    _, (y,) = run(build("Softmax", in_place=in_place, **options), x)
    np.testing.assert_allclose(y.data, softmax_by_definition(x, **options), rtol=1e-13)


@cases
@pytest.mark.parametrize("in_place", [False, True])
def test_backward_is_the_derivative_of_forward(shape, options, in_place):
    check_backward(build("Softmax", in_place=in_place, **options), random(*shape))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scores_far_from_zero_do_not_overflow(dtype):
    _, (y,) = run(build("Softmax", dtype=dtype), [[3e4, 3e4, 0], [-3e4, -3e4, -6e4]])
    np.testing.assert_array_equal(y.data, [[0.5, 0.5, 0]] * 2)
    assert y.data.dtype == dtype


def test_a_common_shift_of_all_scores_changes_nothing():
    x = random(3, 4)
    _, (y,) = run(build("Softmax"), x)
    _, (shifted,) = run(build("Softmax"), x + 1000)
    np.testing.assert_allclose(shifted.data, y.data, rtol=1e-10)


def test_an_axis_outside_the_bottom_is_refused():
    with pytest.raises(LayerConfigError, match=r"Softmax layer 'prob': axis is 2.*\(3, 4\)"):
        build("Softmax", name="prob", axis=2).top_shapes((3, 4))


def test_an_axis_without_classes_is_refused():
    with pytest.raises(LayerConfigError, match=r"Softmax layer 'prob'.*\(3, 0\) has no class"):
        build("Softmax", name="prob").top_shapes((3, 0))


@pytest.mark.parametrize("type", ["Softmax", "SoftmaxWithLoss"])
def test_an_engine_that_is_not_here_is_warned_about(type, caplog):
    with caplog.at_level(logging.WARNING, "minidl"):
        build(type, name="prob", softmax_param=dict(engine="CAFFE"))
        assert not caplog.records
        build(type, name="prob", softmax_param=dict(engine="CUDNN"))
    assert f"{type} layer 'prob': engine CUDNN is not available" in caplog.text
