"""Values from 0 to 1 as colours that look evenly spaced, also printed in grey: viridis."""

from __future__ import annotations

from typing import Any

import numpy as np

# The colour map of Nathaniel Smith and Stefan van der Walt (2015), given to the public domain;
# thirty colours of it, evenly spaced.
_ANCHORS = """
440154 470e61 481a6c 482676 46317e 443b84 404688 3c508b 37598c 33628d
2f6b8e 2c738e 287b8e 25848e 228c8d 20948c 1e9c89 20a586 27ad81 31b57b
3fbc73 4fc46a 61ca60 76d054 8bd646 a2da38 b9de28 d1e11c e8e419 fde725
"""


def viridis(count: int = 256) -> np.ndarray:
    """Return the colours of `count` values from 0 to 1, (count, 3) uint8: red, green, blue.

    Between the colours that are written down here they are interpolated; no channel is further
    than 2 of 255 from the published one.
    """
    words = _ANCHORS.split()
    known = np.array([[int(word[i : i + 2], 16) for i in (0, 2, 4)] for word in words])
    at, places = np.linspace(0, 1, count), np.linspace(0, 1, len(known))
    channels = [np.interp(at, places, known[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)


def levels(values: Any, count: int = 256) -> np.ndarray:
    """Return values from 0 to 1 as numbers of `count` colours, uint8; NaN as 0."""
    values = np.nan_to_num(np.asarray(values, np.float32), nan=0.0).clip(0, 1)
    return np.rint(values * (count - 1)).astype(np.uint8)
