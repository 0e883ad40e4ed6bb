"""Streams: who asks and when decides, nothing else."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from minidl.arrays.rng import Streams


def draw(streams, name, count=None):
    return streams.generator(name, count).random(4)


@given(st.integers(0, 2**63), st.text(max_size=20), st.integers(0, 2**40))
def test_a_stream_is_a_function_of_seed_name_and_pass(seed, name, count):
    one, other = Streams(seed), Streams(seed)
    other.generator("someone else").random(100)
    assert (draw(one, name, count) == draw(other, name, count)).all()


def test_each_of_the_three_changes_it():
    base = draw(Streams(1), "drop", 5)
    assert (draw(Streams(2), "drop", 5) != base).any()
    assert (draw(Streams(1), "drop2", 5) != base).any()
    assert (draw(Streams(1), "drop", 6) != base).any()


def test_the_running_pass_is_the_default():
    streams = Streams(1)
    streams.passes = 5
    assert (draw(streams, "drop") == draw(Streams(1), "drop", 5)).all()


def test_neighbouring_passes_do_not_overlap():
    """A pass may draw 2**64 numbers before it would reach the next one's."""
    first = Streams(1).generator("x", 0).random(100_000)
    assert not np.isin(Streams(1).generator("x", 1).random(1000), first).any()
