"""The mean image of a data set: the code behind `minidl compute_image_mean`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from minidl import schema
from minidl.data.imageset import Report
from minidl.data.sources import Source
from minidl.errors import DataError
from minidl.storage import files


def compute(source: Source, tick: Callable[[], object] = lambda: None) -> tuple[np.ndarray, Report]:
    """Return the mean of all records of a data set, (C, H, W) float32, and how many there were.

    Sums are whole numbers of 64 bits for bytes and float64 for floats, so bytes are summed exactly
    (Caffe adds up float32). A record that cannot be read is left out and listed in the report.
    Errors: DataError for records of different shapes, and if none can be read.
    """
    report, total, first = Report(), np.zeros(()), ""
    for number in range(len(source)):
        tick()
        try:
            key, image, _ = source[number]
        except DataError as error:
            report.unreadable.append(error)
            continue
        if not report.written:
            kind = np.int64 if image.dtype == np.uint8 else np.float64
            total, first = np.zeros(image.shape, kind), source.describe(number, key)
        if image.shape != total.shape:
            raise DataError(
                f"{source.describe(number, key)} has the shape {image.shape}, "
                f"but {first}, has {total.shape}",
                expected="records of one shape",
                fix="make the data set again with resize_height and resize_width"
                if len(image) == len(total)
                else "make the data set again with convert_imageset, which brings all pictures to "
                "three channels, or to one with --gray",
            )
        total += image if total.dtype == np.float64 else image.astype(np.int64)
        report.written += 1
    if not report.written:
        raise report.unreadable[0]
    return (total / report.written).astype(np.float32), report


def write(path: Path, mean: np.ndarray) -> None:
    """Write a mean image as Caffe's tool does: a BlobProto of 1 x C x H x W."""
    channels, height, width = mean.shape
    blob = schema.BlobProto(num=1, channels=channels, height=height, width=width)
    blob.data.extend(mean.ravel().tolist())
    files.write_all(path, [blob.SerializeToString()])
