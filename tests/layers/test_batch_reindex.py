"""BatchReindex against its definition, its derivative, and its refusals."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

SHAPES = {"images": (5, 2, 3, 2), "vectors": (5, 3), "numbers": (5,)}
shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
ORDER = np.array([4, 0, 4, 0, 1, 2])  # one twice, one never, as in Caffe's own test


def items(shape):
    return np.random.default_rng(7).standard_normal(shape)


@shapes
def test_items_are_picked_by_their_numbers(shape):
    x = items(shape)
    _, (y,) = run(build("BatchReindex"), x, ORDER)
    assert y.shape == (6, *shape[1:])
    for i, number in enumerate(ORDER):
        np.testing.assert_array_equal(y.data[i], x[number])


@shapes
def test_an_item_gets_the_gradients_of_all_its_copies(shape):
    layer = build("BatchReindex")
    bottom, top = run(layer, items(shape), ORDER)
    top[0].diff[...] = dy = np.random.default_rng(9).standard_normal(top[0].shape)
    bottom[0].diff.fill(np.nan)
    layer.backward(top, [True, False], bottom)
    expected = [dy[1] + dy[3], dy[4], dy[5], np.zeros(shape[1:]), dy[0] + dy[2]]
    np.testing.assert_allclose(bottom[0].diff, expected, rtol=1e-14)


@shapes
def test_backward_is_the_derivative_of_forward(shape):
    check_backward(build("BatchReindex"), items(shape), ORDER.astype(float))


def test_numbers_have_one_axis_and_there_are_items():
    layer = build("BatchReindex", name="b")
    with pytest.raises(LayerConfigError, match=r"layer 'b'.*'x1'.*\(6, 1\)(.|\n)*one axis"):
        layer.top_shapes((5, 3), (6, 1))
    for bottom in ((), (0, 3)):
        with pytest.raises(LayerConfigError, match=r"layer 'b'.*not empty|\(N, \.\.\.\)"):
            layer.top_shapes(bottom, (6,))
