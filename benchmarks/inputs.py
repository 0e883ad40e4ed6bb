"""What every contender is given: the same images and labels, from a seed. Imports NumPy alone.

The rate is a hundredth of the zoo's: what starts from `models.fill` would diverge at that on a few
images, and what diverges cannot be compared.
"""

from __future__ import annotations

import numpy as np

IMAGE = {
    "lenet": (1, 28, 28),
    **dict.fromkeys(("alexnet", "squeezenet"), (3, 227, 227)),
    **dict.fromkeys(("resnet18", "resnet50", "mobilenet"), (3, 224, 224)),
}
CLASSES = dict.fromkeys(IMAGE, 1000) | {"lenet": 10}
SEED = 1
RATE, MOMENTUM, DECAY = 0.0001, 0.9, 0.0005


def batch_of(name: str, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, C, H, W), float32, of unit variance; labels (N), int64."""
    random = np.random.default_rng(SEED)
    images = random.standard_normal((batch, *IMAGE[name]), np.float32)
    return images, random.integers(0, CLASSES[name], batch)
