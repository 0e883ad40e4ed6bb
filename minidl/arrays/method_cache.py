"""Results of a method kept for its object, without keeping the object."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any


def method_cache(method: Callable[..., Any], most: int | None) -> Any:
    """Wrap a bound method in `functools.lru_cache`, for an attribute of the object it is bound to.

    most   how many results are kept, None for all; the oldest go first

    An object that holds one of its own methods refers to itself: a net of such layers would keep
    its arrays, files and threads after it was dropped, until the garbage collector comes by.
    """
    weak = weakref.WeakMethod(method)

    def call(*key: Any) -> Any:
        bound = weak()
        assert bound is not None, "the caller holds the object"
        return bound(*key)

    return functools.lru_cache(maxsize=most)(call)
