"""The mean image of a data set: the code behind `minidl compute_image_mean`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from minidl import schema
from minidl.data.imageset import Report
from minidl.data.moments import Moments
from minidl.data.sources import Source
from minidl.errors import DataError
from minidl.storage import files


def compute(source: Source, tick: Callable[[], object] = lambda: None) -> tuple[np.ndarray, Report]:
    """Return the mean of all records of a data set, (C, H, W) float32, and how many there were.

    As `moments`. Caffe adds up float32.
    """
    found, report = moments(source, tick)
    return found.image(), report


def moments(source: Source, tick: Callable[[], object] = lambda: None) -> tuple[Moments, Report]:
    """Add up all records of a data set; a record that cannot be read is left out and listed.

    Errors: DataError for records of different shapes, and if none can be read.
    """
    report, found, first = Report(), Moments(), ""
    for number in range(len(source)):
        tick()
        try:
            key, image, _ = source[number]
        except DataError as error:
            report.unreadable.append(error)
            continue
        if not found.count:
            first = source.describe(number, key)
        elif image.shape != found.shape:
            raise DataError(
                f"{source.describe(number, key)} has the shape {image.shape}, "
                f"but {first}, has {found.shape}",
                expected="records of one shape",
                fix="make the data set again with resize_height and resize_width"
                if len(image) == found.shape[0]
                else "make the data set again with convert_imageset, which brings all pictures to "
                "three channels, or to one with --gray",
            )
        found.add(image)
    report.written = found.count
    if not found.count:
        raise report.unreadable[0]
    return found, report


def write(path: Path, mean: np.ndarray) -> None:
    """Write a mean image as Caffe's tool does: a BlobProto of 1 x C x H x W."""
    channels, height, width = mean.shape
    blob = schema.BlobProto(num=1, channels=channels, height=height, width=width)
    blob.data.extend(mean.ravel().tolist())
    files.write_all(path, [blob.SerializeToString()])
