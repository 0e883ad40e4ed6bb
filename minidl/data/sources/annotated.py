"""Stores of AnnotatedDatums: images with boxes of objects, as SSD's convert_annoset writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from minidl import schema
from minidl.data.sources import Sample, image
from minidl.data.sources.datums import Datums
from minidl.data.sources.leveldb import raw
from minidl.errors import DataError
from minidl.storage import sniff

EXPECTED = "SSD's AnnotatedDatum message, as convert_annoset writes it"


class AnnotatedDatums(Datums):
    """The records of an LMDB or LevelDB, in the order of their keys.

    The label of a Sample is its objects, (G, 7) float32: class, instance, xmin, ymin, xmax, ymax,
    difficult; group by group, in their order. Where the records hold none, it is a number, that
    of the Datum.

    boxes    what the records must hold: True, objects; None, the same as the first one
    labels   refuse a record that has neither
    """

    def __init__(
        self,
        folder: Path,
        color: bool | None = None,
        upright: bool = True,
        boxes: bool | None = None,
        labels: bool = True,
    ) -> None:
        super().__init__(folder, raw(folder), color, upright)
        self._said, self._boxes, self._labels = boxes is not None, boxes, labels

    def sample(self, key: str, value: bytes) -> Sample:
        message = _parse(value)
        if self._boxes is None:
            self._boxes = message.HasField("type")
        if not self._boxes:
            self._check_number(message)
            return Sample(key, self.image(message.datum), message.datum.label)
        if not (self._said or message.HasField("type")):
            raise DataError(
                "has no annotation type, unlike the first record",
                expected="type: BBOX in all records, or in none",
                fix="annotated_data_param { anno_type: BBOX }, if all of them hold boxes",
            )
        return Sample(key, self.image(message.datum), rows(message))

    def _check_number(self, message: Any) -> None:
        """Refuse a record that should have a label and no objects, but is different."""
        if message.HasField("type"):
            raise DataError(
                "has an annotation type, unlike the first record",
                expected="type: BBOX in all records, or in none",
                fix="annotated_data_param { anno_type: BBOX }, if all of them hold boxes",
            )
        if self._labels and not message.datum.HasField("label"):
            raise DataError(
                "has neither an annotation type nor a label", expected="type: BBOX, or datum.label"
            )


def _parse(value: bytes) -> Any:
    try:
        message = schema.AnnotatedDatum.FromString(value)
    except DecodeError:
        message = None
    if message is not None and message.HasField("datum"):
        return message
    kind = "an image file by itself" if image.is_image(value) else sniff.guess(value[:1024])
    try:
        found = schema.Datum.FromString(value)
        plain = bool(found.data or found.float_data)
    except DecodeError:
        plain = False
    raise DataError(
        "is a Datum, without boxes" if plain else f"is {kind}" if kind else "is not such a message",
        expected=EXPECTED,
        fix='type: "Data" reads these' if plain else "",
    )


def rows(message: Any) -> np.ndarray:
    """The objects of an AnnotatedDatum, (G, 7)."""
    found = [
        (
            *(group.group_label, one.instance_id),
            *(one.bbox.xmin, one.bbox.ymin, one.bbox.xmax, one.bbox.ymax, one.bbox.difficult),
        )
        for group in message.annotation_group
        for one in group.annotation
    ]
    return np.array(found, np.float32).reshape(-1, 7)
