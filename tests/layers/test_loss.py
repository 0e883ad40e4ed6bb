"""What losses share: the divisor of the sum, and the old way to write it."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.harness import build

OUTER, INNER, VALID = 3, 5, 7

DIVISORS = {
    "by default": ({}, VALID),
    "full": (dict(normalization="FULL"), OUTER * INNER),
    "valid": (dict(normalization="VALID"), VALID),
    "batch size": (dict(normalization="BATCH_SIZE"), OUTER),
    "none": (dict(normalization="NONE"), 1),
    "old, true": (dict(normalize=True), VALID),
    "old, false": (dict(normalize=False), OUTER),
    "the new field wins": (dict(normalize=False, normalization="FULL"), OUTER * INNER),
}


@pytest.mark.parametrize("options, expected", DIVISORS.values(), ids=DIVISORS.keys())
def test_the_divisor_follows_normalization(options, expected):
    assert divisor(OUTER, VALID, **options) == expected
    assert divisor(OUTER, np.array(VALID), **options) == expected


def test_the_divisor_is_never_below_one():
    assert divisor(OUTER, 0) == divisor(OUTER, np.array(0)) == 1
    assert divisor(0, 0, normalization="BATCH_SIZE") == 1


def divisor(outer, valid, **options):
    number = np.full((), np.nan, np.float32)
    build("SoftmaxWithLoss", **options).fill_divisor(number, outer, INNER, valid)
    return number


def test_a_loss_is_a_loss_and_its_labels_have_no_gradient():
    layer = build("SoftmaxWithLoss")
    assert layer.loss and layer.no_gradient == (1,) and layer.bottoms == 2


@pytest.mark.parametrize("shapes", [((4, 3), (2, 3)), ((), (2,)), ((2,), ())])
def test_bottoms_that_do_not_begin_with_the_same_number_of_items_are_refused(shapes):
    with pytest.raises(
        LayerConfigError, match="EuclideanLoss layer 'loss': bottoms 'x0'"
    ) as caught:
        build("EuclideanLoss", name="loss").top_shapes(*shapes)
    assert all(str(shape) in str(caught.value) for shape in shapes)
