"""The message classes of Caffe's files, built from the descriptors in `proto/`.

>>> from minidl import schema
>>> layer = schema.LayerParameter(name="conv1", type="Convolution")
>>> layer.convolution_param.kernel_size.append(5)
>>> schema.PoolingParameter.MAX, schema.TRAIN, schema.TEST
(0, 0, 1)

Every message and every top-level enum of `proto/minidl.proto` is an attribute of this module.
They are built on first use, in a descriptor pool of our own: another Caffe schema in the same
process, registered with protobuf's default pool, does not collide with ours.

A layer type in a package of somebody else's adds a message of its own with `extend`.
"""

from __future__ import annotations

import functools
import keyword
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from minidl.errors import MinidlError

FILE = "minidl.proto"
DESCRIPTORS = "minidl.desc"
ORIGIN = "minidl_origin"  # the field that says where a message was read
PACKAGE = "minidl"
THEIRS = range(30000, 40000)  # numbers of LayerParameter's fields that minidl leaves to packages
_Proto = descriptor_pb2.FieldDescriptorProto
_SCALARS = {  # "float": its number
    name.removeprefix("TYPE_").lower(): number
    for name, number in _Proto.Type.items()
    if name not in ("TYPE_GROUP", "TYPE_MESSAGE", "TYPE_ENUM")
}
_PYTHON = {float: "float", int: "int64", bool: "bool", str: "string"}


def folder() -> Path:
    """Return the folder of `minidl.proto`: in the package, else next to it in a checkout."""
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
    """Return the comment of `minidl.proto` on a message, a field, an enum or one of its values.

    The first argument is dotted for names inside a message.

    >>> comment("PoolingParameter", "kernel_size")
    'Side of a square window.'
    >>> comment("PoolingParameter.PoolMethod", "AVE")
    'the mean, padding counted'
    >>> comment("DropoutParameter")
    'Dropout: in training, zero values at random and scale up the rest.'
    """
    name = f"{message}.{field}" if field else message
    try:
        return _added_comments[name] if name in _added_comments else _comments()[name]
    except KeyError:
        raise MinidlError(f"the schema has no '{name}'", where="schema.comment") from None


def messages() -> dict[str, Any]:
    """Return the class of every top-level message, by name; those that were added come last."""
    found = dict(file().message_types_by_name)
    found.update((field.message_type.name, field.message_type) for field in _added.values())
    return {name: message_factory.GetMessageClass(found[name]) for name in found}


# ------------------------------------------------------------------ messages of others


class Field(NamedTuple):
    """A field of a message that `extend` adds.

    kind      float, int, bool or str; a protobuf type by name, "uint32"; names of an enum's values,
              ("NONE", "TANH"); a message of the schema, "FillerParameter"; or one of these in a
              list, which makes the field repeated
    default   what a prototxt that does not give it means; None: 0, false, "", the first name
    comment   what `minidl explain` says of it
    number    in files; 0: its position among the fields, counted from 1
    """

    kind: Any
    default: Any = None
    comment: str = ""
    number: int = 0


_added: dict[str, Any] = {}  # name -> the descriptor of LayerParameter's field
_added_comments: dict[str, str] = {}
_declared: dict[str, tuple[Any, ...]] = {}


def extend(
    parameter: str,
    number: int,
    fields: Mapping[str, Field | tuple[Any, ...]],
    comment: str = "",
) -> Any:
    """Give LayerParameter a message for a layer type of your own; return the message's class.

    parameter   its name in a prototxt, "snake_param"; the message is then called SnakeParameter
    number      in files: one of THEIRS, so that no later minidl has it; or that of a fork of Caffe
    fields      name -> Field, or such a tuple: ``{"slope": (float, 1.0, "Of the line.")}``

    From then on texts and binary files may have it, as if it were in `minidl.proto`; messages that
    were made before may, too. Declaring the same again changes nothing.

    Errors: MinidlError for a name or number that is taken, or a declaration that makes no sense.
    """
    declared = {name: Field(*given) for name, given in fields.items()}
    whole = (number, tuple(declared.items()), comment)
    if _declared.get(parameter) == whole:
        return message_factory.GetMessageClass(_added[parameter].message_type)
    layer = file().message_types_by_name["LayerParameter"]
    owners = {f.number: f.name for f in (*layer.fields, *_added.values())}
    problem, fix = "", f"a number from {THEIRS.start} to {THEIRS.stop - 1}"
    if not re.fullmatch(r"[a-z]\w*_param", parameter):
        problem, fix = "the name has to begin with a small letter and to end in _param", ""
    elif parameter in layer.fields_by_name or parameter in _declared:
        other = "by somebody, in another way" if parameter in _declared else "in minidl.proto"
        problem = f"it is declared already, {other}"
        fix = "another name; or a new process, if the declaration has changed"
    elif number in owners:
        problem = f"number {number} is that of {owners[number]}"
    elif not 0 < number < 2**29 or 19000 <= number < 20000:
        problem = f"{number} is not a number that a field may have"
    if problem:
        raise MinidlError(problem, where=f"schema.extend('{parameter}')", fix=fix)
    _add(parameter, number, declared, comment)
    _declared[parameter] = whole
    _public.cache_clear()
    return message_factory.GetMessageClass(_added[parameter].message_type)


def added(message: Any) -> tuple[Any, ...]:
    """Return the descriptors of the fields that `extend` has added to a message."""
    return tuple(_added.values()) if message.name == "LayerParameter" else ()


def _add(parameter: str, number: int, fields: Mapping[str, Field], comment: str) -> None:
    """Build the message, and register it as an extension of LayerParameter."""
    name = "".join(word.capitalize() for word in parameter.split("_")[:-1]) + "Parameter"
    file_proto = descriptor_pb2.FileDescriptorProto(
        name=f"{parameter}.proto", package=PACKAGE, syntax="proto2", dependency=[FILE]
    )
    made = file_proto.message_type.add(name=name)
    for position, (field, declared) in enumerate(fields.items(), start=1):
        where = f"schema.extend('{parameter}'): {field}"
        if not field.isidentifier() or keyword.iskeyword(field):
            raise MinidlError("is not a name", where=where, expected="letters, digits and _")
        _field(made, field, declared, declared.number or position, where)
    file_proto.extension.add(
        name=parameter,
        number=number,
        label=_Proto.LABEL_OPTIONAL,
        type=_Proto.TYPE_MESSAGE,
        type_name=f".{PACKAGE}.{name}",
        extendee=f".{PACKAGE}.LayerParameter",
    )
    try:
        _pool().AddSerializedFile(file_proto.SerializeToString())
        found = _pool().FindExtensionByName(f"{PACKAGE}.{parameter}")
    except Exception as error:  # protobuf's own words; the class differs by release
        raise MinidlError(f"is refused: {error}", where=f"schema.extend('{parameter}')") from error
    layer = message_factory.GetMessageClass(file().message_types_by_name["LayerParameter"])
    setattr(layer, parameter, property(lambda message: message.Extensions[found]))
    _added[parameter] = found
    _added_comments.update({name: comment, f"LayerParameter.{parameter}": comment})
    for field, declared in fields.items():
        _added_comments[f"{name}.{field}"] = declared.comment
    for enum in made.enum_type:
        kinds = [f"{name}.{enum.name}", *(f"{name}.{enum.name}.{v.name}" for v in enum.value)]
        _added_comments.update(dict.fromkeys(kinds, ""))


def _field(message: Any, name: str, declared: Field, number: int, where: str) -> None:
    """Add a field to a message that is being built."""
    kind, default = declared.kind, declared.default
    made = message.field.add(name=name, number=number, label=_Proto.LABEL_OPTIONAL)
    if isinstance(kind, list) and len(kind) == 1:
        kind, made.label = kind[0], _Proto.LABEL_REPEATED
    kind = _PYTHON.get(kind, kind) if isinstance(kind, type) else kind
    if isinstance(kind, tuple):
        enum = message.enum_type.add(name="".join(w.capitalize() for w in name.split("_")) + "Kind")
        for value, each in enumerate(kind):
            enum.value.add(name=each, number=value)
        made.type = _Proto.TYPE_ENUM
        made.type_name = f".{PACKAGE}.{message.name}.{enum.name}"
    elif isinstance(kind, str) and kind in file().message_types_by_name:
        made.type, made.type_name = _Proto.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
    elif isinstance(kind, str) and kind in _SCALARS:
        made.type = _SCALARS[kind]
    else:
        raise MinidlError(
            f"{kind!r} is not a type",
            where=where,
            expected="float, int, bool, str, a tuple of names, a message's name, or a list of one",
        )
    if default is not None:
        made.default_value = str(default).lower() if isinstance(default, bool) else str(default)


# ------------------------------------------------------------------ how they are built


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
def _pool() -> Any:
    """Return the pool of our own. Every number that LayerParameter has free is open to `extend`."""
    schema = descriptor_pb2.FileDescriptorProto.FromString(_file_proto())
    layer = next(m for m in schema.message_type if m.name == "LayerParameter")
    end = 2**29
    for field in sorted(layer.field, key=lambda field: -field.number):
        if field.number + 1 < end:
            layer.extension_range.add(start=field.number + 1, end=end)
        end = field.number
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(schema.SerializeToString())
    return pool


@functools.cache
def file() -> Any:
    """The descriptor of `minidl.proto`."""
    return _pool().FindFileByName(FILE)


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
