"""What a run has become, as one archive that is made while it is sent."""

from __future__ import annotations

import io
import tarfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from minidl.runs import job, store
from minidl.web import summary
from minidl.web.problems import NotFound

CHUNK = 1 << 18
BLOCK = 512  # bytes, which a tar archive is made of
NAMES = (
    store.SOLVER,
    store.TRAINING_NET,
    "original.prototxt",
    store.NET,
    store.DESCRIPTION,
    job.JOB,
    "labels.txt",
    "mean.binaryproto",
    "dataset.json",
    "evaluation.json",
    "predictions.csv",
    "confusion.csv",
)


def files(folder: Path, data: Path | None, iteration: int | None) -> list[tuple[str, Path]]:
    """Return (name, path) of what belongs into the archive of a job.

    data        its data set, for labels and the mean
    iteration   of the snapshot; None for the last
    """
    places = [folder, *([data] if data else [])]
    found = {}
    for name in NAMES:
        for place in places:
            path = place / name
            if path.is_file() and not path.is_symlink() and name not in found:
                found[name] = path
    weights = weights_of(folder, iteration)
    if weights:
        found[weights.name] = weights
    return list(found.items())


def weights_of(folder: Path, iteration: int | None) -> Path | None:
    """Return the weights of an iteration, or the last ones. Errors: NotFound for an iteration."""
    found = [one for one in summary.snapshots(folder) if one["weights"]]
    if iteration is not None:
        found = [one for one in found if one["iter"] == iteration]
        if not found:
            raise NotFound(f"has no weights of iteration {iteration}", where=folder.name)
    return folder / found[-1]["weights"] if found else None


def tar_gz(name: str, members: list[tuple[str, Path]]) -> Iterator[bytes]:
    """Yield a .tar.gz with some files in a folder of this name."""
    squeeze = zlib.compressobj(6, zlib.DEFLATED, 31)
    for called, path in members:
        with open(path, "rb") as file:
            facts = tarfile.TarInfo(f"{name}/{called}")
            file.seek(0, io.SEEK_END)
            facts.size, facts.mtime, facts.mode = file.tell(), int(path.stat().st_mtime), 0o644
            file.seek(0)
            yield squeeze.compress(facts.tobuf(tarfile.PAX_FORMAT))
            left = facts.size
            while left:
                chunk = file.read(min(CHUNK, left)) or bytes(min(CHUNK, left))  # cut since
                left -= len(chunk)
                yield squeeze.compress(chunk)
            yield squeeze.compress(bytes(-facts.size % BLOCK))
    yield squeeze.compress(bytes(2 * BLOCK))
    yield squeeze.flush()


def zipped(name: str, members: list[tuple[str, Path]]) -> Iterator[bytes]:
    """Yield a .zip with some files in a folder of this name."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for called, path in members:
            when = time.localtime(max(path.stat().st_mtime, 315619200))[:6]
            facts = zipfile.ZipInfo(f"{name}/{called}", when)
            facts.compress_type = zipfile.ZIP_DEFLATED
            with open(path, "rb") as file, archive.open(facts, "w", force_zip64=True) as member:
                while chunk := file.read(CHUNK):
                    member.write(chunk)
                    yield sink.take()
    yield sink.take()


class _Sink(io.RawIOBase):
    """Holds what was written since it was last taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        part = bytes(data)  # type: ignore[call-overload]
        self._parts.append(part)
        return len(part)

    def take(self) -> bytes:
        found = b"".join(self._parts)
        self._parts.clear()
        return found
