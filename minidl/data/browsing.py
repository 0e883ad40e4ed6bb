"""Records of a described data set, by number and by label, and pictures of them for people."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minidl.data import described, planes
from minidl.data.described import DataSet, Split
from minidl.data.sources import datum
from minidl.data.sources.datums import Store
from minidl.data.sources.hdf5 import Hdf5Rows
from minidl.data.sources.leveldb import raw
from minidl.errors import DataError, UsageError, did_you_mean

DATA, LABEL_SET = "data", "label"  # datasets of HDF5 files
QUICK = 1  # zlib level: these are looked at once
_NUMBERED = re.compile(r"\d{8,}_(.+)", re.DOTALL)


@dataclass(frozen=True)
class Record:
    """A record: its key without a number in front, its picture (C, H, W), and its label image."""

    name: str
    image: np.ndarray
    target: np.ndarray | None = None


class Part:
    """The records of one part of a data set.

    folder   of the data set
    part     "train", "val" or "test"

    found    the data set's description; split   that of the part
    labels   of all records, (N,), or None

    Errors: UsageError for a part that is not there; DataError for stores that are not what the
    description says.
    """

    def __init__(self, folder: str | os.PathLike[str], part: str) -> None:
        self.folder, self.found = Path(folder), described.read(folder)
        self.split = _split(self.found, part, folder)
        self.labels = described.read_labels(folder, part, self.split.records)
        index = described.index_file(folder, part)
        self._data = _open(described.store(folder, self.split), self.split, index)
        self._targets: Any = None
        if self.split.target:
            self._targets = _open(described.target(folder, self.split), self.split)

    def __len__(self) -> int:
        return self.split.records

    def __getitem__(self, number: int) -> Record:
        name, image = self._data[number]
        target = None if self._targets is None else self._targets[number][1]
        return Record(name, image, target)

    def of_label(self, label: int | None) -> Sequence[int]:
        """Return the numbers of all records, or of those with a label. Errors: UsageError."""
        if label is None:
            return range(len(self))
        if self.labels is None:
            raise UsageError("its records have no labels", where=str(self.folder))
        return np.flatnonzero(self.labels == label)  # type: ignore[return-value]

    def close(self) -> None:
        for source in filter(None, (self._data, self._targets)):
            source.close()


def _split(found: DataSet, part: str, folder: Any) -> Split:
    if part not in found.splits:
        raise UsageError(
            f"has no part '{part}'",
            where=str(folder),
            expected=", ".join(found.splits),
            fix=did_you_mean(part, found.splits),
        )
    return found.splits[part]


def _open(path: Path, split: Split, index: Path | None = None) -> Any:
    source = _Rows(path) if split.backend == "hdf5" else _Datums(path, index)
    if len(source) != split.records:
        source.close()
        raise DataError(
            f"has {len(source):,} records, but was described with {split.records:,}",
            where=str(path),
            fix="describe the data set again with --force",
        )
    return source


class _Datums:
    """An LMDB or LevelDB of Datums as a sequence of names and pictures."""

    def __init__(self, path: Path, index: Path | None) -> None:
        self._path = path
        self._store: Store = raw(path, index)

    def __len__(self) -> int:
        return len(self._store)

    def __getitem__(self, number: int) -> tuple[str, np.ndarray]:
        key, value = self._store[number]
        name = key.decode("utf-8", "surrogateescape")
        try:
            return name_of(name), datum.to_array(datum.parse(value))
        except DataError as error:
            error.where = f"{self._path}: record {number}, key '{name}'"
            raise

    def close(self) -> None:
        self._store.close()


class _Rows:
    """HDF5 files as a sequence of names and pictures."""

    def __init__(self, path: Path) -> None:
        self._rows = Hdf5Rows(path, [DATA])

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int) -> tuple[str, np.ndarray]:
        out = np.empty((1, *self._rows.shapes[0]), np.float32)
        self._rows.read([number], [out])
        return f"row {number}", as_picture(out[0])

    def close(self) -> None:
        self._rows.close()


def name_of(key: str) -> str:
    """Return the path in a key of convert_imageset's, '00000012_cats/tom.jpg'; else the key.

    >>> name_of("00000012_cats/tom.jpg"), name_of("00000012")
    ('cats/tom.jpg', '00000012')
    """
    match = _NUMBERED.fullmatch(key)
    return match[1] if match else key


def as_picture(row: np.ndarray) -> np.ndarray:
    """Return an array as (C, H, W): fewer axes are put in front, more are folded into rows."""
    if row.ndim > 3:
        return row.reshape(row.shape[0], -1, row.shape[-1])
    return row.reshape((1,) * (3 - row.ndim) + row.shape)


# ---------------------------------------------------------------------- pictures for people


def png(image: np.ndarray, side: int | None = None) -> bytes:
    """Return an array (C, H, W) as a PNG, no side longer than `side`.

    Bytes are shown as they are, three channels as blue, green and red; of floats the least is
    black and the greatest white. Of other numbers of channels the first is shown, of four the
    first three.
    """
    pixels = _bytes(image[:3] if len(image) in (3, 4) else image[:1])
    pillow = planes.pillow()
    channels = [pillow.fromarray(channel) for channel in pixels[::-1]]
    picture = channels[0] if len(channels) == 1 else pillow.merge("RGB", channels)
    return _file(picture, side)


def png_of_classes(labels: np.ndarray, side: int | None = None, ignore: int = -1) -> bytes:
    """Return a label image (1, H, W) as a PNG in which each label has a colour of its own.

    The colours are PASCAL VOC's; `ignore` is white.
    """
    picture = planes.pillow().fromarray(labels[0].astype(np.uint8)).convert("P")
    palette = colours()
    if ignore >= 0:
        palette[ignore] = 255
    picture.putpalette(palette.tobytes())
    return _file(picture, side, nearest=True)


def colours() -> np.ndarray:
    """Return PASCAL VOC's colours of 256 labels, (256, 3): red, green, blue.

    The bits of a label are dealt to the three in turn, from the highest bit of each down.
    """
    labels, found = np.arange(256), np.zeros((256, 3), np.uint8)
    for place in range(8):
        for channel in range(3):
            found[:, channel] |= ((labels >> channel & 1) << 7 - place).astype(np.uint8)
        labels >>= 3
    return found


def _bytes(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint8:
        return image
    values = np.nan_to_num(image.astype(np.float64), posinf=0, neginf=0)
    low, high = values.min(), values.max()
    return np.rint((values - low) * (255 / (high - low) if high > low else 0)).astype(np.uint8)


def _file(picture: Any, side: int | None, nearest: bool = False) -> bytes:
    if side:
        how = planes.pillow().Resampling
        picture.thumbnail((side, side), how.NEAREST if nearest else how.BILINEAR)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=QUICK)
    return buffer.getvalue()
