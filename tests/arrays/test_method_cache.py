"""A cache of a method's results: kept, bounded, and no reason for the object to live on."""

import gc
import weakref

import pytest

from minidl.arrays.method_cache import method_cache


class Squares:
    def __init__(self, most):
        self.calls = []
        self.square = method_cache(self._square, most)

    def _square(self, number):
        self.calls.append(number)
        return [number * number]


def test_a_result_is_made_once_and_is_the_same_object():
    squares = Squares(None)
    assert squares.square(3) == [9] and squares.square(3) is squares.square(3)
    assert squares.calls == [3]


@pytest.mark.parametrize(
    "most, calls", [(2, [1, 2, 3, 1]), (0, [1, 2, 3, 3, 1]), (None, [1, 2, 3])]
)
def test_the_oldest_go_first(most, calls):
    squares = Squares(most)
    for number in (1, 2, 3, 3, 1):
        squares.square(number)
    assert squares.calls == calls


def test_the_object_is_gone_with_its_last_user():
    gc.disable()
    try:
        squares = Squares(None)
        squares.square(2)
        left = weakref.ref(squares)
        del squares
        assert left() is None
    finally:
        gc.enable()
