"""BlobProto, the message that holds one array, to NumPy and back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidl import schema
from minidl.storage.wire import BYTES, VARINT, Field, Reader, field, head, varint

# Field numbers of BlobProto and BlobShape.
_LEGACY_AXES = (1, 2, 3, 4)  # num, channels, height, width
_DATA, _DIFF, _SHAPE, _DOUBLE_DATA, _DOUBLE_DIFF = 5, 6, 7, 8, 9
_RAW_TYPE, _RAW_DATA = 10, 12  # of NVIDIA's Caffe
_RAW = {0: "<f8", 1: "<f4", 2: "<f2"}  # its Type: DOUBLE, FLOAT, FLOAT16
_DIM = 1
_MOST_AXES, _MOST_ITEMS = 32, 2**31 - 1  # Caffe's own limits


def from_blob(blob: Any) -> np.ndarray:
    """The array in a BlobProto: float32, or float64 if it holds `double_data`."""
    data = np.frombuffer(blob.SerializeToString() or b"", np.uint8)
    array, _ = parse(Reader(data, "BlobProto", "BlobProto"), 0, data.size, "")
    return array.copy()


def to_blob(array: np.ndarray, diff: np.ndarray | None = None) -> Any:
    """A BlobProto with an array and, if given, its gradient."""
    return schema.BlobProto.FromString(b"".join(bytes(c) for c in serialize(array, diff)))


def parse(reader: Reader, start: int, end: int, within: str) -> tuple[np.ndarray, bool]:
    """(array, legacy) of the BlobProto in these bytes of a file; gradients are passed over.

    The array is a view of the file's bytes where they are contiguous, as Caffe writes them.
    `legacy`: its shape was given by the old fields num, channels, height and width. Values of 16
    bits, as NVIDIA's Caffe may write them, become float32.
    """
    parts: dict[int, list[np.ndarray]] = {_DATA: [], _DOUBLE_DATA: []}
    raw: Field | None = None
    raw_type = 1
    old: dict[int, int] = {}
    shape: list[int] = []
    for item in reader.fields(start, end, within):
        if item.number in _LEGACY_AXES:
            old[item.number] = reader.integer(item, within)
        elif item.number == _SHAPE:
            reader.expect(item, BYTES, within)
            shape += _dims(reader, item.start, item.end, within)
        elif item.number == _DATA:
            parts[_DATA].append(reader.numbers(item, "<f4", within))
        elif item.number == _DOUBLE_DATA:
            parts[_DOUBLE_DATA].append(reader.numbers(item, "<f8", within))
        elif item.number == _RAW_TYPE:
            raw_type = reader.integer(item, within)
        elif item.number == _RAW_DATA:
            reader.expect(item, BYTES, within)
            raw = item
    if raw is not None:
        if raw_type not in _RAW:
            reader.fail(raw.start, within, f"raw_data of type {raw_type}")
        values = reader.numbers(raw, _RAW[raw_type], within)
        wide = _DOUBLE_DATA if raw_type == 0 else _DATA
        parts[wide].append(values.astype("<f4") if raw_type == 2 else values)
    double = any(part.size for part in parts[_DOUBLE_DATA])
    chunks = parts[_DOUBLE_DATA] if double else parts[_DATA] or parts[_DOUBLE_DATA]
    values = chunks[0] if len(chunks) == 1 else np.concatenate(chunks or [np.empty(0, "<f4")])
    if old:
        shape = [old.get(axis, 0) for axis in _LEGACY_AXES]
    wrong = len(shape) > _MOST_AXES or any(d < 0 for d in shape)
    if wrong or math.prod(shape) > _MOST_ITEMS:
        reader.fail(start, within, f"the shape {tuple(shape[:_MOST_AXES])}")
    if math.prod(shape) != values.size:
        reader.fail(start, within, f"{values.size:,} values for the shape {tuple(shape)}")
    try:
        return values.reshape(shape), bool(old)
    except ValueError:  # no values in a shape such as (0, 2**31, 2**31, 2**31)
        reader.fail(start, within, f"the shape {tuple(shape)}")


def _dims(reader: Reader, start: int, end: int, within: str) -> list[int]:
    """The extents in a BlobShape, packed or not."""
    dims: list[int] = []
    for item in reader.fields(start, end, within):
        if item.number != _DIM:
            continue
        if item.kind == VARINT:
            dims.append(reader.integer(item, within))
            continue
        reader.expect(item, BYTES, within)
        at = item.start
        while at < item.end and len(dims) <= _MOST_AXES:
            value, at = reader.varint(at, item.end, within)
            dims.append(value - (1 << 64) if value >> 63 else value)
    return dims


def serialize(array: np.ndarray, diff: np.ndarray | None = None) -> list[Any]:
    """The bytes of a BlobProto in pieces: small headers, and the array itself without a copy."""
    pieces: list[Any] = []
    if diff is not None and diff.shape != array.shape:
        raise ValueError(f"a gradient of shape {diff.shape} for values of shape {array.shape}")
    for values, single, double in ((array, _DATA, _DOUBLE_DATA), (diff, _DIFF, _DOUBLE_DIFF)):
        if values is None:
            continue
        wide = array.dtype == np.float64
        flat = np.ascontiguousarray(values, "<f8" if wide else "<f4").reshape(-1).view(np.uint8)
        pieces += [head(double if wide else single, flat.size), flat]
    dims = b"".join(varint(d) for d in array.shape)
    pieces.append(field(_SHAPE, field(_DIM, dims) if dims else b""))
    return pieces
