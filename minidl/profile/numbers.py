"""Normal numbers as bits of the types that a GPU multiplies."""

from __future__ import annotations

import numpy as np

from minidl.arrays.memory import Shape
from minidl.engines import tuning


def normal(shape: Shape, dtype: str) -> np.ndarray:
    """Return normal numbers, rounded to nearest, ties to even; they repeat."""
    values = tuning.normal()
    if dtype == "float32":
        bits = values.view(np.uint32)
    elif dtype == "float16":
        bits = values.astype(np.float16).view(np.uint16)
    else:
        wide = values.view(np.uint32).astype(np.uint64)
        bits = ((wide + 0x7FFF + (wide >> 16 & 1)) >> 16).astype(np.uint16)
    return np.resize(bits, shape)


def widened(bits: np.ndarray, dtype: str) -> np.ndarray:
    """Return such bits as float32."""
    if dtype == "float32":
        return bits.view(np.float32)
    if dtype == "float16":
        return bits.view(np.float16).astype(np.float32)
    return (bits.astype(np.uint32) << 16).view(np.float32)
