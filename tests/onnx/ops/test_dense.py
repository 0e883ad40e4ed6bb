"""InnerProduct and Reduction in ONNX."""

import pytest

from tests.onnx.support import check_layer, operators


@pytest.mark.parametrize(
    "shape, axis", [((3, 4), 1), ((2, 3, 4), 1), ((2, 3, 4), 2), ((2, 3, 4), 0)]
)
@pytest.mark.parametrize("keywords", [dict(), dict(transpose=True), dict(bias_term=False)])
def test_inner_product(shape, axis, keywords):
    check_layer("InnerProduct", shape, num_output=5, axis=axis, **keywords)


def test_an_inner_product_with_weights_of_length_1():
    check_layer("InnerProduct", (3, 4), num_output=2, normalize=True)


def test_an_inner_product_of_rows_is_one_operator():
    assert operators(check_layer("InnerProduct", (3, 4), num_output=2, axis=-1)) == ["Gemm"]


@pytest.mark.parametrize("operation", ["SUM", "ASUM", "SUMSQ", "MEAN"])
@pytest.mark.parametrize("axis, coeff", [(0, 1), (1, 2), (-1, -0.5)])
def test_reduction(operation, axis, coeff):
    check_layer("Reduction", (2, 3, 4), operation=operation, axis=axis, coeff=coeff)
