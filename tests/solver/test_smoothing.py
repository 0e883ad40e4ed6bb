"""The displayed loss against Caffe's running mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.solver.smoothing import SmoothedLoss

losses = st.lists(st.floats(-100, 100), min_size=1, max_size=30)


def caffes(values, size):
    """Caffe's own bookkeeping: a ring and a running mean."""
    ring, shown, seen = [], 0.0, []
    for i, loss in enumerate(values):
        if len(ring) < size:
            ring.append(loss)
            shown = (shown * (len(ring) - 1) + loss) / len(ring)
        else:
            shown += (loss - ring[i % size]) / size
            ring[i % size] = loss
        seen.append(shown)
    return seen


@given(losses, st.integers(1, 7))
def test_it_is_caffes_running_mean(values, size):
    loss = SmoothedLoss()
    assert [loss.add(v, size) for v in values] == caffes(values, size)


@given(losses, st.integers(1, 7), st.integers(0, 30))
def test_going_on_from_value_and_recent_is_the_same_bit_for_bit(values, size, stop):
    unbroken, first = SmoothedLoss(), SmoothedLoss()
    expected = [unbroken.add(v, size) for v in values]
    for v in values[:stop]:
        first.add(v, size)
    second = SmoothedLoss(first.value, first.recent)
    assert [second.add(v, size) for v in values[stop:]] == expected[stop:]


def test_a_shorter_mean_forgets_the_oldest():
    loss = SmoothedLoss()
    for v in (10, 2, 4):
        loss.add(v, 3)
    assert loss.add(6, 2) == pytest.approx(5)


def test_a_longer_mean_grows_again():
    loss = SmoothedLoss()
    for v in (10, 2, 4):
        loss.add(v, 2)
    assert loss.add(6, 3) == pytest.approx(4)


def test_a_copy_is_its_own():
    loss = SmoothedLoss(1.0, [1.0])
    loss.copy().add(5, 3)
    assert (loss.value, loss.recent) == (1.0, [1.0])
