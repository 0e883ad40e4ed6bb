"""Crop against its definition, its derivative, and its refusals."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

SHAPE = (2, 5, 7, 6)
CASES = {
    # second bottom, options, what is cut out
    "height and width": ((9, 9, 4, 3), {}, np.s_[:, :, 0:4, 0:3]),
    "one offset": ((2, 5, 4, 3), dict(offset=2), np.s_[:, :, 2:6, 2:5]),
    "an offset each": ((2, 5, 4, 3), dict(offset=[3, 1]), np.s_[:, :, 3:7, 1:4]),
    "channels too": ((1, 2, 4, 3), dict(axis=1, offset=[3, 0, 2]), np.s_[:, 3:5, 0:4, 2:5]),
    "all axes": ((1, 2, 4, 3), dict(axis=0, offset=1), np.s_[1:2, 1:3, 1:5, 1:4]),
    "the last axis": ((3, 1, 2, 5), dict(axis=-1, offset=1), np.s_[:, :, :, 1:6]),
    "nothing": (SHAPE, dict(axis=0), np.s_[:, :, :, :]),
}
cases = pytest.mark.parametrize("like, options, cut", CASES.values(), ids=CASES.keys())
X = np.random.default_rng(7).standard_normal(SHAPE)


@cases
def test_a_part_is_cut_out(like, options, cut):
    _, (y,) = run(build("Crop", **options), X, np.full(like, np.nan))
    np.testing.assert_array_equal(y.data, X[cut])


@cases
def test_the_gradient_goes_where_the_part_came_from(like, options, cut):
    layer = build("Crop", **options)
    bottom, top = run(layer, X, np.zeros(like))
    top[0].diff[...] = dy = np.random.default_rng(8).standard_normal(top[0].shape)
    for blob in bottom:
        blob.diff.fill(np.nan)
    layer.backward(top, [True, False], bottom)
    expected = np.zeros(SHAPE)
    expected[cut] = dy
    np.testing.assert_array_equal(bottom[0].diff, expected)
    assert np.isnan(bottom[1].diff).all(), "the size alone has no gradient"


def test_backward_is_the_derivative_of_forward():
    x = np.random.default_rng(7).standard_normal((1, 2, 4, 3))
    check_backward(build("Crop", offset=[1, 0]), x, np.zeros((1, 2, 2, 3)))


REFUSED = {
    "too far": ((2, 5, 4, 3), dict(offset=4), r"cut 4 from 4 on out of axis 2.*there are 7"),
    "too large": ((2, 5, 4, 7), {}, r"cut 7 from 0 on out of axis 3.*there are 6"),
    "offsets": ((2, 5, 4, 3), dict(offset=[1, 1, 1]), r"3 offsets to cut 2 axes"),
    "axes": ((4, 3), {}, r"\(2, 5, 7, 6\).*'x1' has \(4, 3\)"),
    "no axis": ((2, 5, 4, 3), dict(axis=4), r"axis is 4.*has 4 axes"),
}


@pytest.mark.parametrize("like, options, found", REFUSED.values(), ids=REFUSED.keys())
def test_what_does_not_fit_is_refused(like, options, found):
    with pytest.raises(LayerConfigError, match=rf"Crop layer 'c'.*{found}"):
        build("Crop", name="c", **options).top_shapes(SHAPE, like)
