"""Fields of a solver replaced from the command line: --set field=value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minidl.errors import MinidlError, PrototxtError, UsageError, did_you_mean, raise_all


def apply(param: Any, settings: Iterable[str]) -> None:
    """Replace fields of a SolverParameter: ``max_iter=1000``, ``stepvalue=100,200``.

    Errors: UsageError for each unknown name and each value that does not fit its type.
    """
    errors: list[MinidlError] = []
    for setting in settings:
        try:
            _apply_one(param, setting)
        except MinidlError as error:
            errors.append(error)
    raise_all(errors)


def _apply_one(param: Any, setting: str) -> None:
    from minidl import prototxt

    name, equals, value = setting.partition("=")
    name = name.strip()
    where = f"--set {setting}"
    if not equals:
        raise UsageError("there is no '=' in it", where=where, expected="field=value")
    fields = param.DESCRIPTOR.fields_by_name
    field = fields.get(name)
    if field is None or name.startswith("minidl_"):
        raise UsageError(
            f"a solver has no field '{name}'", where=where, fix=did_you_mean(name, fields)
        )
    if field.message_type is not None:
        raise UsageError(f"'{name}' is a message", where=where, fix="set it in the solver file")
    # ask an empty message: protobuf releases differ in is_repeated and label
    repeated = hasattr(getattr(type(param)(), name), "append")
    values = value.split(",") if repeated else [value]
    quoted = field.cpp_type == field.CPPTYPE_STRING
    text = "\n".join(f"{name}: {_quote(v) if quoted else v.strip()}" for v in values)
    try:
        read = prototxt.read_message(text, type(param), where)
    except PrototxtError:
        read = None
    else:
        read.ClearField("minidl_origin")
    if read is None or [f.name for f, _ in read.ListFields()] != [name]:
        kind = "text" if quoted else _kind(field)
        raise UsageError(f"'{value}' is not a valid value for '{name}'", where=where, expected=kind)
    texts = [*getattr(read, name)] if repeated else [getattr(read, name)]
    if quoted and not all(text.strip() for text in texts):
        raise UsageError(f"'{name}' is empty", where=where, expected="text")
    param.ClearField(name)
    param.MergeFrom(read)
    if name in param.minidl_origin.lines:
        del param.minidl_origin.lines[name]


def _kind(field: Any) -> str:
    if field.enum_type is not None:
        return ", ".join(field.enum_type.values_by_name)
    if field.cpp_type == field.CPPTYPE_BOOL:
        return "true or false"
    whole = (field.CPPTYPE_INT32, field.CPPTYPE_INT64, field.CPPTYPE_UINT32, field.CPPTYPE_UINT64)
    return "a whole number" if field.cpp_type in whole else "a number"


def _quote(value: str) -> str:
    escaped = value.strip().strip("\"'").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
