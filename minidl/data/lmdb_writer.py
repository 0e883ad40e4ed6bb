"""Write arrays as an LMDB of Datums, whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np

from minidl.data.sources import datum
from minidl.errors import DataError

AT_ONCE = 1000  # records in a transaction, which is held in memory


def write(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Write images[i], (C, H, W), and labels[i] under the key '%08d' % i, replacing what is there.

    A neighbouring folder is filled, synced to the disk and renamed: whoever looks finds the old
    data set, the new one, or none, but never a part of one. Errors: DataError.
    """
    import lmdb

    fresh = folder.with_name(f".{folder.name}.{os.getpid()}.new")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        # A page holds at least half of its size in records; on Windows all of this is reserved.
        size = 3 * (images.nbytes + 64 * len(images)) + (1 << 22)
        with lmdb.open(str(fresh), map_size=size, lock=False, sync=False) as env:
            for first in range(0, len(images), AT_ONCE):
                with env.begin(write=True) as transaction:
                    for i in range(first, min(first + AT_ONCE, len(images))):
                        value = datum.encode(images[i], int(labels[i]))
                        transaction.put(b"%08d" % i, value, append=True)
            env.sync(True)
        _replace(fresh, folder)
    except (OSError, lmdb.Error) as error:
        raise DataError(f"cannot be written: {error}", where=str(folder)) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _replace(fresh: Path, folder: Path) -> None:
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    if folder.exists():
        folder.rename(old)
    try:
        fresh.rename(folder)
    except BaseException:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)
    if hasattr(os, "O_DIRECTORY"):  # make the renaming last through a power cut, where one can
        handle = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
