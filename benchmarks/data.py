"""How fast data sets are read: records, LeNet batches, AlexNet crops. `python benchmarks/data.py`

Writes about 150 MB below a temporary folder, and reads them from the page cache in one thread.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from minidl import schema  # noqa: E402
from minidl.arrays.rng import Streams  # noqa: E402
from minidl.data import lmdb_writer  # noqa: E402
from minidl.data.batches import Batch, Batches  # noqa: E402
from minidl.data.sampler import Sequential  # noqa: E402
from minidl.data.sources.btree import BTree  # noqa: E402
from minidl.data.sources.lmdb import Lmdb  # noqa: E402
from minidl.data.transform import Transform  # noqa: E402

BATCH, RUNS = 64, 5


def rates(count: int, run: Callable[[], None]) -> str:
    """'166,000 a second (150,000 to 167,000)': the median and the spread of several runs."""
    got = []
    for _ in range(RUNS):
        start = time.perf_counter()
        run()
        got.append(count / (time.perf_counter() - start))
    return f"{np.median(got):>10,.0f} a second  ({min(got):,.0f} to {max(got):,.0f})"


def read_with_liblmdb(folder: Path) -> None:
    import lmdb

    with lmdb.open(str(folder), readonly=True, lock=False) as env, env.begin() as transaction:
        for _ in transaction.cursor():
            pass


def read(folder: Path, order: list[int]) -> None:
    tree = BTree(folder / "data.mdb")
    for number in order:
        tree[number]
    tree.close()


def make_batches(folder: Path, count: int, **fields: object) -> None:
    param = schema.TransformationParameter(**fields)

    def refuse(found: str, **parts: str) -> None:
        raise ValueError(found)

    source = Lmdb(folder)
    transform = Transform(param, True, np.float32, refuse)  # type: ignore[arg-type]
    order = Sequential(len(source), BATCH)
    batches = Batches(source, transform, order, np.float32, Streams(1), "data")
    batch: Batch | None = None
    for number in range(count // BATCH):
        batch = batches.make(number, batch)
    source.close()


def main() -> None:
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as scratch:
        small, large, mean = (Path(scratch, name) for name in ("small", "large", "mean"))
        lmdb_writer.write(small, rng.integers(0, 256, (60000, 1, 28, 28), "u1"), np.zeros(60000))
        lmdb_writer.write(large, rng.integers(0, 256, (512, 3, 256, 256), "u1"), np.zeros(512))
        blob = schema.BlobProto(shape=dict(dim=[3, 256, 256]), data=rng.random(3 * 256 * 256))
        mean.write_bytes(blob.SerializeToString())
        jumps = rng.integers(0, 60000, 20000).tolist()
        full = dict(crop_size=227, mirror=True, mean_file=str(mean))
        for what, count, run in (
            ("records of 28 x 28, by liblmdb", 60000, lambda: read_with_liblmdb(small)),
            ("records of 28 x 28", 60000, lambda: read(small, list(range(60000)))),
            ("the same in random order", 20000, lambda: read(small, jumps)),
            ("28 x 28, scaled", 59968, lambda: make_batches(small, 59968, scale=1 / 256)),
            ("227 of 256", 512, lambda: make_batches(large, 512, crop_size=227)),
            ("227 of 256, mirror, mean", 512, lambda: make_batches(large, 512, **full)),
        ):
            print(f"{what:<32}{rates(count, run)}", flush=True)


if __name__ == "__main__":
    main()
