"""The order of records, sequential and shuffled: its laws."""

import collections
import itertools

from hypothesis import given
from hypothesis import strategies as st

from minidl.arrays.rng import Streams
from minidl.data.sampler import Sequential, Shuffled, shuffling

lengths, batches, sizes = st.integers(1, 20), st.integers(1, 9), st.integers(1, 4)


@given(lengths, batches)
def test_batches_one_after_another_are_the_records_over_and_over(length, batch_size):
    order = Sequential(length, batch_size)
    got = [i for n in range(7) for i in order.batch(n)]
    endless = itertools.cycle(range(length))
    assert got == [next(endless) for _ in got]


@given(lengths, batches, sizes)
def test_ranks_together_read_what_one_rank_reads(length, batch_size, size):
    ranks = [Sequential(length, batch_size, rank, size) for rank in range(size)]
    dealt = [i for together in zip(*(r.batch(2) for r in ranks), strict=True) for i in together]
    assert dealt == Sequential(length, batch_size * size).batch(2)


@given(lengths, batches)
def test_a_restart_is_counted_in_the_batch_that_holds_the_last_record(length, batch_size):
    order = Sequential(length, batch_size)
    for n in range(7):
        assert order.restarts(n) == order.batch(n).count(length - 1)


# ---------------------------------------------------------------------- shuffled


def shuffled(lengths, batch_size, seed=1, **more):
    order = shuffling(Streams(seed), tuple(lengths))
    return Shuffled(sum(lengths), batch_size, order, **more)


files = st.lists(st.integers(1, 9), min_size=1, max_size=4)


@given(files, batches)
def test_every_pass_has_every_record_once(lengths, batch_size):
    length = sum(lengths)
    order = shuffled(lengths, batch_size)
    got = [i for n in range(3 * length) for i in order.batch(n)]
    for epoch in range(3):
        assert sorted(got[epoch * length : (epoch + 1) * length]) == list(range(length))


@given(files)
def test_the_records_of_a_file_stay_together(lengths):
    owner = [i for i, length in enumerate(lengths) for _ in range(length)]
    order = [owner[i] for i in shuffled(lengths, sum(lengths)).batch(5)]
    assert len([key for key, _ in itertools.groupby(order)]) == len(lengths)


@given(st.integers(0, 99), st.integers(0, 99), batches)
def test_a_batch_is_a_function_of_seed_and_number(seed, number, batch_size):
    one, other = (shuffled([7, 5], batch_size, seed) for _ in range(2))
    for n in (number + 3, 0):
        one.batch(n)
    assert one.batch(number) == other.batch(number)


def test_seed_and_pass_each_change_the_order():
    orders = [
        shuffled([50], 50).batch(0),
        shuffled([50], 50).batch(1),
        shuffled([50], 50, seed=2).batch(0),
    ]
    assert len({tuple(order) for order in orders}) == 3


def test_all_orders_are_equally_likely():
    counts = collections.Counter(tuple(shuffled([3], 3).batch(n)) for n in range(1200))
    assert len(counts) == 6 and max(counts.values()) < 2 * min(counts.values())


def test_the_order_never_changes():
    """A snapshot of today goes on with the same records under every later NumPy."""
    assert shuffled([4, 6], 10).batch(0) == [0, 1, 3, 2, 4, 9, 6, 7, 8, 5]


@given(lengths, batches, sizes, st.integers(0, 30))
def test_ranks_and_skipping_hold_for_every_order(length, batch_size, size, skip):
    ranks = [shuffled([length], batch_size, rank=r, size=size, skip=skip) for r in range(size)]
    dealt = [i for n in range(3) for t in zip(*(r.batch(n) for r in ranks), strict=True) for i in t]
    plain = shuffled([length], 1)
    assert dealt == [plain.batch(skip + k)[0] for k in range(len(dealt))]


@given(lengths, batches, st.integers(0, 30))
def test_a_restart_is_counted_after_skipping_too(length, batch_size, skip):
    order = Sequential(length, batch_size, skip=skip)
    for n in range(7):
        assert order.restarts(n) == order.batch(n).count(length - 1)
