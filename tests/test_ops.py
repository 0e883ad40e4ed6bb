"""Output sizes against tables and against counting, and the descriptions that carry them."""

import itertools

import numpy as np
import pytest

from minidl import ops
from minidl.ops import Axis

SIZES = range(1, 14)
GEOMETRIES = [
    (size, kernel, stride, pad)
    for size, kernel, stride, pad in itertools.product(SIZES, range(1, 6), range(1, 5), range(4))
    if pad < kernel
]


@pytest.mark.parametrize(
    "size, kernel, stride, pad, dilation, expected",
    [
        (28, 5, 1, 0, 1, 24),
        (227, 11, 4, 0, 1, 55),
        (27, 5, 1, 2, 1, 27),
        (6, 3, 2, 0, 1, 2),
        (4, 3, 2, 0, 1, 1),
        (10, 3, 2, 0, 3, 2),
        (11, 3, 2, 0, 3, 3),
        (4, 5, 2, 0, 1, 1),  # one too wide, yet C's -1 / 2 is 0
        (4, 5, 1, 0, 1, 0),
        (4, 6, 2, 0, 1, 0),
        (4, 8, 2, 0, 1, -1),
        (1, 4, 4, 0, 1, 1),
    ],
)
def test_conv_out_as_caffe_has_it(size, kernel, stride, pad, dilation, expected):
    assert ops.conv_out(size, kernel, stride, pad, dilation) == expected


@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_conv_out_counts_the_positions_where_the_kernel_fits(dilation):
    for size, kernel, stride, pad in GEOMETRIES:
        span, padded = dilation * (kernel - 1) + 1, size + 2 * pad
        fitting = sum(1 for start in range(0, padded, stride) if start + span <= padded)
        if fitting:
            assert ops.conv_out(size, kernel, stride, pad, dilation) == fitting


@pytest.mark.parametrize("dilation", [1, 2])
def test_deconv_out_is_the_smallest_bottom_of_the_convolution_it_transposes(dilation):
    for size, kernel, stride, pad in GEOMETRIES:
        out = ops.deconv_out(size, kernel, stride, pad, dilation)
        if out < 1:
            continue
        assert ops.conv_out(out, kernel, stride, pad, dilation) == size
        span = dilation * (kernel - 1) + 1
        assert (out - 1) + 2 * pad < stride * (size - 1) + span


@pytest.mark.parametrize(
    "size, kernel, stride, pad, ceil, clip, expected",
    [
        (24, 2, 2, 0, True, None, 12),
        (55, 3, 2, 0, True, None, 27),
        (6, 3, 2, 0, True, None, 3),  # the last window overhangs
        (6, 3, 2, 0, False, None, 2),
        (5, 3, 2, 0, True, None, 2),
        (6, 3, 2, 1, True, None, 4),
        (5, 2, 2, 1, True, None, 3),  # of 4, the last one would see only padding
        (5, 2, 2, 1, True, False, 4),
        (5, 2, 2, 1, False, None, 3),
        (6, 2, 3, 0, True, True, 2),  # clipped for the sake of the other axis' padding
        (5, 1, 3, 0, True, None, 3),  # Caffe's empty window
        (5, 1, 3, 0, True, True, 2),
        (5, 1, 3, 0, False, None, 2),
        (3, 5, 4, 0, True, None, 1),
        (3, 5, 1, 0, True, None, -1),
    ],
)
def test_pooled_size_as_caffe_has_it(size, kernel, stride, pad, ceil, clip, expected):
    assert ops.pooled_size(size, kernel, stride, pad, ceil=ceil, clip=clip) == expected


def test_pooled_size_counts_windows_until_one_reaches_the_end():
    for size, kernel, stride, pad in GEOMETRIES:
        if kernel > size + 2 * pad:
            continue
        end, windows = size + 2 * pad, 1
        while (windows - 1) * stride + kernel < end:
            windows += 1
        assert ops.pooled_size(size, kernel, stride, pad, clip=False) == windows
        starting_inside = sum(1 for o in range(windows) if o * stride - pad < size)
        assert ops.pooled_size(size, kernel, stride, pad, clip=True) == starting_inside
        whole = sum(1 for o in range(windows) if o * stride + kernel <= end)
        assert ops.pooled_size(size, kernel, stride, pad, ceil=False, clip=False) == whole


def test_a_window_is_empty_only_without_padding_and_with_gaps():
    for size, kernel, stride, pad in GEOMETRIES:
        windows = ops.pooled_size(size, kernel, stride, pad)
        if windows < 1:
            continue
        places = range((windows - 1) * stride - pad, (windows - 1) * stride - pad + kernel)
        sees_nothing = not any(0 <= place < size for place in places)
        assert ops.empty_window(size, windows, stride, pad) == sees_nothing
        assert not sees_nothing or (pad == 0 and stride > kernel)


def test_descriptions_are_values():
    op = ops.Conv(20, kernel=(5,))
    assert op == ops.Conv(20, kernel=(5,)) and hash(op) == hash(ops.Conv(20, kernel=(5,)))
    assert len({op, ops.Pool("MAX", (2, 2)), ops.LRN(5, 1e-4, 0.75, 1), ops.Gemm(10)}) == 4
    with pytest.raises(AttributeError):
        op.group = 2


def test_conv_takes_one_number_for_all_axes_or_one_for_each():
    op = ops.Conv(4, kernel=(3, 5), stride=(2,), pad=(1, 2))
    assert op.over(2) == ops.Conv(4, (3, 5), (2, 2), (1, 2), (1, 1))
    assert op.out((9, 11)) == (5, 6)
    assert ops.Conv(4, kernel=()).out(()) == ()


def test_a_transposed_conv_grows():
    assert ops.Conv(4, kernel=(3,), stride=(2,), transposed=True).out((6, 4)) == (13, 9)


def test_a_pool_without_kernel_sees_all():
    op = ops.Pool("AVE")
    assert op.over((5, 6)).kernel == (5, 6) and op.out((5, 6)) == (1, 1)


def test_padding_of_one_axis_clips_both():
    op = ops.Pool("MAX", kernel=(3, 2), stride=(2, 5), pad=(1, 0))
    assert op.out((6, 5)) == (4, 1)
    assert ops.Pool("MAX", kernel=(3, 2), stride=(2, 5)).out((6, 5)) == (3, 2)


def test_losses_and_masks_are_described_by_what_changes_their_kernels():
    loss = ops.SoftmaxLoss(axis=1, ignore_label=None, normalization="VALID")
    assert loss == ops.SoftmaxLoss(1, None, "VALID") != ops.SoftmaxLoss(1, 255, "VALID")
    assert len({loss, ops.Softmax(1), ops.Dropout(0.5), ops.Dropout(0.25)}) == 4


def axes():
    for size, kernel, stride, pad in itertools.product(
        range(1, 8), range(1, 5), range(1, 5), range(3)
    ):
        windows = ops.pooled_size(size, kernel, stride, pad)
        if pad < kernel and windows >= 1:
            yield Axis(size, kernel, stride, pad, windows)


def test_each_tap_pairs_the_windows_with_what_they_see():
    for axis in axes():
        assert len(axis.taps) == axis.kernel
        for tap, (seen_by, seen) in enumerate(axis.taps):
            pairs = zip(np.arange(axis.windows)[seen_by], np.arange(axis.size)[seen], strict=True)
            places = {o: o * axis.stride - axis.pad + tap for o in range(axis.windows)}
            inside = [(o, place) for o, place in places.items() if 0 <= place < axis.size]
            assert [(int(o), int(place)) for o, place in pairs] == inside, axis


def test_lengths_count_padding_but_nothing_beyond():
    for axis in axes():
        places = set(range(-axis.pad, axis.size + axis.pad))
        for start, length in zip(axis.starts, axis.lengths, strict=True):
            if start < axis.size:
                window = range(start, start + axis.kernel)
                assert length == len(places.intersection(window)), axis
