"""Batches of HDF5 rows, and runs of them: each row where the order says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl.data.rows import RowBatches
from minidl.data.sampler import Sequential
from minidl.data.sources.hdf5 import Hdf5Rows

h5py = pytest.importorskip("h5py", reason="h5py is not installed")
LENGTHS = [4, 1, 7]
TOTAL = sum(LENGTHS)


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    start = 0
    for i, length in enumerate(LENGTHS):
        with h5py.File(folder / f"{i}.h5", "w") as file:
            file["n"] = np.arange(start, start + length)
            file["square"] = np.arange(start, start + length, dtype="f8")[:, None] ** 2
        start += length
    (folder / "list.txt").write_text("".join(f"{folder}/{i}.h5\n" for i in range(3)))
    rows = Hdf5Rows(folder / "list.txt", ["n", "square"])
    yield rows
    rows.close()


@settings(deadline=None)
@given(numbers=st.lists(st.integers(0, TOTAL - 1), min_size=1, max_size=30))
def test_any_rows_in_any_order(rows, numbers):
    n, square = np.empty(len(numbers), "f4"), np.empty((len(numbers), 1), "f4")
    rows.read(numbers, (n, square))
    assert n.tolist() == numbers
    np.testing.assert_array_equal(square[:, 0], np.square(numbers))


def test_rows_that_follow_one_another_are_read_at_once(rows):
    runs = list(rows._runs([2, 3, 4, 5, 6, 7, 0, 9]))
    assert runs == [(0, 0, 2, 2), (2, 1, 0, 1), (3, 2, 0, 3), (6, 0, 0, 1), (7, 2, 4, 1)]


def test_batches_use_spare_memory_again(rows):
    made = RowBatches(rows, Sequential(TOTAL, 5), np.float32)
    first = made.make(0)
    second = made.make(2, first)
    assert second.arrays[0] is first.arrays[0]
    assert second.data.tolist() == [10, 11, 0, 1, 2] and made.restarts(2) == 1
    assert [made.describe(record).split()[1] for record in second.records] == list("56012")
