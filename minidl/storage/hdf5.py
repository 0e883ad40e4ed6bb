"""Read HDF5 files with care and write them whole: shared by weights and solver states."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from minidl.errors import FormatError, UsageError
from minidl.storage import files

_DEEPEST, _MOST_LINKS = 32, 1 << 17  # a damaged group may hold itself
_MOST_AXES = 32  # Caffe's and HDF5's own limit
_LONGEST_TEXT = 1 << 24
_BEST_RATIO = 1100  # of compression that is believed; deflate's own limit is 1032


@contextlib.contextmanager
def reading(path: str | os.PathLike[str], what: str) -> Iterator[Any]:
    """Yield the h5py.File at `path`; anything that goes wrong inside the block is the file's fault.

    what    the kind of file, for messages: "weights", "solver state"

    Errors: FormatError for a file that is cut short, damaged or not HDF5; UsageError for a path
    that cannot be read, and where h5py is not installed.
    """
    with explaining(path, what), open_file(path, what) as file:
        yield file


def open_file(path: str | os.PathLike[str], what: str) -> Any:
    """Return the h5py.File at `path`, for the caller to close; errors as in `reading`."""
    files.head(path, what)  # refuses a path that is absent, a folder or a pipe, in plain words
    h5py = _h5py(path, what)
    with explaining(path, what):
        return h5py.File(path, "r", locking=False)  # locks fail on some network drives


def explaining(path: str | os.PathLike[str], what: str) -> contextlib.AbstractContextManager[None]:
    """Blame the file at `path` for anything that goes wrong inside the block."""
    return files.explaining(path, "HDF5", f"a complete {what} file in HDF5")


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[Any]:
    """Yield a new h5py.File that appears under `path` when the block ends, whole or not at all."""
    h5py = _h5py(path, "file")
    memory = io.BytesIO()
    with h5py.File(memory, "w", libver="earliest") as file:  # what HDF5 1.8, Caffe's, reads
        yield file
    files.write_all(path, [memory.getbuffer()])


def available() -> bool:
    """Return whether h5py is installed."""
    try:
        import h5py  # noqa: F401
    except ImportError:
        return False
    return True


def _h5py(path: str | os.PathLike[str], what: str) -> Any:
    try:
        import h5py
    except ImportError:
        raise UsageError(
            f"is a {what} in HDF5, and h5py, which reads and writes such files, is not installed",
            where=str(path),
            fix="pip install h5py",
        ) from None
    return h5py


def datasets(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield ("conv1/0", dataset) for all datasets in a group and its subgroups, in HDF5's order.

    Links to other places and other files are skipped: Caffe never wrote one.
    """
    import h5py

    waiting, links = [(group, "", 0)], 0
    while waiting:
        inner, prefix, depth = waiting.pop()
        below = []
        for name in inner:
            links += 1
            if links > _MOST_LINKS or depth > _DEEPEST:
                raise FormatError(
                    "its groups never end", where=path, fix="copy or download the file again"
                )
            if not isinstance(inner.get(name, getlink=True), h5py.HardLink):
                continue
            item = inner[name]
            if isinstance(item, h5py.Group):
                below.append((item, f"{prefix}{name}/", depth + 1))
            elif isinstance(item, h5py.Dataset):
                yield f"{prefix}{name}", item
        waiting += below[::-1]


def floats(dataset: Any, name: str, path: str) -> np.ndarray:
    """A dataset's values in float32 or, if it has 64-bit floats, float64.

    Whole numbers become float32, as when Caffe reads them. Errors: FormatError for other types,
    and for a dataset that claims more values than the file can hold.
    """
    kind, wide = dataset.dtype.kind, dataset.dtype == np.float64
    if kind not in "fiu" or dataset.dtype.itemsize > 8:
        raise FormatError(
            f"{name} has the type {dataset.dtype}", where=path, expected="32-bit floats"
        )
    check_size(dataset, name, path)
    values = np.asarray(dataset[()])
    return np.ascontiguousarray(values, np.float64 if wide else np.float32).reshape(values.shape)


def check_size(dataset: Any, name: str, path: str) -> None:
    """Refuse a dataset that was never written: libhdf5 would make it up, of any size, in memory."""
    stored = dataset.id.get_storage_size()
    most = stored * (_BEST_RATIO if dataset.chunks else 1)
    if dataset.is_virtual or dataset.external:
        raise FormatError(f"{name} has its values in another file", where=path)
    if len(dataset.shape) > _MOST_AXES or dataset.size * dataset.dtype.itemsize > most:
        raise FormatError(
            f"{name} has the shape {dataset.shape}, but {stored:,} bytes",
            where=path,
            fix="copy or download the file again",
        )


def check_all(group: Mapping[str, Any], path: str | os.PathLike[str], what: str) -> None:
    """Refuse datasets that would together take far more memory than the file has bytes."""
    for name, dataset in group.items():
        check_size(dataset, name, str(path))
    size = sum(dataset.size * max(4, dataset.dtype.itemsize) for dataset in group.values())
    files.check_unpacked(size, path, what)


def whole_number(file: Any, name: str, path: str) -> int:
    """Return the single whole number in a dataset of this name, as Caffe writes it: shape (1,)."""
    dataset = _member(file, name, path)
    if dataset.dtype.kind not in "iu" or dataset.size != 1:
        raise FormatError(
            f"its '{name}' has the shape {dataset.shape} and the type {dataset.dtype}",
            where=path,
            expected="one whole number",
        )
    check_size(dataset, name, path)
    return int(np.asarray(dataset[()]).reshape(-1)[0])


def text(file: Any, name: str, path: str) -> str:
    """Return the string in a dataset of this name; bytes that are not UTF-8 become U+FFFD."""
    dataset = _member(file, name, path)
    if dataset.dtype.kind not in "SO" or dataset.size != 1:
        raise FormatError(
            f"its '{name}' has the type {dataset.dtype}", where=path, expected="a string"
        )
    check_size(dataset, name, path)
    if dataset.dtype.itemsize > _LONGEST_TEXT:
        raise FormatError(f"its '{name}' has {dataset.dtype.itemsize:,} bytes", where=path)
    value = np.asarray(dataset[()]).reshape(-1)[0]
    value = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
    return value.split(b"\0")[0].decode("utf-8", "replace")


def octets(file: Any, name: str, path: str) -> bytes:
    """The bytes in a dataset of 8-bit whole numbers."""
    dataset = _member(file, name, path)
    if dataset.dtype != np.uint8:
        raise FormatError(f"its '{name}' has the type {dataset.dtype}", where=path)
    check_size(dataset, name, path)
    return np.asarray(dataset[()]).tobytes()


def put_text(file: Any, name: str, value: str) -> None:
    """Store a string as Caffe writes and expects it: of fixed length, closed by a NUL byte."""
    import h5py

    data = value.encode("utf-8", "surrogateescape")
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(len(data) + 1)
    space = h5py.h5s.create(h5py.h5s.SCALAR)
    dataset = h5py.h5d.create(file.id, name.encode(), kind, space)
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array(data + b"\0", f"S{len(data) + 1}"), kind)


def _member(file: Any, name: str, path: str) -> Any:
    import h5py

    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise FormatError(f"has no dataset '{name}'", where=path)
    return found
