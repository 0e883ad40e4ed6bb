"""Where the recorded numbers are, and how to read them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("MINIDL_SHARED", ROOT.parent / "shared"))


def shared(name: str) -> Path:
    """A file or folder of the shared reference material; skips the test where it is absent."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"reference material not found: {name} (set MINIDL_SHARED)")
    return path


def need_onednn() -> None:
    """Skip the test, saying why, where oneDNN is not available."""
    from minidl.arrays.device import Device
    from minidl.engines.onednn import OneDNN
    from minidl.engines.request import Declined

    if isinstance(loaded := OneDNN.load(Device("cpu")), Declined):
        pytest.skip(f"oneDNN: {loaded.reason}")


def golden(name: str) -> dict[str, np.ndarray]:
    """The arrays of one recorded case, `golden("layers/LRN__across.npz")`."""
    with np.load(shared("golden") / name) as arrays:
        return dict(arrays)


def golden_cases(pattern: str) -> list[str]:
    """Names of recorded cases below golden/ that fit a glob pattern ([] where absent)."""
    root = SHARED / "golden"
    return sorted(str(p.relative_to(root)) for p in root.glob(pattern))


def relative_error(got: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference over the largest magnitude of `expected`."""
    got, expected = np.asarray(got, np.float64), np.asarray(expected, np.float64)
    assert got.shape == expected.shape, f"shape {got.shape}, expected {expected.shape}"
    if got.size == 0:
        return 0.0
    return float(np.abs(got - expected).max() / max(np.abs(expected).max(), 1e-30))
