"""Unfolding against its definition, folding against being its transpose."""

import numpy as np
import pytest

from minidl import ops
from minidl.layers.columns import Unfolding

# channels, size, kernel, stride, pad, dilation
CASES = {
    "plain": (3, (7, 6), (3, 2), (1, 1), (0, 0), (1, 1)),
    "one channel": (1, (5, 8), (4, 3), (1, 1), (0, 0), (1, 1)),
    "padded": (2, (4, 5), (3, 3), (1, 1), (1, 2), (1, 1)),
    "strided, a rest left over": (2, (8, 9), (3, 2), (2, 3), (0, 1), (1, 1)),
    "stride over the kernel": (2, (9, 7), (2, 1), (3, 2), (0, 0), (1, 1)),
    "dilated": (2, (9, 8), (3, 2), (2, 1), (1, 0), (3, 2)),
    "reaching past the padding": (2, (4, 6), (5, 7), (2, 3), (0, 0), (1, 1)),
    "1 x 1": (3, (4, 5), (1, 1), (1, 1), (0, 0), (1, 1)),
    "1 x 1, padded": (2, (3, 4), (1, 1), (1, 1), (1, 0), (1, 1)),
    "1 x 3": (2, (4, 5), (1, 3), (1, 1), (0, 1), (1, 1)),
    "one axis": (3, (11,), (4,), (2,), (1,), (1,)),
    "three axes": (2, (4, 5, 6), (3, 2, 3), (1, 2, 2), (1, 0, 1), (1, 1, 2)),
    "no axes": (5, (), (), (), (), ()),
}
IMAGES = 3


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def unfolding(request):
    channels, size, *geometry = request.param
    axes = zip(size, *geometry, strict=True)
    return Unfolding(channels, size, *geometry, tuple(ops.conv_out(*axis) for axis in axes))


def unfold(unfolding, images):
    columns = np.full((unfolding.rows, len(images) * unfolding.positions), np.nan)
    workspace = np.full(unfolding.workspace(len(images)), np.nan)
    unfolding.unfold(np, images, columns, workspace)
    return columns


def by_definition(u, images):
    columns = np.zeros((u.channels, *u.kernel, len(images), *u.out))
    for index in np.ndindex(columns.shape):
        axes = len(u.size)
        channel, tap, image, out = index[0], index[1 : 1 + axes], index[1 + axes], index[2 + axes :]
        place = tuple(
            o * s - p + t * d
            for o, s, p, t, d in zip(out, u.stride, u.pad, tap, u.dilation, strict=True)
        )
        if all(0 <= i < size for i, size in zip(place, u.size, strict=True)):
            columns[index] = images[(image, channel, *place)]
    return columns.reshape(u.rows, -1)


def test_unfold_follows_the_definition(unfolding):
    images = np.random.default_rng(1).standard_normal((IMAGES, unfolding.channels, *unfolding.size))
    np.testing.assert_array_equal(unfold(unfolding, images), by_definition(unfolding, images))


def test_fold_is_the_transpose_of_unfold(unfolding):
    rng = np.random.default_rng(2)
    images = rng.standard_normal((IMAGES, unfolding.channels, *unfolding.size))
    columns = rng.standard_normal((unfolding.rows, IMAGES * unfolding.positions))
    folded = np.full_like(images, np.nan)
    workspace = np.full(unfolding.workspace(IMAGES), np.nan)
    before = columns.copy()
    unfolding.fold(columns, folded, workspace)
    np.testing.assert_allclose(np.vdot(folded, images), np.vdot(before, unfold(unfolding, images)))
    np.testing.assert_array_equal(columns, before)


def test_fold_puts_every_element_where_it_came_from(unfolding):
    ones = np.ones((unfolding.rows, unfolding.positions))
    folded = np.full((1, unfolding.channels, *unfolding.size), np.nan)
    unfolding.fold(ones, folded, np.full(unfolding.workspace(1), np.nan))
    taps = np.zeros_like(folded)
    for element in np.ndindex(*folded.shape):
        image = np.zeros_like(folded)
        image[element] = 1
        taps[element] = by_definition(unfolding, image).sum()
    np.testing.assert_array_equal(folded, taps)


def test_only_bare_images_are_their_own_columns():
    def pointwise(size, kernel, stride, pad):
        out = (ops.conv_out(size, kernel, stride, pad),)
        return Unfolding(2, (size,), (kernel,), (stride,), (pad,), (1,), out).pointwise

    assert pointwise(5, 1, 1, 0)
    assert not pointwise(5, 1, 2, 0)
    assert not pointwise(5, 1, 1, 1)
    assert not pointwise(5, 2, 1, 0)
    assert not pointwise(1, 1, 2, 0)  # stride 2 with one position: rare, so not looked for


@pytest.mark.parametrize(
    "limit, images, expected",
    [(10**6, 64, 64), (100 * 40, 64, 32), (100, 64, 1), (1, 64, 1), (100 * 63, 64, 32)],
)
def test_as_many_images_as_fit_in_turns_of_equal_size(limit, images, expected):
    unfolding = Unfolding(1, (14,), (5,), (1,), (0,), (1,), (10,))  # 50 elements an image
    assert unfolding.images_within(limit // 2, images) == expected
