"""Pictures of records as small PNGs, from wherever the records come."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minidl.data.sources import image as image_files
from minidl.data.sources import leveldb
from minidl.data.sources.annotated import AnnotatedDatums
from minidl.errors import MinidlError, UsageError
from minidl.evaluation.sources import Origin
from minidl.storage import files

SIDE = 96  # of a small picture, at most


def png(pixels: np.ndarray, side: int | None = None) -> str:
    """Return pixels as a PNG in base64.

    pixels   uint8: (H, W), (H, W, 3) red, green, blue, or (1 or 3, H, W), blue first
    side     at most, in pixels, of the result; larger pictures are made smaller

    Errors: UsageError without Pillow.
    """
    try:
        from PIL import Image
    except ImportError:
        raise UsageError("pictures need Pillow", fix="pip install Pillow") from None
    picture = Image.fromarray(upright(pixels))
    if side is not None and max(picture.size) > side:
        picture.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=2.0)
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return base64.b64encode(file.getvalue()).decode("ascii")


def upright(pixels: np.ndarray) -> np.ndarray:
    """Return (H, W) or (H, W, 3) of what `png` takes; other channels than the first three are left
    out, and where there are two, the second."""
    if pixels.ndim == 3 and (pixels.shape[2] != 3 or pixels.shape[0] in (1, 3)):
        colours = pixels[2::-1] if len(pixels) >= 3 else pixels[:1]
        pixels = colours.transpose(1, 2, 0)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    return np.ascontiguousarray(pixels)


def to_bytes(values: np.ndarray) -> np.ndarray:
    """Return pixels from 0 to 255 as bytes, rounded; what is beyond is cut."""
    if values.dtype == np.uint8:
        return values
    return np.rint(np.nan_to_num(values.clip(0, 255))).astype(np.uint8)


class Finder:
    """Finds the pictures of records again.

        with Finder(origin) as find:
            pixels = find(17, "cat.jpg")

    `find` gives uint8 (C, H, W), blue first, and raises a MinidlError where there is none.
    """

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._close: Callable[[], object] = lambda: None
        if origin.kind in ("store", "boxes"):
            self._store = self._opened()
            self._close = self._store.close
        elif origin.kind != "files":
            raise UsageError(
                "rows of HDF5 files are not shown" if origin.kind else "its records are not kept",
                where=origin.path,
            )

    def __call__(self, number: int, name: str) -> np.ndarray:
        if self._origin.kind == "files":
            path = Path(self._origin.path, name)
            return image_files.decode(files.read(path, "image").tobytes(), True)
        return to_bytes(self._store[number].image)

    def __enter__(self) -> Finder:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _opened(self) -> Any:
        folder = Path(self._origin.path)
        if self._origin.kind == "store":
            return leveldb.open_store(folder)
        return AnnotatedDatums(folder, labels=False)


def found(origin: Origin, places: list[tuple[int, str]]) -> list[np.ndarray | str]:
    """Return the picture of each record (its number and its name), or a sentence on why there is
    none."""
    result: list[np.ndarray | str] = []
    try:
        with Finder(origin) as find:
            for number, name in places:
                try:
                    result.append(find(number, name))
                except MinidlError as error:
                    result.append(str(error).splitlines()[0])
    except MinidlError as error:
        return [str(error).splitlines()[0]] * len(places)
    return result
