"""A message that is being read, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from minidl.prototxt.fields import fields


class Problem(NamedTuple):
    """An error before it is worded in full: the layer's name may come after the error."""

    position: int
    layer: Any
    found: str
    expected: str
    fix: str


@dataclass
class Block:
    """A message being read.

    path      its name within the message that records lines: "convolution_param.weight_filler"
    owner     the message that records lines: the nearest one with an Origin
    layer     the layer it belongs to, for error messages
    seen      position of the first occurrence of each field, and how often it was given
    """

    message: Any
    opened: int
    path: str = ""
    owner: Any = None
    layer: Any = None
    outer: Block | None = None
    seen: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.fields = fields(self.message.DESCRIPTOR)
        self.kind = self.message.DESCRIPTOR.name

    def named(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name


class Stop(Exception):
    """The rest of the text cannot be understood."""
