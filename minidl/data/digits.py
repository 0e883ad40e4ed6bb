"""The handwritten digits that scikit-learn carries, made to look like MNIST."""

from __future__ import annotations

import numpy as np

from minidl.errors import DataError

TEST_SIZE = 360  # a fifth of the 1,797
SEED = 1797
WHITE = 16  # scikit-learn's largest value


def load() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """{"train": (images, labels), "test": (images, labels)}: images (N, 28, 28) uint8.

    1,797 digits of 13 writers, 8 x 8 pixels of 0 to 16, enlarged to 20 x 20 pixels of 0 to 255 in
    the middle of 28 x 28, as in MNIST. The 360 test digits are drawn at random, but each
    class has its share of them; the training digits come in random order, the same every time.

    Source: Alpaydin & Kaynak 1998, UCI "Optical recognition of handwritten digits", test part.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DataError(
            "the digits come with scikit-learn, which is not installed",
            fix="pip install scikit-learn",
        ) from None
    small, labels = load_digits(return_X_y=True)
    images = enlarge(small.reshape(-1, 8, 8).astype(np.int64), WHITE)
    test, train = split(labels)
    return {"train": (images[train], labels[train]), "test": (images[test], labels[test])}


def enlarge(small: np.ndarray, white: int, to: int = 20, frame: int = 28) -> np.ndarray:
    """Resize (N, k, k) images to (to, to) by linear interpolation, within an empty frame.

    small   integers from 0 to `white`, which becomes 255

    Integer arithmetic gives the same bytes everywhere.
    """
    k, unit = small.shape[1], 2 * to  # positions count in units of 1 / (2 to) of an old pixel
    centres = ((2 * np.arange(to) + 1) * k - to).clip(0, (k - 1) * unit)
    weights = np.maximum(unit - np.abs(centres[:, None] - unit * np.arange(k)), 0)
    sums = (weights @ small @ weights.T) * 255
    whole = white * unit * unit
    images = np.zeros((len(small), frame, frame), np.uint8)
    start = (frame - to) // 2
    inner = slice(start, start + to)
    images[:, inner, inner] = (2 * sums + whole) // (2 * whole)
    return images


def split(labels: np.ndarray, size: int = TEST_SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Indices of (test, train): `size` test items, each class by its share, all in random order."""
    rng = np.random.RandomState(SEED)  # NumPy promises its numbers for good; Generator's may change
    order = rng.permutation(len(labels))
    classes, counts = np.unique(labels, return_counts=True)
    shares = counts * size / len(labels)
    wanted = np.floor(shares).astype(int)
    largest_rest = np.argsort(wanted - shares, kind="stable")[: size - wanted.sum()]
    wanted[largest_rest] += 1
    chosen = [order[labels[order] == c][:n] for c, n in zip(classes, wanted, strict=True)]
    in_test = np.isin(order, np.concatenate(chosen))
    # Mixed again: what is left of `order` begins with the classes that were served first.
    return rng.permutation(order[in_test]), rng.permutation(order[~in_test])
