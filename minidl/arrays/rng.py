"""Random numbers that depend on who asks and when, never on who asked before."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

import numpy as np


class Streams:
    """A counter-based stream for each (seed, name, pass).

    Layer ``drop6`` in pass 17 of a run with seed 1701 draws the same numbers no matter what others
    drew, in any thread, and whether or not the run was interrupted in between: to resume
    a run it is enough to know `seed` and `passes`. (Philox; Salmon et al. 2011, section 3.)

    seed    a non-negative integer
    passes  forward passes begun so far: the Net counts it, snapshots keep it
    """

    def __init__(self, seed: int) -> None:
        self.seed = int(seed)
        self.passes = 0

    def generator(self, name: str, count: int | None = None) -> np.random.Generator:
        """Return the stream of `name` in pass `count` (by default the pass now running)."""
        count = self.passes if count is None else count
        key = np.array(self.key(name), np.uint64)
        bits = np.random.Philox(key=key, counter=[0, 0, 0, count])
        return np.random.Generator(bits)

    def key(self, name: str) -> tuple[int, int]:
        """Return the two words that tell the stream of `name` from all others."""
        digest = hashlib.blake2b(
            f"{self.seed}/{name}".encode("utf-8", "surrogateescape"), digest_size=16
        ).digest()
        low, high = np.frombuffer(digest, np.uint64)
        return int(low), int(high)


class DevicePasses:
    """The number of the pass in a GPU's memory, where kernels that draw random numbers read it.

    It is counted up there, so that a recorded pass draws other numbers each time it is launched.

    streams    whose `passes` it follows
    address    of the number, 64 bits
    """

    def __init__(self, device: Any, streams: Streams) -> None:
        self._device, self._streams = device, streams
        self._number = device.zeros((1,), np.uint64)
        self.address: int = device.address(self._number)
        self._there = 0  # the values there

    def begin(self) -> None:
        """Bring it in line with `streams.passes`, which was counted up, but for that one."""
        if self._there != self._streams.passes - 1:  # a run was resumed
            self._device.write(self._number, self._streams.passes - 1)
        self._there = self._streams.passes

    def count(self) -> None:
        """Count it up on the device: part of every pass."""
        self._number += 1


_default: int | None = None


def set_random_seed(seed: int | None) -> None:
    """Set the seed of nets made from now on without one of their own; None: the system's choice."""
    global _default
    _default = seed


def default_seed() -> int:
    """Return the seed of `set_random_seed`, or else a fresh one from the system's random source."""
    return secrets.randbits(63) if _default is None else _default
