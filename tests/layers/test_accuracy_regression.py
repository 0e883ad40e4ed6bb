"""AccuracyRegression against its definition, and its refusals."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.harness import build, run

RNG = np.random.default_rng(5)


def test_it_is_half_the_sum_of_absolute_differences_per_item():
    a, b = RNG.standard_normal((3, 4, 2)), RNG.standard_normal((3, 8))
    total = 0.0
    for x, y in zip(a.ravel(), b.ravel(), strict=True):
        total += abs(x - y)
    _, (top,) = run(build("AccuracyRegression"), a, b)
    np.testing.assert_allclose(top.data, total / 3 / 2, rtol=1e-13)


@pytest.mark.parametrize("shapes", [((3, 4), (2, 4)), ((3, 4), (3, 5)), ((), ())])
def test_bottoms_that_do_not_match_are_refused(shapes):
    with pytest.raises(LayerConfigError, match="AccuracyRegression layer 'acc'.*'x0' is"):
        build("AccuracyRegression", name="acc").top_shapes(*shapes)
