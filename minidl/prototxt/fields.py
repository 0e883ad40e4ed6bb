"""The fields that a message may contain, by name: the schema as the text reader needs it."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from minidl.schema import ORIGIN, added

MESSAGE, STRING, BYTES, BOOL = "message", "string", "bytes", "bool"
ENUM, INTEGER, FLOAT = "enum", "integer", "float"

_RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_KINDS = {
    FieldDescriptor.CPPTYPE_MESSAGE: MESSAGE,
    FieldDescriptor.CPPTYPE_BOOL: BOOL,
    FieldDescriptor.CPPTYPE_ENUM: ENUM,
    FieldDescriptor.CPPTYPE_FLOAT: FLOAT,
    FieldDescriptor.CPPTYPE_DOUBLE: FLOAT,
    **dict.fromkeys(_RANGES, INTEGER),
}


@dataclass(frozen=True)
class Field:
    """One field: `kind` is one of the constants above.

    message   the descriptor of a message field
    range     least and most value of an integer
    values    name -> number of an enum
    """

    name: str
    kind: str
    repeated: bool
    required: bool
    message: Any = None
    range: tuple[int, int] = (0, 0)
    values: dict[str, int] = field(default_factory=dict)


def fields(message: Any) -> dict[str, Field]:
    """Return the fields of a message descriptor that a text may set, by name."""
    return _fields(message, added(message))


@functools.cache
def _fields(message: Any, added: tuple[Any, ...]) -> dict[str, Field]:
    return {f.name: _field(f) for f in (*message.fields, *added) if f.name != ORIGIN}


def _field(f: Any) -> Field:
    kind = _KINDS.get(f.cpp_type)
    if kind is None:
        kind = BYTES if f.type == FieldDescriptor.TYPE_BYTES else STRING
    return Field(
        name=f.name,
        kind=kind,
        repeated=is_repeated(f),
        required=_has_label(f, "is_required", "LABEL_REQUIRED"),
        message=f.message_type,
        range=_RANGES.get(f.cpp_type, (0, 0)),
        values={v.name: v.number for v in f.enum_type.values} if f.enum_type else {},
    )


def is_repeated(f: Any) -> bool:
    """Return whether a FieldDescriptor is of a repeated field, in any protobuf we support."""
    return _has_label(f, "is_repeated", "LABEL_REPEATED")


def _has_label(f: Any, property: str, label: str) -> bool:
    # the properties are new in protobuf 6; `label` is deprecated
    if hasattr(f, property):
        return bool(getattr(f, property))
    return bool(f.label == getattr(FieldDescriptor, label))
