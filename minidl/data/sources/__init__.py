"""The sources of records: each source is a sequence of Samples."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np


class Sample(NamedTuple):
    """One record: `key` for messages, `image` of shape (C, H, W), uint8 or float32, and `label`.

    The label is a number or, where records have several, an array (L,) of them; or, for all
    pixels, an image (1, H, W).
    """

    key: str
    image: np.ndarray
    label: Any

    @property
    def label_shape(self) -> tuple[int, ...]:
        """(), (L,) or (1, H, W)"""
        return np.shape(self.label)


class Source(Protocol):
    """A sequence of Samples that any number of threads may read.

    Going forward by one is the fast case. A record that cannot be used is a DataError that names
    the source, the record's number and its key.
    """

    decoded: bool  # whether records are image files, which take time

    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> Sample: ...

    def describe(self, number: int, key: str) -> str:
        """'record 128, key '00000128', of data/mnist/train_lmdb'"""

    def close(self) -> None: ...
