"""The arena: parameters and gradients of a net in one piece each, the last layer first."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.arrays.arena import Arena
from minidl.arrays.blob import Param
from minidl.arrays.device import Device
from minidl.arrays.memory import ALIGNMENT, place

CPU = Device("cpu")
SHAPES = st.lists(st.lists(st.integers(1, 5), max_size=3).map(tuple), min_size=1, max_size=6)


def params(shapes, device=CPU, dtype=np.float32):
    return [Param(f"l{i}/0", shape, device, dtype) for i, shape in enumerate(shapes)]


@given(SHAPES, st.sampled_from([np.float32, np.float64]))
def test_segments_are_aligned_in_reverse_order_and_do_not_overlap(shapes, dtype):
    arena = Arena(made := params(shapes, dtype=dtype), CPU, dtype)
    assert [s.param for s in arena.segments] == made[::-1]
    end = 0
    for segment in arena.segments:
        assert segment.start >= end and segment.start * np.dtype(dtype).itemsize % ALIGNMENT == 0
        end = segment.start + segment.size
    assert arena.values.shape == arena.gradients.shape and arena.values.size >= end


@given(SHAPES)
def test_what_is_written_to_a_parameter_stands_in_the_arena(shapes):
    arena = Arena(made := params(shapes), CPU, np.float32)
    for i, param in enumerate(made):
        param.values.write(np.full(param.shape, i + 1, np.float32))
        param.diff[...] = -(i + 1)
    for segment in arena.segments:
        number = int(segment.param.name[1:].partition("/")[0]) + 1
        place = slice(segment.start, segment.start + segment.size)
        assert (arena.values[place] == number).all() and (arena.gradients[place] == -number).all()
    assert arena.whole


def test_a_parameter_that_was_given_other_memory_breaks_it():
    arena = Arena(made := params([(2, 3), (4,)]), CPU, np.float32)
    made[0].values.move(place((2, 3), None, np.float32))
    assert not arena.whole


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_lies_on_the_device(gpu, dtype):
    device = Device("cuda:0")
    arena = Arena(made := params([(3,), (2, 2)], device, dtype), device, dtype)
    made[1].values.write([[1, 2], [3, 4]])
    assert device.to_host(arena.values)[:4].tolist() == [1, 2, 3, 4]
