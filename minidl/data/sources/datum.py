"""Turn the bytes of a Caffe Datum into an array and a label."""

from __future__ import annotations

from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from minidl import schema
from minidl.data.sources import image
from minidl.errors import DataError, FormatError
from minidl.storage import sniff, wire

Datum = schema.Datum
EXPECTED = "Caffe's Datum message, as convert_imageset writes it"
ANNOTATED = "an AnnotatedDatum, SSD's message of a picture with its boxes"
_MESSAGE_FIRST = b"\x0a"  # field 1 with a length; in a Datum it is a number


def parse(value: bytes) -> Any:
    """Return the Datum in the bytes of a record. Errors: DataError; the source adds the place."""
    kind = _other_kind(value)
    if kind:
        fix = 'type: "AnnotatedData" reads these' if kind == ANNOTATED else ""
        raise DataError(f"is {kind}", expected=EXPECTED, fix=fix)
    try:
        return Datum.FromString(value)
    except DecodeError:
        kind = sniff.guess(value[:1024])
        raise DataError(
            f"its {len(value)} bytes are not a Datum" + (f": {kind}" if kind else ""),
            expected=EXPECTED,
        ) from None


def _other_kind(value: bytes) -> str:
    """Return the kind of a record that does not begin like a Datum, though protobuf may read it."""
    if image.is_image(value):
        return "an image file by itself"
    if value[:1] != _MESSAGE_FIRST:
        return ""
    try:
        first = next(wire.Reader(np.frombuffer(value, np.uint8), "", "record").fields())
        inner = Datum.FromString(value[first.start : first.end])
    except (FormatError, DecodeError):
        return ""
    if inner.data or inner.float_data:
        return ANNOTATED
    return "a message of another kind: its first field is a message"


def to_array(datum: Any, color: bool | None = None, upright: bool = True) -> np.ndarray:
    """Return a Datum's values, (C, H, W): uint8 if it has bytes, else float32. May be read-only.

    datum   its `data` are C x H x W bytes or, if `encoded`, an image file; where `data` is empty,
            its `float_data` counts
    color   for encoded images: True for 3 channels (BGR), False for 1, None for what the file has
    upright   turn them as their EXIF orientation says

    Errors: DataError; the source adds the place.
    """
    return image.decode(datum.data, color, upright) if datum.encoded else _values(datum)


def encode(array: np.ndarray, label: int) -> bytes:
    """Return a Datum for an array (C, H, W): its bytes if uint8, else its values as floats."""
    channels, height, width = array.shape
    datum = Datum(channels=channels, height=height, width=width, label=label)
    if array.dtype == np.uint8:
        datum.data = array.tobytes()
    else:
        datum.float_data.extend(array.ravel().tolist())
    return datum.SerializeToString()


def _values(datum: Any) -> np.ndarray:
    shape = (datum.channels, datum.height, datum.width)
    data = datum.data
    values: np.ndarray
    if data:
        values = np.frombuffer(data, np.uint8)
    else:
        values = np.array(datum.float_data, np.float32)
    count = shape[0] * shape[1] * shape[2]
    if min(shape) < 1 or values.size != count:
        found = f"{values.size} {'bytes' if data else 'floats'}"
        raise DataError(
            f"has the shape {shape} and {found}",
            expected=f"{count} values of one kind" if min(shape) > 0 else "a shape of three sizes",
            fix="set encoded: true in the Datum, if this is an image file" if data else "",
        )
    return values.reshape(shape)
