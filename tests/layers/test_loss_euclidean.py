"""EuclideanLoss against its definition, its derivative, and its refusals."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

CASES = {
    "images": ((4, 3, 2, 5), (4, 3, 2, 5)),
    "one item": ((1, 6), (1, 6)),
    "numbers": ((5,), (5, 1)),
    "other shapes": ((4, 3, 2), (4, 6)),
}
cases = pytest.mark.parametrize("a, b", CASES.values(), ids=CASES.keys())


def random(shape, seed):
    return np.random.default_rng(seed).standard_normal(shape)


@cases
@pytest.mark.parametrize("dtype, tolerance", [(np.float64, 1e-13), (np.float32, 1e-6)])
def test_the_loss_is_half_the_mean_squared_distance_of_items(a, b, dtype, tolerance):
    a, b = random(a, 7), random(b, 8)
    _, (loss,) = run(build("EuclideanLoss", dtype=dtype), a, b)
    distances = [
        sum((x - y) ** 2) for x, y in zip(a.reshape(len(a), -1), b.reshape(len(a), -1), strict=True)
    ]
    assert loss.data.shape == ()
    assert float(loss.data) == pytest.approx(np.mean(distances) / 2, rel=tolerance)


@cases
def test_backward_is_the_derivative_for_both_bottoms(a, b):
    check_backward(build("EuclideanLoss"), random(a, 7), random(b, 8))


@pytest.mark.parametrize("wanted", [[True, False], [False, True]])
def test_only_what_is_wanted_receives_a_gradient(wanted):
    layer = build("EuclideanLoss")
    bottom, top = run(layer, random((2, 3), 7), random((2, 3), 8))
    for blob in bottom:
        blob.diff.fill(np.nan)
    top[0].diff[...] = 0.5
    layer.backward(top, wanted, bottom)
    assert [not np.isnan(blob.diff).any() for blob in bottom] == wanted
    sign = 1 if wanted[0] else -1
    difference = bottom[0].data - bottom[1].data
    np.testing.assert_allclose(bottom[wanted.index(True)].diff, sign * difference * 0.5 / 2)


def test_items_of_different_sizes_are_refused():
    found = r"items of 'x0' \(2, 3\) have 3 elements, those of 'x1' \(2, 4\) have 4"
    with pytest.raises(LayerConfigError, match=f"EuclideanLoss layer 'loss': {found}"):
        build("EuclideanLoss", name="loss").top_shapes((2, 3), (2, 4))


def test_an_empty_batch_is_a_loss_of_zero():
    _, (loss,) = run(build("EuclideanLoss"), np.zeros((0, 3)), np.zeros((0, 3)))
    assert loss.data == 0
