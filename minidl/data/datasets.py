"""Get a data set and write it as LMDB: the code behind `minidl dataset`."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from minidl.data import digits, download, idx, lmdb_writer
from minidl.data.download import Remote
from minidl.data.sources.lmdb import Lmdb
from minidl.errors import DataError, UsageError, did_you_mean
from minidl.storage.files import sha256

log = logging.getLogger("minidl")
PARTS = ("train", "test")
Arrays = dict[str, tuple[np.ndarray, np.ndarray]]  # part -> images (N, H, W) uint8, labels (N)

IDX_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def _four(*files: tuple[int, str]) -> tuple[Remote, ...]:
    """The gzipped files of a data set, from the size and the checksum of each."""
    names = [f"{name}.gz" for names in IDX_FILES.values() for name in names]
    return tuple(Remote(name, *file) for name, file in zip(names, files, strict=True))


FILES = {
    "mnist": _four(
        (9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        (28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        (1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        (4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    ),
    "fashion-mnist": _four(
        (26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        (29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        (4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        (5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    ),
}
MIRRORS = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion-mnist": ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
}


def listing() -> dict[str, str]:
    """Return the data sets by name, each described in one line."""
    return {
        "digits": "1,797 handwritten digits, 28 x 28; come with scikit-learn, no download",
        "mnist": "70,000 handwritten digits, 28 x 28 (LeCun, Cortes & Burges); 11 MB",
        "fashion-mnist": "70,000 pieces of clothing, 28 x 28 (Xiao, Rasul & Vollgraf); 29 MB",
    }


CLOTHES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


def labels(name: str) -> tuple[str, ...]:
    """Return the names of a data set's classes."""
    return CLOTHES if name == "fashion-mnist" else tuple("0123456789")


def check(name: str, source: str | os.PathLike[str] | None = None) -> None:
    """Refuse the name of no data set, and a source for one that has its own. Errors: UsageError."""
    if name not in listing():
        raise UsageError(
            f"there is no data set '{name}'",
            expected=", ".join(listing()),
            fix=did_you_mean(name, listing()),
        )
    if source is not None and name == "digits":
        raise UsageError("digits come with scikit-learn, not from a folder", fix="leave out --from")


def prepare(
    name: str,
    source: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    force: bool = False,
    progress: bool = True,
) -> dict[str, int]:
    """Write OUT/train_lmdb and OUT/test_lmdb; return the number of records in each path.

    name      "digits", "mnist" or "fashion-mnist"
    source    folder with the idx files, gzipped or not, instead of the download
    out       "data/NAME" by default, where the nets of the zoo look
    force     replace existing stores
    progress  show a bar while downloading

    Records are Caffe's: Datums of 1 x 28 x 28 bytes and a label, keys of eight digits. Downloads
    are kept in OUT/downloads. Errors: UsageError for an unknown name; DataError and FormatError
    for bad files; existing stores then remain.
    """
    check(name, source)
    folder = Path(out) if out is not None else Path("data", name)
    load: Callable[[], Arrays]
    if name == "digits":
        load = digits.load
    else:
        load = lambda: _load_idx(name, source, folder, progress)  # noqa: E731
    arrays: Arrays | None = None
    counts = {}
    for part in PARTS:
        path = folder / f"{part}_lmdb"
        if os.path.exists(path) and not force:
            counts[str(path)] = _count(path)
            log.info("%s exists already (%d records)", path, counts[str(path)])
            continue
        arrays = load() if arrays is None else arrays
        images, labels = arrays[part]
        lmdb_writer.write(path, images[:, np.newaxis], labels)
        counts[str(path)] = len(images)
        log.info("Wrote %s (%d records)", path, len(images))
    return counts


def _load_idx(
    name: str, source: str | os.PathLike[str] | None, out: Path, progress: bool
) -> Arrays:
    folder = Path(source) if source is not None else out / "downloads"
    if source is None:
        for file in FILES[name]:
            download.fetch(file, MIRRORS[name], folder, progress)
    else:
        _refuse_other(name, folder)
    return {part: _load_part(folder, *names) for part, names in IDX_FILES.items()}


def _refuse_other(name: str, folder: Path) -> None:
    """Refuse gzipped files that, by their checksums, are those of another data set.

    All of them have the same names. Unpacked or repacked ones cannot be told apart.
    """
    known = {file.sha256: other for other, files in FILES.items() for file in files}
    for file in (part for names in IDX_FILES.values() for part in names):
        path = idx.find(folder, file)
        other = known.get(sha256(path), name)
        if other != name:
            raise DataError(
                f"is a file of {other}, not of {name}, by its checksum",
                where=str(path),
                fix=f"minidl dataset {other} --from {folder}",
            )


def _load_part(folder: Path, images_name: str, labels_name: str) -> tuple[np.ndarray, np.ndarray]:
    paths = idx.find(folder, images_name), idx.find(folder, labels_name)
    images, labels = idx.read(paths[0]), idx.read(paths[1])
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels) or not images.size:
        raise DataError(
            f"holds images of shape {images.shape}, {paths[1].name} labels of shape {labels.shape}",
            where=str(paths[0]),
            expected="images (N, H, W) and N labels, N at least 1",
        )
    return images, labels


def _count(path: Path) -> int:
    """Return the number of records in an existing data set; refuse an incomplete one."""
    try:
        lmdb = Lmdb(path)
    except DataError as error:
        error.fix = "write it again with --force"
        raise
    try:
        return len(lmdb)
    finally:
        lmdb.close()
