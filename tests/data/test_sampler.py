"""Sequential order: counted out by hand, and its laws."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from minidl.data.sampler import Sequential

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
