"""Homes: plain arrays that users hold stay one with values that live in an engine's layout."""

import numpy as np
import pytest

from minidl.blob import Blob, Param
from minidl.device import Device
from minidl.memory import ALIGNMENT, Home, Memory, aligned, place


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
    home = Home(SHAPE, np.float32, place(SHAPE, Backwards(SHAPE), np.float32))
    home.assign(VALUES)
    return home


def stored(home):
    return home.memory.array[4:].view(np.float32).tolist()


def test_memory_starts_at_a_multiple_of_the_alignment():
    assert all(aligned(n).ctypes.data % ALIGNMENT == 0 for n in (1, 63, 64, 65, 4096))
    assert len(aligned(65)) == 65


def test_values_are_read_plain_whatever_the_layout():
    home = packed_home()
    assert stored(home) == [5, 4, 3, 2, 1, 0]
    np.testing.assert_array_equal(home.values(), VALUES)
    np.testing.assert_array_equal(home.lend(), VALUES)


def test_what_is_written_to_a_loan_is_in_the_layout_after_settling():
    home = packed_home()
    home.lend()[0, 1] = 7
    np.testing.assert_array_equal(home.values()[0], [0, 7, 2])
    home.settle()
    assert stored(home) == [5, 4, 3, 2, 7, 0]
    assert home.memory.layout == Backwards(SHAPE)


@pytest.mark.parametrize("hold", [lambda a: a, lambda a: a[1:], lambda a: a.T.reshape(3, 2)[1]])
def test_values_live_in_a_loan_that_is_still_held(hold):
    home = packed_home()
    view = hold(home.lend())
    assert home.held
    home.settle()
    assert home.memory.layout is None
    home.memory.array[...] = 9
    assert (view == 9).all()
    del view
    assert not home.held


def test_one_loan_is_lent_as_often_as_asked():
    home = packed_home()
    first, second = home.lend(), home.lend()
    first[1, 2] = 8
    assert second[1, 2] == 8


def test_moves_and_loans_are_counted():
    home, before = packed_home(), Home.changes
    home.values()
    home.settle()
    assert Home.changes == before
    home.lend()
    assert Home.changes > before


def test_a_plain_array_is_lent_itself():
    home = Home(SHAPE, np.float32)
    assert np.shares_memory(home.lend(), home.memory.array)
    home.lend()[...] = VALUES
    home.arrange(Backwards(SHAPE))
    assert stored(home) == [5, 4, 3, 2, 1, 0]


def test_fresh_values_are_zero_for_who_reads_them():
    home = packed_home()
    home.fresh = True
    assert not home.values().any()
    assert not home.fresh
    home.assign(VALUES)
    home.fresh = True
    home.lend()[0, 0] = 1
    assert home.values().sum() == 1
    home.fresh = True  # with a loan out
    assert not home.lend().any()
    home.lend()[...] = 3
    home.fresh = True
    home.settle()
    assert not home.values().any()


def test_temporary_values_are_lent_as_copies_and_never_written_back():
    def refuse():
        if overwritten:
            raise ValueError("overwritten")

    overwritten, memory = False, Memory(SHAPE, None, VALUES.copy())
    home = Home(SHAPE, np.float32, memory)
    home.temporary = refuse
    home.lend()[...] = 5
    home.settle()
    np.testing.assert_array_equal(memory.array, VALUES)
    overwritten = True
    for read in (home.lend, home.values):
        with pytest.raises(ValueError, match="overwritten"):
            read()


def test_a_blob_reads_from_its_home():
    blob, home = Blob("b", SHAPE, Device(), np.float32), packed_home()
    blob.live_in("data", home)
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
    values, gradient = p.flat()
    assert p.memory.layout == p.gradient.layout == Backwards(SHAPE)
    np.testing.assert_array_equal(values[1:] + 1, gradient[1:])
    np.testing.assert_array_equal(p.data, VALUES)
    np.testing.assert_array_equal(p.diff, VALUES + 1)


def test_a_held_gradient_makes_the_parameter_plain():
    p = param()
    p.arrange(Backwards(SHAPE))
    gradient = p.diff
    assert p.held
    p.settle()
    assert p.memory.layout is p.gradient.layout is None
    assert np.shares_memory(gradient, p.gradient.array)
    np.testing.assert_array_equal(p.memory.array, VALUES)


def test_a_gradient_is_made_in_the_layout_of_the_values():
    p = Param("p", SHAPE, Device(), np.float32)
    p.arrange(Backwards(SHAPE))
    assert p.array("diff") is None
    assert p.gradient.layout == Backwards(SHAPE)
    assert not p.diff.any()


def test_a_shared_parameter_has_one_freshness():
    p, q = param(), Param("q", (3, 2), Device(), np.float32)
    q.share(p, (3, 2))
    p.fresh = True
    assert q.fresh
    assert not q.diff.any()
    assert not p.fresh


def test_the_version_changes_with_the_values():
    p = param()
    seen = p.version
    assert p.version == seen
    p.touch()
    assert p.version != seen
    seen = p.version
    p.write(VALUES)
    assert p.version != seen
    array = p.data
    assert p.version != p.version
    assert array is not None
