"""Pooling windows against counting places one by one."""

import itertools

import numpy as np

from minidl import ops
from minidl.windows import Axis


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
