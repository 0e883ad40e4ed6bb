"""Image files into an LMDB of Datums: the code behind `minidl convert_imageset`."""

from __future__ import annotations

import contextlib
import io
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minidl.data import planes
from minidl.data.lmdb_writer import Writer
from minidl.data.sources import datum, image
from minidl.data.sources.image_list import ImageList
from minidl.errors import DataError

OTHERS = "PNG"  # format for files of other kinds
FORMATS = {"jpg": "JPEG", "jpeg": "JPEG", "png": "PNG", "bmp": "BMP", "webp": "WEBP"}
QUALITY = 95  # of JPEG, as OpenCV's
LABELS = range(-(1 << 31), 1 << 31)  # of a Datum


@dataclass(frozen=True)
class Form:
    """The form in which an image is stored.

    resize       brings an image (C, H, W) to a size; None: as it is
    color        3 channels, else 1
    encoded      an image file, else plain bytes
    encode_type  ending of the kind of file: jpg, png, ...; "": that of the file itself,
                 which is stored as it is where it has three channels of 8 bits and need not be
                 turned; else a kind that FORMATS lacks becomes a PNG
    upright      turned as its EXIF orientation says
    """

    resize: Callable[[np.ndarray], np.ndarray] | None = None
    color: bool = True
    encoded: bool = False
    encode_type: str = ""
    upright: bool = True


@dataclass
class Report:
    """How many images were written, and the errors of those that could not be read, in order, with
    their numbers."""

    written: int = 0
    unreadable: list[DataError] = field(default_factory=list)
    left_out: list[int] = field(default_factory=list)


def convert(
    images: ImageList,
    folder: Path,
    form: Form,
    order: Iterable[int],
    *,
    labels_folder: Path | None = None,
    check_size: bool = False,
    workers: int = 1,
    tick: Callable[[], object] = lambda: None,
) -> Report:
    """Write an LMDB of Datums, whole or not at all, under the keys '%08d_PATH' as Caffe does.

    order          numbers of the images, in the order in which they are written
    labels_folder  where the labels go in a store of their own, as float Datums L x 1 x 1 under the
                   same keys; None: into the images' Datums, as one whole number
    check_size     refuse an image whose size in bytes differs from the first one's
    tick           called after each image

    An image that cannot be read is left out and listed in the report. Errors: DataError for labels
    that a Datum cannot hold, sizes that differ, and if no image can be read.
    """
    if labels_folder is None:
        check_labels(images)
    report, first = Report(), None
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(Writer(folder))
        beside = stack.enter_context(Writer(labels_folder)) if labels_folder else None
        made = ((n, lambda n=n: _datum(images, n, form)) for n in order)
        for number, message in ahead(made, workers):
            tick()
            if isinstance(message, DataError):
                report.unreadable.append(message)
                report.left_out.append(number)
                continue
            key = f"{report.written:08d}_{images.paths[number]}".encode("utf-8", "surrogateescape")
            if check_size:
                size = (images.paths[number], len(message.data))
                first = first or size
                if size[1] != first[1]:
                    raise DataError(
                        f"{size[0]} has {size[1]} bytes, {first[0]} has {first[1]}",
                        where=str(images.file),
                        expected="images of one size, because of check_size",
                        fix="give resize_height and resize_width",
                    )
            if beside is None:
                message.label = int(images.labels[number, 0])
            else:
                values = images.labels[number].reshape(-1, 1, 1)
                beside.put(key, datum.encode(values.astype(np.float32), 0))
            store.put(key, message.SerializeToString())
            report.written += 1
        if not report.written:
            raise report.unreadable[0]
    return report


def check_labels(images: ImageList) -> None:
    """Refuse labels that a Datum cannot hold: it has one, a whole number of 32 bits."""
    if images.count > 1:
        raise DataError(
            f"has {images.count} labels a line, but a Datum holds one",
            where=str(images.file),
            fix="write them into a store of their own with --labels, or read the list by ImageData",
        )
    for label, line in zip(images.labels[:, 0], images.lines, strict=True):
        if label != int(label) or int(label) not in LABELS:
            raise DataError(
                f"the label is {label:g}",
                where=f"{images.file}:{line}",
                expected="a whole number of 32 bits, as a Datum holds",
                fix="write real labels into a store of their own with --labels",
            )


def _datum(images: ImageList, number: int, form: Form) -> Any:
    """Return the Datum of an image, without its label, or the error if it cannot be read."""
    try:
        data = images.read(number)
        pixels = image.decode(data, form.color, form.upright)
        kind = form.encode_type.lower() or Path(images.paths[number]).suffix[1:].lower()
        own = Path(images.paths[number]).suffix[1:].lower()
        if (
            form.encoded
            and form.resize is None
            and form.color
            and FORMATS.get(kind) == FORMATS.get(own)
            and image.is_plain(data, form.upright)
        ):
            return datum.Datum(encoded=True, data=data)  # as it is; decoding has shown it is whole
        if form.resize is not None:
            pixels = form.resize(pixels)
        if form.encoded:
            return datum.Datum(encoded=True, data=encode(pixels, kind))
        channels, height, width = pixels.shape
        return datum.Datum(channels=channels, height=height, width=width, data=pixels.tobytes())
    except DataError as error:
        error.where = error.where or images.describe(number, images.paths[number])
        return error


def encode(pixels: np.ndarray, kind: str) -> bytes:
    """Return the file of an image (C, H, W), blue, green and red or grey."""
    plain = pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels[::-1].transpose(1, 2, 0))
    buffer = io.BytesIO()
    form = FORMATS.get(kind, OTHERS)
    options = {"quality": QUALITY} if form == "JPEG" else {}
    planes.pillow().fromarray(plain).save(buffer, form, **options)
    return buffer.getvalue()


def ahead(
    calls: Iterable[tuple[int, Callable[[], Any]]], workers: int
) -> Iterator[tuple[int, Any]]:
    """(number, result) of calls that threads make, in order, a few ahead of who takes them."""
    calls = iter(calls)
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque((n, pool.submit(c)) for n, c in itertools.islice(calls, 4 * workers))
        while waiting:
            number, future = waiting.popleft()
            waiting.extend((n, pool.submit(c)) for n, c in itertools.islice(calls, 1))
            yield number, future.result()
