"""Where a pass over the data ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.solver.epochs import Epochs


@given(st.integers(1, 500), st.integers(1, 90))
def test_an_epoch_ends_with_the_iteration_that_takes_its_last_record(records, images):
    found = Epochs(records, images)
    seen = 0
    for iteration in range(1, 60):
        seen += images
        complete = seen // records
        assert found.ended(iteration) == complete
        new = complete > (seen - images) // records
        assert found.end(iteration) == (complete if new else 0)


def test_the_length_of_an_epoch_need_not_be_whole():
    assert Epochs(50, 8).iterations == 6.25
    assert Epochs(0, 8).iterations == Epochs(50, 0).iterations == 0


def test_where_records_are_not_known_no_epoch_ends():
    assert [Epochs(0, 8).end(i) for i in range(50)] == [0] * 50


@pytest.mark.parametrize("iteration", [0])
def test_none_has_ended_at_the_start(iteration):
    assert Epochs(5, 100).end(iteration) == 0
