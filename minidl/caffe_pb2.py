"""Caffe's messages under the name that protoc's module for Python has: `caffe.proto.caffe_pb2`.

    from minidl import caffe_pb2          # or, after `import minidl.caffe`:
    from caffe.proto import caffe_pb2

    net = caffe_pb2.NetParameter()
    text_format.Merge(open("train_val.prototxt").read(), net)
    caffe_pb2.Phase.Value("TEST"), caffe_pb2.Phase.Name(0), caffe_pb2.TRAIN

The classes are those of `minidl.schema`, so every function of minidl takes such messages: all of
BVLC's messages, fields, enums and constants, and the schema's additions from Caffe's forks.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.internal import enum_type_wrapper

from minidl import schema

DESCRIPTOR = schema.file()


def _names() -> dict[str, Any]:
    """Return what protoc would write: classes, enums, the enums' values, and descriptors."""
    names: dict[str, Any] = schema.messages()
    for enum in DESCRIPTOR.enum_types_by_name.values():
        names[enum.name] = enum_type_wrapper.EnumTypeWrapper(enum)
        names.update((value.name, value.number) for value in enum.values)
    descriptors = {**DESCRIPTOR.message_types_by_name, **DESCRIPTOR.enum_types_by_name}
    names.update((f"_{name.upper()}", found) for name, found in descriptors.items())
    return names


globals().update(_names())
__all__ = ["DESCRIPTOR", *(name for name in _names() if not name.startswith("_"))]


def __getattr__(name: str) -> Any:
    if name in schema.messages():  # that schema.extend has added
        return schema.messages()[name]
    raise AttributeError(f"Caffe's messages have no '{name}'")
