"""Homes: plain arrays that users hold stay one with values that live in an engine's layout."""

import numpy as np
import pytest

from minidl.arrays.blob import Blob, Param
from minidl.arrays.device import Device
from minidl.arrays.home import USER, Home
from minidl.arrays.memory import ALIGNMENT, CPU, Memory, place


class Backwards:
    """A layout that stores the elements in reverse, behind 4 bytes of padding."""

    def __init__(self, shape):
        self.shape = shape
        self.nbytes = 4 * int(np.prod(shape)) + 4

    def __eq__(self, other):
        return isinstance(other, Backwards) and other.shape == self.shape

    def __hash__(self):
        return hash(self.shape)

    def pack(self, plain, packed):
        packed[4:].view(np.float32)[...] = plain.reshape(-1)[::-1]

    def unpack(self, packed, plain):
        plain.reshape(-1)[...] = packed[4:].view(np.float32)[::-1]


SHAPE = (2, 3)
VALUES = np.arange(6, dtype=np.float32).reshape(SHAPE)


def packed_home():
    home = Home(SHAPE, np.float32)
    home.arrange(Backwards(SHAPE))
    home.write(VALUES)
    return home


def stored(home):
    return home.memory.array[4:].view(np.float32).tolist()


def test_memory_starts_at_a_multiple_of_the_alignment():
    assert all(CPU.bytes_(n).ctypes.data % ALIGNMENT == 0 for n in (1, 63, 64, 65, 4096))
    assert len(CPU.bytes_(65)) == 65


def test_values_are_read_plain_whatever_the_layout():
    home = packed_home()
    assert stored(home) == [5, 4, 3, 2, 1, 0]
    np.testing.assert_array_equal(home.read(), VALUES)
    np.testing.assert_array_equal(home.lend(), VALUES)


def test_what_is_written_to_a_loan_is_in_the_layout_after_settling():
    home = packed_home()
    home.lend()[0, 1] = 7
    np.testing.assert_array_equal(home.read()[0], [0, 7, 2])
    home.settle()
    assert stored(home) == [5, 4, 3, 2, 7, 0]
    assert home.memory.layout == Backwards(SHAPE)


@pytest.mark.parametrize("hold", [lambda a: a, lambda a: a[1:], lambda a: a.T.reshape(3, 2)[1]])
def test_an_array_that_is_held_is_live_and_the_memory_stays_what_it_is(hold):
    home = packed_home()
    view = hold(home.lend())
    memory = home.memory
    for round in range(2):
        view[...] = round
        home.settle()
        assert home.memory is memory
        assert (home.read() == round).sum() >= view.size
        memory.array[4:].view(np.float32)[...] = 9
        home.wrote(0)
        home.give()
        assert (view == 9).all()
    assert home.held
    del view
    assert not home.held


def test_one_loan_is_lent_as_often_as_asked():
    home = packed_home()
    first, second = home.lend(), home.lend()
    first[1, 2] = 8
    assert second[1, 2] == 8


def test_an_array_that_nobody_holds_is_taken_and_let_go():
    home = packed_home()
    home.lend()[0, 0] = 3
    assert home.pending
    home.take()
    home.give()  # nothing else has the values yet
    assert home.pending
    home.want(0)
    home.give()
    assert not home.pending
    assert stored(home) == [5, 4, 3, 2, 1, 3]


def test_what_is_overwritten_by_whoever_runs_is_not_taken():
    home = packed_home()
    home.lend()[...] = 3
    home.memory.array[4:].view(np.float32)[...] = 9
    home.wrote(0)
    home.take()
    assert (home.read() == 9).all()


def test_several_memories_are_current_where_somebody_asked():
    home = Home(SHAPE, np.float32)
    home.write(VALUES)
    places = {n: place(SHAPE, Backwards(SHAPE), np.float32) for n in (4, 7)}
    home.live_in(places)
    home.want(4)
    assert places[4].array[4:].view(np.float32).tolist() == [5, 4, 3, 2, 1, 0]
    assert not places[7].array.any()
    held = home.lend()
    held[...] = 1
    home.take()
    assert home.current == {USER}
    home.want(7)
    assert (places[7].plain(np.float32) == 1).all()
    home.wrote(4)
    home.give()
    np.testing.assert_array_equal(held, VALUES)


def test_values_move_from_program_to_program_and_the_array_with_them():
    home = packed_home()
    held = home.lend()
    held[0, 0] = 8
    first = Memory(SHAPE, None, home.array())
    home.live_in({2: first}, shown=2)
    assert np.shares_memory(home.lend(), held)
    home.live_in({5: place(SHAPE, Backwards(SHAPE), np.float32)})
    home.want(5)
    assert home.places[5].array[4:].view(np.float32).tolist() == [5, 4, 3, 2, 1, 8]
    home.wrote(5)
    home.places[5].array[...] = 0
    home.give()
    assert not held.any()


def test_values_that_nobody_gave_are_zero():
    home = Home(SHAPE, np.float32)
    home.live_in({1: place(SHAPE, Backwards(SHAPE), np.float32)})
    assert not home.read().any()
    home.want(1)
    assert not home.lend().any()


def test_only_what_has_to_be_taken_is_counted():
    home, before = packed_home(), Home.changes
    home.read()
    home.settle()
    assert Home.changes == before
    home.lend()
    assert Home.changes > before
    plain = Home(SHAPE, np.float32)
    plain.arrange(None)
    before = Home.changes
    plain.lend()
    assert Home.changes == before  # it is the memory itself


def test_a_plain_array_is_lent_itself():
    home = Home(SHAPE, np.float32)
    assert np.shares_memory(home.lend(), home.memory.array)
    home.lend()[...] = VALUES
    home.arrange(Backwards(SHAPE))
    assert stored(home) == [5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize("layout", [None, Backwards(SHAPE)])
def test_cleared_values_are_zero_for_who_reads_them(layout):
    home = Home(SHAPE, np.float32)
    home.arrange(layout)
    home.write(VALUES)
    home.clear()
    assert home.fresh  # nobody has to write the zeros
    assert not home.read().any()
    home.write(VALUES)
    home.clear()
    home.lend()[0, 0] = 1
    assert home.read().sum() == 1
    held = home.lend()
    home.clear()
    assert not held.any() and not home.fresh
    held[...] = 3  # counts: it was written after
    home.settle()
    assert (home.memory.plain(np.float32) == 3).all()


def test_values_that_were_overwritten_cannot_be_lent():
    def refuse():
        if overwritten:
            raise ValueError("overwritten")

    overwritten, memory = False, Memory(SHAPE, None, VALUES.copy())
    home = Home(SHAPE, np.float32)
    home.live_in({3: memory}, refusals={3: refuse})
    home.wrote(3)
    home.lend()[...] = 5
    np.testing.assert_array_equal(memory.array, VALUES)  # not before somebody asks for them
    home.wrote(3)
    overwritten = True
    for read in (home.lend, home.read):
        with pytest.raises(ValueError, match="overwritten"):
            read()


@pytest.mark.parametrize("layout", [None, Backwards(SHAPE)])
@pytest.mark.parametrize("other", [None, Backwards(SHAPE)])
def test_values_come_along_into_other_memory(layout, other):
    home = Home(SHAPE, np.float32)
    home.arrange(layout)
    home.write(VALUES)
    room = place(SHAPE, other, np.float32)
    home.move(room)
    assert home.memory is room and home.apart == (other is not None)
    np.testing.assert_array_equal(room.plain(np.float32), VALUES)
    home.lend()[0, 1] = 7
    home.settle()
    assert room.plain(np.float32)[0, 1] == 7


@pytest.mark.parametrize("layout", [None, Backwards(SHAPE)])
def test_an_array_that_is_held_while_memory_moves_stays_live_where_it_is(layout):
    home = Home(SHAPE, np.float32)
    home.arrange(layout)
    held, room = home.lend(), place(SHAPE, None, np.float32)
    held[...] = VALUES
    home.move(room)
    np.testing.assert_array_equal(room.array, VALUES)
    held[1, 2] = 9
    home.settle()
    assert room.array[1, 2] == 9
    room.array[...] = 3
    home.touch()
    assert (held == 3).all() and not np.shares_memory(held, room.array)
    del held
    home.settle()
    home.give()
    assert np.shares_memory(home.lend(), room.array)  # now there is none in between


def test_what_counts_as_zero_does_so_in_other_memory():
    home, room = packed_home(), place(SHAPE, None, np.float32)
    room.array.fill(np.nan)
    home.clear()
    home.move(room)
    assert home.fresh and not home.read().any()


def test_a_blob_reads_from_its_home():
    blob = Blob("b", SHAPE, Device(), np.float32)
    home = blob.values
    home.live_in({0: place(SHAPE, Backwards(SHAPE), np.float32)})
    blob.data = VALUES
    blob.data[0, 0] = 4
    home.settle()
    assert stored(home)[-1] == 4
    assert blob.read()[0, 0] == 4
    view = Blob("v", (1,), Device(), np.float32)
    view.share(blob, (3, 2))
    np.testing.assert_array_equal(view.data, blob.data.reshape(3, 2))


def param():
    param = Param("p", SHAPE, Device(), np.float32)
    param.data[...] = VALUES
    param.diff[...] = VALUES + 1
    return param


def test_a_parameter_and_its_gradient_change_layout_together():
    p = param()
    p.arrange(Backwards(SHAPE))
    values, gradient = (h.memory.array.view(np.float32) for h in (p.values, p.gradient))
    assert p.values.memory.layout == p.gradient.memory.layout == Backwards(SHAPE)
    np.testing.assert_array_equal(values[1:] + 1, gradient[1:])
    np.testing.assert_array_equal(p.data, VALUES)
    np.testing.assert_array_equal(p.diff, VALUES + 1)


def test_a_held_gradient_leaves_the_layout_as_it_is():
    p = param()
    p.arrange(Backwards(SHAPE))
    gradient = p.diff
    gradient[...] = 2
    p.gradient.settle()
    assert p.values.memory.layout == p.gradient.memory.layout == Backwards(SHAPE)
    p.gradient.memory.array[...] = 0
    p.gradient.touch()
    assert not gradient.any()
    np.testing.assert_array_equal(p.data, VALUES)


def test_a_gradient_is_made_in_the_layout_of_the_values():
    p = Param("p", SHAPE, Device(), np.float32)
    p.arrange(Backwards(SHAPE))
    assert not p.gradient.made
    assert p.gradient.memory.layout == Backwards(SHAPE)
    assert not p.diff.any()


def test_a_shared_parameter_has_one_freshness():
    p, q = param(), Param("q", (3, 2), Device(), np.float32)
    q.share(p, (3, 2))
    p.gradient.fresh = True
    assert q.gradient.fresh
    assert not q.diff.any()
    assert not p.gradient.fresh


def test_a_version_is_another_one_after_a_write_that_is_over():
    p = Param("p", SHAPE, Device(), np.float32)
    p.arrange(None)
    seen = p.values.version
    p.data[...] = 2  # the array is let go of at once
    assert p.values.version != seen
    seen = p.values.version
    assert p.values.version == seen


def test_the_version_changes_with_the_values():
    p = param()
    seen = p.values.version
    assert p.values.version == seen
    p.values.touch()
    assert p.values.version != seen
    seen = p.values.version
    p.values.write(VALUES)
    assert p.values.version != seen
    array = p.data
    assert p.values.version != p.values.version
    assert array is not None
