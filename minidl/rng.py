"""Random numbers that depend on who asks and when, never on who asked before."""

from __future__ import annotations

import hashlib
import secrets

import numpy as np


class Streams:
    """A counter-based stream for each (seed, name, pass).

    Layer ``drop6`` in pass 17 of a run with seed 1701 draws the same numbers whatever other layers
    drew, in whatever thread, and whether or not the run was interrupted in between: to resume
    a run it is enough to know `seed` and `passes`. (Philox; Salmon et al. 2011, section 3.)

    seed    a non-negative integer
    passes  forward passes begun so far: the Net counts it, snapshots keep it
    """

    def __init__(self, seed: int) -> None:
        self.seed = int(seed)
        self.passes = 0

    def generator(self, name: str, count: int | None = None) -> np.random.Generator:
        """The stream of `name` in pass `count` (by default the pass now running)."""
        digest = hashlib.blake2b(f"{self.seed}/{name}".encode(), digest_size=16).digest()
        low, high = np.frombuffer(digest, np.uint64)
        count = self.passes if count is None else count
        bits = np.random.Philox(key=np.array([low, high]), counter=[0, 0, 0, count])
        return np.random.Generator(bits)


_default: int | None = None


def set_random_seed(seed: int | None) -> None:
    """The seed of nets made from now on without one of their own; None: drawn from the system."""
    global _default
    _default = seed


def default_seed() -> int:
    """What `set_random_seed` set, or else a fresh seed from the system's random source."""
    return secrets.randbits(63) if _default is None else _default
