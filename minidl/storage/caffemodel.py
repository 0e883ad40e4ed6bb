"""Weight files: Caffe's binary NetParameter with the layers' blobs."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl import schema
from minidl.storage import arrays, files, sniff, wire
from minidl.storage.content import LayerWeights, Weights
from minidl.storage.wire import BYTES, VARINT, Reader

log = logging.getLogger("minidl")

_NAME, _OLD_LAYERS, _LAYERS = 1, 2, 100  # fields of NetParameter
_CAFFE_READS = 2**31 - 1  # bytes; protobuf's own limit


@dataclass(frozen=True)
class _Layout:
    """Field numbers of a layer message; `inner` is where a V1 layer holds a V0 layer."""

    name: int
    type: int
    blobs: int
    inner: int = 0


_V2 = _Layout(name=1, type=2, blobs=7)
_V1 = _Layout(name=4, type=5, blobs=6, inner=1)
_V0 = _Layout(name=1, type=2, blobs=50)


def read(path: str | os.PathLike[str]) -> Weights:
    """The weights in a .caffemodel of any age, in one pass over memory.

    Takes the file's size in memory and little more: the arrays are views of its bytes.

    Errors: FormatError for a file that is cut short, damaged or of another kind; UsageError for a
    path that cannot be read.
    """
    data = files.read(path, "weights")
    reader = Reader(data, str(path), sniff.CAFFEMODEL)
    weights = Weights("", [], [])
    layouts: set[int] = set()
    for item in reader.fields():
        if item.number == _NAME:
            weights.name = reader.text(item, "the net's name")
        elif item.number in (_LAYERS, _OLD_LAYERS):
            reader.expect(item, BYTES, "the list of layers")
            layout = _V2 if item.number == _LAYERS else _V1
            layouts.add(item.number)
            layer = LayerWeights("", "")
            _read_layer(reader, item.start, item.end, layout, layer)
            if layer.blobs:
                weights.layers.append(layer)
    if not layouts:
        reader.fail(0, "", "no layers")
    if not weights.layers:
        weights.notes.append("holds no weights, only the net")
    if _OLD_LAYERS in layouts:
        weights.notes.append("was written by a Caffe of 2014 or before")
    return weights


def _read_layer(reader: Reader, start: int, end: int, layout: _Layout, layer: LayerWeights) -> None:
    blobs: list[tuple[int, int]] = []
    for item in reader.fields(start, end, "a layer"):
        if item.number == layout.name:
            layer.name = reader.text(item, "a layer's name")
        elif item.number == layout.type:
            layer.type = _old_type(item.start) if item.kind == VARINT else reader.text(item)
        elif item.number == layout.blobs:
            reader.expect(item, BYTES, "a layer's blobs")
            blobs.append((item.start, item.end))
        elif layout.inner and item.number == layout.inner:
            reader.expect(item, BYTES, "a layer")
            _read_layer(reader, item.start, item.end, _V0, layer)
    for i, (first, last) in enumerate(blobs):
        array, legacy = arrays.parse(reader, first, last, f"layer '{layer.name}', blob {i}")
        layer.blobs.append(array)
        layer.legacy.append(legacy)


def _old_type(number: int) -> str:
    values = schema.V1LayerParameter.LayerType.DESCRIPTOR.values_by_number
    return values[number].name if number in values else str(number)


def write(
    path: str | os.PathLike[str],
    net: Any,
    blobs: Mapping[str, Sequence[np.ndarray]],
    diffs: Mapping[str, Sequence[np.ndarray]] | None = None,
) -> None:
    """Write a net and its weights so that Caffe reads them; the file appears whole or not at all.

    net      the NetParameter that runs: every layer, splits included
    blobs    {layer name: arrays in order}; float32, or float64 as Caffe's `double_data`
    diffs    their gradients, likewise

    Errors: RunError for a full disk, UsageError for a path that cannot be written.
    """
    pieces: list[Any] = [wire.field(_NAME, net.name.encode())]
    for spec in net.layer:
        layer = schema.LayerParameter()
        layer.CopyFrom(spec)
        layer.ClearField("blobs")
        layer.ClearField(schema.ORIGIN)
        body: list[Any] = [layer.SerializeToString()]
        gradients = diffs.get(spec.name, ()) if diffs is not None else ()
        for i, array in enumerate(blobs.get(spec.name, ())):
            blob = arrays.serialize(array, gradients[i] if gradients else None)
            body += [wire.head(_V2.blobs, _size(blob)), *blob]
        pieces += [wire.head(_LAYERS, _size(body)), *body]
    size = _size(pieces)
    if size > _CAFFE_READS:
        log.warning("%s has %d bytes; Caffe reads at most %d", path, size, _CAFFE_READS)
    files.write_all(path, pieces)


def _size(pieces: Sequence[Any]) -> int:
    return sum(len(piece) for piece in pieces)
