"""How far the making of a data set is: told to whoever watches."""

from __future__ import annotations

import threading
from collections.abc import Callable

# Called with what is being done, how many pictures are done, and how many there are.
READING, WRITING, AVERAGING, DESCRIBING = "reading", "writing", "averaging", "describing"
Watch = Callable[[str, int, int], object]


def unwatched(stage: str, done: int, total: int) -> None:
    """Tell nobody."""


class Counting:
    """Tells a Watch about one stage: call it for each picture, in any thread."""

    def __init__(self, watch: Watch, stage: str, total: int) -> None:
        self._watch, self._stage, self._total = watch, stage, total
        self._done, self._lock = 0, threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self._done += 1
            self._watch(self._stage, self._done, self._total)
