"""What the page asks of data sets: scan a folder, make a data set of it, show a page of records.

    python benchmarks/data_sets.py [FILES] [RECORDS]

Prints files a second of `minidl dataset scan` (small PNG and JPEG files, in memory), pictures a
second of `minidl dataset folder` (photographs of 375 x 500 to 256 x 256), and milliseconds of
`minidl dataset browse`, 50 records with a label filter, near the end of RECORDS small ones in an
LMDB, a LevelDB and an HDF5 file, and of photographs. Wall-clock times in a process that is warm,
the median of 5.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.decoding import photograph  # noqa: E402
from minidl import cli  # noqa: E402
from minidl.data import lmdb_writer  # noqa: E402
from minidl.data.sources.leveldb import raw  # noqa: E402

ROUNDS = 5


def main(files: int = 20_000, records: int = 100_000) -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        small_files(place / "small", files)
        seconds = timed("scan", str(place / "small"), "--json")
        print(f"scan      {files / seconds:8,.0f} files/s of {files:,}")
        photographs(place / "photos", 600)
        for kind in ("", "jpg", "png"):
            words = ["--encode-type", kind] if kind else []
            out = place / f"photos_{kind or 'raw'}"
            words = ["folder", str(place / "photos"), "--size", "256", "--out", str(out), *words]
            print(
                f"folder    {600 / timed(*words, rounds=1):8,.0f} pictures/s as {kind or 'pixels'}"
            )
        for store in stores(place, records):
            out = place / f"of_{store.name}"
            timed("store", "--train", str(store), "--out", str(out), rounds=1)
            shown(out, f"{records:,} records of {store.name}", records // 10 - 100)
        for out in sorted(place.glob("photos_*")):
            shown(out, f"photographs as {out.name.removeprefix('photos_')}", 0)


def shown(data: Path, what: str, offset: int) -> None:
    words = ["browse", str(data), "--split", "train", "--label", "3", "--offset", str(offset)]
    print(f"browse    {1000 * timed(*words, '--json'):8,.0f} ms of {what}")


def timed(*words: str, rounds: int = ROUNDS) -> float:
    """Return seconds that a command takes, what it prints left aside."""
    taken = []
    for _ in range(rounds + (rounds > 1)):
        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            assert cli.main(["dataset", *words]) == 0
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:] or taken)


def small_files(folder: Path, count: int) -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (28, 28, 3), np.uint8)
    kinds = {}
    for kind in ("PNG", "JPEG"):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, kind)
        kinds[kind.lower()] = file.getvalue()
    for i in range(count):
        kind = "png" if i % 2 else "jpeg"
        path = folder / f"class{i % 10}" / f"{i}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(kinds[kind])


def photographs(folder: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    for i in range(count):
        path = folder / f"class{i % 5}" / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photograph(375, 500, rng))


def stores(folder: Path, count: int) -> list[Path]:
    """Write random records of 1 x 28 x 28 as LMDB, and as the others if their packages are here."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (count, 1, 28, 28), np.uint8), np.arange(count) % 10
    found = [folder / "lmdb"]
    lmdb_writer.write(found[0], images, labels)
    with contextlib.suppress(ImportError):
        import plyvel

        records = raw(found[0])
        with plyvel.DB(str(folder / "leveldb"), create_if_missing=True) as store:
            for number in range(count):
                store.put(*records[number])
        found.append(folder / "leveldb")
    with contextlib.suppress(ImportError):
        import h5py

        with h5py.File(folder / "rows.h5", "w") as file:
            file["data"], file["label"] = images, labels
        found.append(folder / "rows.h5")
    return found


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
