"""Columns by their definition; col2im is the transpose of im2col."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from minidl import ops
from tests.engines.cupy_kernels import host


@st.composite
def geometries(draw):
    """(images, channels, (size, kernel, stride, pad, dilation)), each of the five for two axes."""
    each = [(1, 7), (1, 3), (1, 3), (0, 2), (1, 2)]
    axes = [tuple(draw(st.integers(*bounds)) for _ in range(2)) for bounds in each]
    return draw(st.integers(1, 3)), draw(st.integers(1, 3)), axes


def places(axes):
    size, kernel, stride, pad, dilation = axes
    out = ops.Conv(1, kernel, stride, pad, dilation).out(size)
    assume(min(out) > 0)
    return out


def arguments(images, channels, axes, out):
    size, *rest = axes
    return images, channels, *size, *out, *(number for pair in rest for number in pair)


def im2col_by_definition(x, axes, out):
    """columns[c, i, j, n, u, v]"""
    (height, width), kernel, (sh, sw), (ph, pw), (dh, dw) = axes
    images, channels = x.shape[:2]
    columns = np.zeros((channels, *kernel, images, *out), x.dtype)
    for c, i, j, n, u, v in np.ndindex(columns.shape):
        y, z = u * sh - ph + i * dh, v * sw - pw + j * dw
        if 0 <= y < height and 0 <= z < width:
            columns[c, i, j, n, u, v] = x[n, c, y, z]
    return columns


@settings(max_examples=60)
@given(geometries(), st.sampled_from([{}, {"WIDE": 1}, {"NUMBER": "Half"}]))
def test_columns_hold_what_lies_under_each_tap_at_each_place(geometry, defines):
    images, channels, axes = geometry
    out = places(axes)
    x = np.random.default_rng(0).integers(-99, 99, (images, channels, *axes[0])).astype(np.float32)
    expected = im2col_by_definition(x, axes, out)
    dtype = np.float16 if "NUMBER" in defines else np.float32
    columns = np.full(expected.shape, np.nan, dtype)
    count = channels * images * out[0] * out[1]
    given_ = arguments(images, channels, axes, out)
    host.run("im2col", "im2col", count, x, columns, *given_, **defines)
    np.testing.assert_array_equal(columns, expected)


@settings(max_examples=60)
@given(geometries(), st.booleans())
def test_the_way_back_is_the_transpose(geometry, wide):
    """<columns, im2col x> = <col2im columns, x>: sums of small integers are exact."""
    images, channels, axes = geometry
    out, rng = places(axes), np.random.default_rng(0)
    x = rng.integers(-9, 9, (images, channels, *axes[0])).astype(np.float32)
    unfolded = im2col_by_definition(x, axes, out)
    columns = rng.integers(-9, 9, unfolded.shape).astype(np.float32)
    folded = np.full_like(x, np.nan)
    given_ = arguments(images, channels, axes, out)
    defines = {"WIDE": 1} if wide else {}
    host.run("im2col", "col2im", x.size, columns, folded, None, *given_, 0, 0.0, **defines)
    assert (columns * unfolded).sum() == (folded * x).sum()


@pytest.mark.parametrize("kind, expected", [(0, [[-1.5, 0.5]]), (1, [[-0.375, 0.5]])])
def test_bias_and_activation_come_last(kind, expected):
    columns, bias = np.array([[1, 2]], np.float32), np.array([-2.5, -1.5], np.float32)
    image = np.zeros((1, 2), np.float32)
    one = (1,) * 8 + (0, 0, 1, 1)  # sizes, places, kernel, stride; pad; dilation
    host.run("im2col", "col2im", 2, columns, image, bias, 1, 2, *one, kind, 0.25)
    np.testing.assert_array_equal(image, expected)
