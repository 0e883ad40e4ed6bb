"""Embed against its definition, its derivative, and its refusals."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

WORDS = {
    "a sentence each": np.array([[3, 0, 3, 1], [2, 3, 0, 0]]),
    "one word": np.array([2]),
    "a word alone": np.array(1),
    "images of words": np.array([[[1, 1], [0, 3]]]),
}
words = pytest.mark.parametrize("words", WORDS.values(), ids=WORDS.keys())
biased = pytest.mark.parametrize("bias_term", [True, False])
WEIGHT = np.random.default_rng(7).standard_normal((4, 5))
BIAS = np.random.default_rng(8).standard_normal(5)


def case(bias_term):
    layer = build("Embed", num_output=5, input_dim=4, bias_term=bias_term)
    return layer, [WEIGHT, BIAS][: 1 + bias_term]


@words
@biased
def test_every_number_becomes_its_row(words, bias_term):
    layer, params = case(bias_term)
    _, (y,) = run(layer, words, params=params)
    assert y.shape == (*words.shape, 5)
    for index in np.ndindex(*words.shape):
        expected = WEIGHT[words[index]] + bias_term * BIAS
        np.testing.assert_array_equal(y.data[index], expected)


@words
@biased
def test_backward_is_the_derivative_of_forward(words, bias_term):
    layer, params = case(bias_term)
    check_backward(layer, words.astype(float), params=params)


@words
def test_a_row_gets_the_gradients_of_all_its_places_and_no_other(words):
    layer, params = case(bias_term=True)
    bottom, top = run(layer, words, params=params)
    top[0].diff[...] = dy = np.random.default_rng(9).standard_normal(top[0].shape)
    expected = np.zeros_like(WEIGHT)
    for index in np.ndindex(*words.shape):
        expected[words[index]] += dy[index]
    for param in layer.params:
        param.diff.fill(0)
    layer.backward(top, [False], bottom)
    np.testing.assert_allclose(layer.weight.diff, expected, rtol=1e-12)
    np.testing.assert_allclose(layer.bias.diff, dy.reshape(-1, 5).sum(axis=0), rtol=1e-12)


def test_the_numbers_themselves_get_no_gradient():
    assert build("Embed", num_output=5, input_dim=4).no_gradient == (0,)


@pytest.mark.parametrize("field", ["num_output", "input_dim"])
@pytest.mark.parametrize("given", [{}, {"num_output": 0, "input_dim": 0}], ids=["missing", "0"])
def test_both_sizes_have_to_be_given(field, given):
    sizes = {"num_output": 3, "input_dim": 4}
    del sizes[field]
    sizes |= {field: 0} if given else {}
    with pytest.raises(LayerConfigError, match=rf"Embed layer 'e'.*{field} is 0 or missing"):
        build("Embed", name="e", **sizes)
