"""Pictures that a command line names: files, folders of them, arrays."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from minidl.cli.pictures import load_npy
from minidl.errors import MinidlError, UsageError

log = logging.getLogger("minidl")


class Picture(NamedTuple):
    """A picture: its name, how to get its pixels, and the class whose folder it is in."""

    name: str
    load: Callable[[], Any]
    folder: str | None = None


def find(given: Sequence[str], load: Callable[[str], Any], ending: str = "") -> list[Picture]:
    """Return all pictures that were named: files, folders, images H x W x C of one size in a .npy.

    load     reads a file
    ending   use only files of a folder with this ending

    In a folder each folder is a class, as for `minidl dataset folder`.
    """
    found = []
    for name in given:
        path = Path(name)
        if path.suffix.lower() == ".npy":
            found += _of_array(path, load_npy(name))
        elif path.is_dir():
            found += _of_folder(path, load, ending)
        else:
            found.append(Picture(name, partial(load, name)))
    return found


def _of_array(path: Path, images: Any) -> list[Picture]:
    images = images[None] if images.ndim == 3 else images
    if images.ndim != 4 or not len(images):
        raise UsageError(f"has the shape {images.shape}", where=str(path), expected="(N, H, W, C)")
    get = images.__getitem__
    return [Picture(f"{path.name}[{i}]", partial(get, i)) for i in range(len(images))]


def _of_folder(folder: Path, load: Callable[[str], Any], ending: str) -> list[Picture]:
    from minidl.data import picture_folder

    wanted = f".{ending.lower().lstrip('.')}" if ending else ""
    paths: list[tuple[str, str | None]] = [
        (str(path), None)
        for path in sorted(folder.iterdir())
        if path.is_file() and _is_wanted(path.name, wanted)
    ]
    if any(path.is_dir() for path in folder.iterdir()):
        parts: Any = ()
        try:
            parts = picture_folder.find(folder).parts.values()
        except MinidlError:
            pass  # folders without pictures
        for classes in parts:
            for name, members in classes.items():
                paths += [(path, name) for path in members if _is_wanted(path, wanted)]
    if not paths:
        what = f"files ending in {wanted}" if wanted else "pictures"
        raise UsageError(f"has no {what}", where=str(folder), fix="--ext png" if wanted else "")
    return [Picture(path, partial(load, path), name) for path, name in paths]


def _is_wanted(name: str, ending: str) -> bool:
    from minidl.data import picture_folder

    own = os.path.splitext(name)[1].lower()
    hidden = os.path.basename(name).startswith(".")
    return not hidden and (own == ending if ending else own in picture_folder.ENDINGS)


def loaded(pictures: Sequence[Picture], size: int) -> Iterator[tuple[list[Picture], list[Any]]]:
    """Yield the pictures with their pixels, `size` of them at a time; those that cannot be read are
    left out, with a warning. Errors: that of the first, if none can be read."""
    first, read = None, 0
    for start in range(0, len(pictures), size):
        names, pixels = [], []
        for picture in pictures[start : start + size]:
            try:
                pixels.append(picture.load())
                names.append(picture)
            except MinidlError as error:
                first = first or error
                if len(pictures) > 1:
                    log.warning("left out: %s", str(error).splitlines()[0])
        read += len(names)
        if names:
            yield names, pixels
    if first is not None and not read:
        raise first
