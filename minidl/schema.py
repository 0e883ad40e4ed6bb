"""The message classes of Caffe's files, built from the descriptors in `proto/`.

>>> from minidl import schema
>>> layer = schema.LayerParameter(name="conv1", type="Convolution")
>>> layer.convolution_param.kernel_size.append(5)
>>> schema.PoolingParameter.MAX, schema.TRAIN, schema.TEST
(0, 0, 1)

Every message and every top-level enum of `proto/minidl.proto` is an attribute of this module.
They are built on first use, in a descriptor pool of our own: another Caffe schema in the same
process, registered with protobuf's default pool, does not collide with ours.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from minidl.errors import MinidlError

FILE = "minidl.proto"
DESCRIPTORS = "minidl.desc"
ORIGIN = "minidl_origin"  # the field that says where a message was read


def folder() -> Path:
    """The folder of `minidl.proto`: inside the installed package, else beside it in a checkout."""
    package = Path(__file__).resolve().parent
    candidates = (package / "proto", package.parent / "proto")
    for candidate in candidates:
        if (candidate / DESCRIPTORS).is_file():
            return candidate
    raise MinidlError(
        f"{DESCRIPTORS} is missing",
        where=" and ".join(str(candidate) for candidate in candidates),
        expected="the schema's descriptors, which belong to minidl",
        fix="install minidl again, or in a checkout run: python proto/build.py",
    )


def comment(message: str, field: str = "") -> str:
    """What `minidl.proto` says about a message, a field, an enum or one of its values.

    The first argument is dotted for what lies inside a message.

    >>> comment("PoolingParameter", "kernel_size")
    'Side of a square window.'
    >>> comment("PoolingParameter.PoolMethod", "AVE")
    'the mean, padding counted'
    >>> comment("DropoutParameter")
    'Dropout: in training, zero values at random and scale up the rest.'
    """
    name = f"{message}.{field}" if field else message
    try:
        return _comments()[name]
    except KeyError:
        raise MinidlError(f"the schema has no '{name}'", where="schema.comment") from None


def messages() -> dict[str, Any]:
    """The class of every top-level message, by name."""
    return {
        name: message_factory.GetMessageClass(descriptor)
        for name, descriptor in file().message_types_by_name.items()
    }


@functools.cache
def _file_proto() -> bytes:
    """The serialized FileDescriptorProto of `minidl.proto`."""
    path = folder() / DESCRIPTORS
    try:
        files = descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file
        (only,) = files
    except Exception as error:  # protobuf's decode errors differ by release
        raise MinidlError(
            f"the schema's descriptors cannot be read: {error}",
            where=str(path),
            fix="install minidl again, or in a checkout run: python proto/build.py",
        ) from error
    return only.SerializeToString()


@functools.cache
def file() -> Any:
    """The descriptor of `minidl.proto`."""
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(_file_proto())
    return pool.FindFileByName(FILE)


def __getattr__(name: str) -> Any:
    value = None if name.startswith("_") else _public().get(name)
    if value is None:
        raise AttributeError(f"module 'minidl.schema' has no attribute '{name}'")
    globals()[name] = value  # the next access does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_public()})


@functools.cache
def _public() -> dict[str, Any]:
    """Message classes, top-level enums as {name: number}, and the values of those enums."""
    names: dict[str, Any] = messages()
    for name, enum in file().enum_types_by_name.items():
        names[name] = {value.name: value.number for value in enum.values}
        names.update(names[name])
    return names


@functools.cache
def _comments() -> dict[str, str]:
    file = descriptor_pb2.FileDescriptorProto.FromString(_file_proto())
    names = {path: name for path, name in _walk(file)}
    texts = dict.fromkeys(names.values(), "")
    for location in file.source_code_info.location:
        path = tuple(location.path)
        if path in names:
            text = location.leading_comments or location.trailing_comments
            texts[names[path]] = "\n".join(line.removeprefix(" ") for line in text.split("\n"))
            texts[names[path]] = texts[names[path]].strip()
    return texts


def _walk(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    """Every message, field, enum and enum value: (path in the source info, dotted name)."""

    def enum_items(enum: Any, path: tuple[int, ...], name: str) -> Iterator[Any]:
        yield path, name
        for index, value in enumerate(enum.value):
            yield (*path, 2, index), f"{name}.{value.name}"

    def message_items(message: Any, path: tuple[int, ...], name: str) -> Iterator[Any]:
        yield path, name
        for index, field in enumerate(message.field):
            yield (*path, 2, index), f"{name}.{field.name}"
        for index, nested in enumerate(message.nested_type):
            yield from message_items(nested, (*path, 3, index), f"{name}.{nested.name}")
        for index, enum in enumerate(message.enum_type):
            yield from enum_items(enum, (*path, 4, index), f"{name}.{enum.name}")

    for index, message in enumerate(file.message_type):
        yield from message_items(message, (4, index), message.name)
    for index, enum in enumerate(file.enum_type):
        yield from enum_items(enum, (5, index), enum.name)
