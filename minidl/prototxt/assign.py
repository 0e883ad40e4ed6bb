"""Fill a message from plain Python values: dicts for messages, lists for repeated fields."""

from __future__ import annotations

import numbers
import operator
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minidl.errors import MinidlError, UsageError, did_you_mean, raise_all
from minidl.prototxt.fields import BOOL, BYTES, ENUM, FLOAT, INTEGER, MESSAGE, STRING, Field, fields
from minidl.prototxt.values import short, wanted


def assign(message: Any, values: Mapping[str, Any], where: str = "") -> None:
    """Set a message's fields from plain values.

    values   {field name: value}. A message is given as a dict (or as such a message), a repeated
             field as a list, tuple or array, or as its one item; an enum as a name or a number
    where    prefix of the errors

    Repeated fields grow. All errors are reported together: UsageError.

    >>> from minidl import schema
    >>> layer = schema.LayerParameter()
    >>> assign(layer, {"include": {"phase": "TEST"}, "param": [{"lr_mult": 1}, {"lr_mult": 2}]})
    >>> layer.include[0].phase == schema.TEST, [spec.lr_mult for spec in layer.param]
    (True, [1.0, 2.0])
    """
    errors: list[MinidlError] = []
    for name, value in values.items():
        _field(message, name, value, where, "", errors)
    raise_all(errors)


def assign_layer(
    layer: Any, parameters: Iterable[str], values: Mapping[str, Any], where: str = ""
) -> None:
    """Set a LayerParameter's fields, and those of the parameter messages its type reads.

    parameters   names of these messages, `Layer.parameters`: each value goes to the first that
                 has such a field, or else to the LayerParameter itself; a message of the
                 LayerParameter, such as transform_param, to it in any case, as in pycaffe
    """
    parameters = list(parameters)
    errors: list[MinidlError] = []
    for name, value in values.items():
        whole = str(name).endswith("_param") and name in fields(layer.DESCRIPTOR)
        for home in () if whole else parameters:
            message = getattr(layer, home)
            if name in fields(message.DESCRIPTOR):
                message.SetInParent()
                _field(message, name, value, where, "", errors)
                break
        else:
            if name in fields(layer.DESCRIPTOR):
                _field(layer, name, value, where, "", errors)
                continue
            theirs = [f for home in parameters for f in fields(getattr(layer, home).DESCRIPTOR)]
            mine = [f for f in fields(layer.DESCRIPTOR) if not f.endswith("_param")]
            fix = did_you_mean(str(name), [*theirs, *parameters, *mine])
            takes = ", ".join(dict.fromkeys(theirs)) or "no parameters of its own"
            errors.append(
                UsageError(f"has no field '{name}'", where=where, expected=takes, fix=fix)
            )
    raise_all(errors)


def _field(
    message: Any, name: str, value: Any, where: str, within: str, errors: list[MinidlError]
) -> None:
    known = fields(message.DESCRIPTOR)
    path = f"{within}.{name}" if within else str(name)
    if name not in known:
        owner = f"{within} has" if within else "has"
        fix = did_you_mean(str(name), known)
        errors.append(UsageError(f"{owner} no field '{name}'", where=where, fix=fix))
        return
    field = known[name]
    several = isinstance(value, list | tuple | range | np.ndarray) and np.shape(value) != ()
    if several and not field.repeated:
        found = f"{path} is {short(repr(value))}"
        errors.append(UsageError(found, where=where, expected="one value, not several"))
        return
    target = getattr(message, name)
    for item in value if isinstance(value, list | tuple | range) or several else [value]:
        if field.kind == MESSAGE:
            _message(target, field, item, where, path, errors)
            continue
        try:
            plain = _plain(item, field)
        except (TypeError, ValueError, OverflowError):
            found, near = f"{path} is {short(repr(item))}", ""
            if field.kind == ENUM and isinstance(item, str):
                near = did_you_mean(item, field.values)
            errors.append(UsageError(found, where=where, expected=wanted(field), fix=near))
            continue
        if field.repeated:
            target.append(plain)
        else:
            setattr(message, name, plain)


def _message(
    target: Any, field: Field, value: Any, where: str, path: str, errors: list[MinidlError]
) -> None:
    given = getattr(value, "DESCRIPTOR", None)
    same = given is not None and given.full_name == field.message.full_name
    if not same and not isinstance(value, Mapping):
        found = f"{path} is {short(repr(value))}"
        errors.append(UsageError(found, where=where, expected="a dict of its fields"))
        return
    inner = target.add() if field.repeated else target
    inner.SetInParent()
    if same:
        inner.CopyFrom(value)
        return
    for name, item in value.items():
        _field(inner, name, item, where, path, errors)


def _plain(value: Any, field: Field) -> Any:
    """Return the value as protobuf takes it; TypeError or ValueError if it does not fit."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    if field.kind == STRING:
        text = os.fspath(value)
        if not isinstance(text, str):
            raise TypeError
        text.encode()  # protobuf would fail at a lone surrogate
        return text
    if field.kind == BYTES:
        return bytes(memoryview(value))
    if field.kind == ENUM:
        number = field.values.get(value) if isinstance(value, str) else value
        if isinstance(number, bool) or number not in field.values.values():
            raise ValueError
        return number
    if field.kind == BOOL:
        if value not in (0, 1):
            raise ValueError
        return bool(value)
    if field.kind == INTEGER:
        least, most = field.range
        if isinstance(value, bool):
            raise TypeError
        whole = operator.index(value)
        if not least <= whole <= most:
            raise ValueError
        return whole
    assert field.kind == FLOAT
    if not isinstance(value, numbers.Real):
        raise TypeError
    return float(value)
