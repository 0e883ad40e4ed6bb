"""The arena: parameters and gradients of a net in one piece each, the last layer first."""

import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.arrays.arena import Arena
from minidl.arrays.blob import Param
from minidl.arrays.device import Device
from minidl.arrays.home import Home
from minidl.arrays.memory import ALIGNMENT

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
    assert inside(arena)


class Padded:
    """A layout with so many elements of padding in front."""

    def __init__(self, shape, padding):
        self.shape, self.padding = shape, padding
        self.nbytes = 4 * (int(np.prod(shape)) + padding)

    def pack(self, plain, packed):
        packed.view(np.float32)[self.padding :] = plain.reshape(-1)

    def unpack(self, packed, plain):
        plain.reshape(-1)[...] = packed.view(np.float32)[self.padding :]


def inside(arena):
    """Whether all parameters lie in the arena, and nothing lies between them."""
    taken = np.zeros(arena.values.size, bool)
    for param, start, size, room, layout in arena.segments:
        taken[start : start + size] = True
        for home, flat in ((param.values, arena.values), (param.gradient, arena.gradients)):
            part = flat[start : start + size].view(np.uint8)
            if not np.shares_memory(home.memory.array.reshape(-1).view(np.uint8), part):
                return False
            assert home.memory.layout is layout and start % 16 == 0 and size <= room
    return not arena.values[~taken].any() and not arena.gradients[~taken].any()


CHANGES = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.none() | st.integers(0, 40),
        st.sampled_from(["", "values", "gradient"]),
    ),
    max_size=6,
)


@given(CHANGES)
def test_values_gradients_and_histories_survive_all_changes_of_layout(changes):
    """Whether there is room or not, and whatever users hold; the oracle is what was written."""
    made, history = params([(3, 5), (4,), (2, 3, 2)]), {}
    arena = Arena(made, CPU, np.float32)
    for param in made:
        history[param] = Home(param.shape, np.float32)
    row = arena.row(history.__getitem__)
    expected, held = {}, []
    for i, param in enumerate(made):
        numbers = np.arange(param.count, dtype=np.float32).reshape(param.shape)
        for j, home in enumerate((param.values, param.gradient, history[param])):
            expected[home] = numbers + i + 7 * j
            home.write(expected[home])
    for number, padding, kind in changes:
        param = made[number]
        layout = None if padding is None else Padded(param.shape, padding)
        if kind:
            home = getattr(param, kind)
            held.append((home, home.lend()))
            held[-1][1][...] += 1
            expected[home] = expected[home] + 1
        arena.gather({param: layout})
        assert inside(arena) and row.flat.shape == arena.values.shape
        assert param.values.memory.layout is layout
        for home, values in expected.items():
            np.testing.assert_array_equal(home.read(), values)
    for home, array in held:
        np.testing.assert_array_equal(array, expected[home])


def test_whoever_was_moved_out_is_brought_back_where_it_was():
    arena = Arena(made := params([(2, 3), (4,)]), CPU, np.float32)
    made[0].data[...] = 5
    values, version = arena.values, arena.version
    arena.gather()
    assert arena.version == version
    made[0].arrange(Padded((2, 3), 4))
    assert not inside(arena)
    arena.gather()
    assert inside(arena) and arena.values is values and arena.version > version
    assert (made[0].data == 5).all()


def test_a_layout_for_which_there_is_no_room_gets_it_and_keeps_it():
    arena = Arena(made := params([(2, 3), (4,)]), CPU, np.float32)
    small = arena.values
    arena.gather({made[1]: Padded((4,), 30)})
    large = arena.values
    assert large.size > small.size
    for layout in (None, Padded((4,), 30)):
        arena.gather({made[1]: layout})
        assert arena.values is large


def test_what_is_borrowed_is_its_owners():
    owner, borrower = (Arena(params([(2, 3), (4,)]), CPU, np.float32) for _ in range(2))
    theirs, mine = owner.params[0], borrower.params[0]
    mine.share(theirs, diff=False)
    mine.borrowed = True
    for arena in (owner, borrower):
        arena.gather()
        assert inside(arena)
    assert [s.param.name for s in borrower.segments] == ["l1/0"] and len(owner.segments) == 2


def test_a_gradient_that_counts_as_zero_goes_on_to_do_so():
    arena = Arena(made := params([(2, 3)]), CPU, np.float32)
    made[0].diff[...] = 3
    made[0].gradient.clear()
    arena.gather({made[0]: Padded((2, 3), 4)})
    assert made[0].gradient.fresh and not made[0].diff.any()


def test_a_row_lasts_as_long_as_somebody_has_it():
    arena = Arena(made := params([(2, 3)]), CPU, np.float32)
    arena.row({made[0]: Home((2, 3), np.float32)}.__getitem__)
    gc.collect()
    assert len(arena._rows) == 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_lies_on_the_device(gpu, dtype):
    device = Device("cuda:0")
    arena = Arena(made := params([(3,), (2, 2)], device, dtype), device, dtype)
    made[1].values.write([[1, 2], [3, 4]])
    assert device.to_host(arena.values)[:4].tolist() == [1, 2, 3, 4]
