"""An ONNX graph as plain data: operators, constants, inputs and outputs. No package is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Dims = tuple[int | str, ...]  # a size, or the name of one that may be anything


@dataclass
class Op:
    """One operator. `layer` is the one it was made for; `inputs` may have "" where one is left
    out."""

    type: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]
    layer: str


@dataclass
class Graph:
    """Operators in the order in which they run, and the constants they read.

    inputs, outputs   values by name, with their dims
    constants         arrays by name: float32 weights, int64 shapes
    notes             sentences on what a user has to know of layers
    """

    name: str
    ops: list[Op] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    inputs: dict[str, Dims] = field(default_factory=dict)
    outputs: dict[str, Dims] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _taken: set[str] = field(default_factory=set)

    def fresh(self, name: str) -> str:
        """`name`, or with a number where a value of that name is there already."""
        found = next(n for n in _numbered(name) if n not in self._taken)
        self._taken.add(found)
        return found

    def constant(self, name: str, array: np.ndarray) -> str:
        """The constant of this name; another name if there is one with other values."""
        for candidate in _numbered(name):
            known = self.constants.get(candidate)
            if known is not None and _same(known, array):
                return candidate
            if candidate not in self._taken:
                self._taken.add(candidate)
                self.constants[candidate] = array
                return candidate
        raise AssertionError

    def rename(self, old: str, new: str, since: int) -> None:
        """Give a value another name; all who make or read it come at or after operator `since`."""
        for op in self.ops[since:]:
            op.inputs = [new if name == old else name for name in op.inputs]
            op.outputs = [new if name == old else name for name in op.outputs]
        self._taken.discard(old)

    def difference(self, other: Graph) -> str:
        """Return the layer whose operators or constants differ first; '' if all are equal."""
        for mine, theirs in zip(self.ops, other.ops, strict=False):
            if mine != theirs or any(
                not _same(self.constants[name], other.constants[name])
                for name in mine.inputs
                if name in self.constants
            ):
                return mine.layer
        longer = max(self.ops, other.ops, key=len)
        return "" if len(self.ops) == len(other.ops) else longer[-1].layer


@dataclass
class Step:
    """The arguments for a layer type's function: the layer, its shapes, where to write.

    layer                       the Layer, with its `op`, `spec` and attributes
    bottoms                     the values it reads, in order
    bottom_shapes, top_shapes   of its blobs
    values                      its parameters' values by attribute, read when asked for
    owners                      the name of each one's constant: shared parameters have one
    """

    graph: Graph
    layer: Any
    bottoms: Sequence[str]
    bottom_shapes: Sequence[tuple[int, ...]]
    top_shapes: Sequence[tuple[int, ...]]
    values: Mapping[str, Callable[[], np.ndarray]]
    owners: Mapping[str, str]

    @property
    def x(self) -> str:
        """The first bottom."""
        return self.bottoms[0]

    def emit(self, type: str, *inputs: str, **attributes: Any) -> str:
        """Add an operator with one output; returns the output's name."""
        return self.emit_all(type, 1, *inputs, **attributes)[0]

    def emit_all(self, type: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """Add an operator with this number of outputs; return their names."""
        outputs = [self.graph.fresh(f"{self.layer.name}/{type}") for _ in range(count)]
        self.graph.ops.append(Op(type, list(inputs), outputs, attributes, self.layer.name))
        return outputs

    def number(self, value: float) -> str:
        """A constant float32, to be broadcast."""
        return self.array("number", np.float32(value))

    def array(self, what: str, values: Any) -> str:
        """A constant float32 array; `what` says what it is."""
        array = np.ascontiguousarray(values, np.float32).reshape(np.shape(values))
        return self.graph.constant(f"{self.layer.name}/{what}", array)

    def ints(self, what: str, values: Sequence[int]) -> str:
        """A constant one-dimensional int64 array."""
        return self.graph.constant(f"{self.layer.name}/{what}", np.array(values, np.int64))

    def note(self, text: str) -> None:
        """Tell the user about the layer; `text` continues its name."""
        layer = self.layer
        self.graph.notes.append(f"{layer.spec.type} layer '{layer.name}' {text}.")

    def read(self, attr: str) -> np.ndarray:
        """A parameter's values."""
        return self.values[attr]()

    def param(self, attr: str, shape: tuple[int, ...] | None = None) -> str:
        """Return the constant that holds a parameter, in its own shape or another one."""
        values = np.ascontiguousarray(self.read(attr), np.float32)
        own = values.shape if shape is None else shape
        return self.graph.constant(self.owners[attr], values.reshape(own))

    def reshape(self, x: str, before: tuple[int, ...], after: tuple[int, ...]) -> str:
        """`x`, of shape `before`, with the shape `after`; nothing to do where they are equal.

        Sizes that stay where they are, are copied, and else the first one is worked out: so the
        batch, which is first in nearly all blobs, does not become a constant.
        """
        if before == after:
            return x
        dims = list(after)
        for i, (old, new) in enumerate(zip(before, after, strict=False)):
            if old != new:
                break
            dims[i] = 0
        if dims and dims[0] != 0:
            dims[0] = -1
        return self.emit("Reshape", x, self.ints("shape", dims))


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    if a.ctypes.data == b.ctypes.data and a.shape == b.shape:
        return True  # one parameter, looked at twice: some have hundreds of megabytes
    return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b, equal_nan=True)
