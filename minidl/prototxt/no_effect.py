"""Fields that tune another program's speed or memory: read from a file, reported, and dropped."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, NamedTuple

from minidl.prototxt.fields import is_repeated

_WITH_ORIGIN = ("LayerParameter", "V1LayerParameter", "NetParameter", "SolverParameter")


def without_effect(message: Any) -> tuple[Any, list[str]]:
    """Return a net or solver without the fields marked as deprecated, and one line about them.

    The nets inside a solver are left as they are.
    """
    if next(_marked(message), None) is None:
        return message, []
    changed = deepcopy(message)
    found = sorted(_marked(changed), key=lambda mark: mark.line)
    for mark in found:
        mark.message.ClearField(mark.field)
    names = list(dict.fromkeys(mark.path for mark in found))
    lines = [mark.line for mark in found if mark.line]
    place = f" (first in line {min(lines)})" if lines else ""
    verb = "have" if len(names) > 1 else "has"
    why = "speed, memory or number format of another program"
    return changed, [f"{', '.join(names)}{place} {verb} no effect here: the {why}"]


class _Mark(NamedTuple):
    """A marked field: where it is, its path within the layer, its line, 0 where unknown."""

    message: Any
    field: str
    path: str
    line: int


def _marked(message: Any) -> Iterator[_Mark]:
    """All such fields of a net or solver, its layers included."""
    yield from _of_block(message, message, "")
    if message.DESCRIPTOR.name == "NetParameter":
        for layer in [*message.layer, *message.layers]:
            yield from _of_block(layer, layer, "")


def _of_block(owner: Any, message: Any, path: str) -> Iterator[_Mark]:
    marked = _names(message.DESCRIPTOR)
    for field, value in message.ListFields():
        name = f"{path}.{field.name}" if path else field.name
        if field.name in marked:
            lines = owner.minidl_origin.lines
            yield _Mark(message, field.name, name, lines[name] if name in lines else 0)
        elif field.message_type is not None and not is_repeated(field):
            if field.message_type.name not in (*_WITH_ORIGIN, "Origin"):
                yield from _of_block(owner, value, name)


@functools.cache
def _names(descriptor: Any) -> frozenset[str]:
    return frozenset(f.name for f in descriptor.fields if f.GetOptions().deprecated)
