"""Float fields must be finite, except where infinity means "no limit"."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from minidl.prototxt.fields import is_repeated
from minidl.schema import ORIGIN

MAY_BE_INFINITE = {("ClipParameter", "min"), ("ClipParameter", "max")}  # no limit on that side
_FLOATS = (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE)
_ELSEWHERE = {ORIGIN, "blobs"}  # weights are checked when they are loaded
_OF_THEIR_OWN = {"NetParameter", "LayerParameter", "V1LayerParameter"}


def not_finite(message: Any, outer: str = "") -> Iterator[tuple[str, float]]:
    """Yield (path, value) for each field that is set to NaN or to an infinity.

    Layers and nets within are skipped: each is checked by itself.
    """
    for field, value in message.ListFields():
        path = f"{outer}.{field.name}" if outer else field.name
        values = value if is_repeated(field) else [value]
        if field.cpp_type in _FLOATS:
            known = (message.DESCRIPTOR.name, field.name) in MAY_BE_INFINITE
            for i, number in enumerate(values):
                if math.isnan(number) or (math.isinf(number) and not known):
                    yield _indexed(path, i), number
        elif field.message_type is not None and field.name not in _ELSEWHERE:
            if field.message_type.name not in _OF_THEIR_OWN:
                for i, inner in enumerate(values):
                    yield from not_finite(inner, _indexed(path, i))


def _indexed(path: str, i: int) -> str:
    """Return the path as lines are recorded: the first of several has no index."""
    return f"{path}[{i}]" if i else path
