"""Which layers may run as one: decided by what they compute alone, before engines are chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from minidl import ops
from minidl.net.node import Node


@dataclass(frozen=True)
class Group:
    """Nodes in a row that may run as one.

    nodes   one, or the first and those whose work may be done with its own
    op      what they compute together, for engines; of a single node, its own
    """

    nodes: tuple[Node, ...]
    op: Any


def _then(first: Any, relu: ops.Activation) -> Any:
    return dataclasses.replace(first, then=relu)


# (what the first computes, whether the second fits, both as one). The second works in place on the
# first's top, so nobody else has seen that.
RULES: tuple[tuple[type, Callable[[Any], bool], Callable[[Any, Any], Any]], ...] = (
    (ops.Conv, lambda op: isinstance(op, ops.Activation) and op.kind == "relu", _then),
    (ops.Gemm, lambda op: isinstance(op, ops.Activation) and op.kind == "relu", _then),
)


def groups(
    nodes: Sequence[Node], willing: Callable[[Node], bool] = lambda node: True
) -> Iterator[Group]:
    """Return the nodes, all of them in order, in groups; each is in one.

    willing   whether a node may leave its work to the one before it
    """
    i = 0
    while i < len(nodes):
        fused = None
        if i + 1 < len(nodes) and willing(nodes[i + 1]):
            fused = _fused(nodes[i], nodes[i + 1])
        yield Group(tuple(nodes[i : i + 2]), fused) if fused else Group((nodes[i],), nodes[i].op)
        i += 2 if fused else 1


def _fused(node: Node, after: Node) -> Any:
    """Return what both compute together, by the first rule that fits; None if none does."""
    if not (after.in_place and after.bottoms == node.tops):
        return None
    for first, fits, together in RULES:
        if isinstance(node.op, first) and fits(after.op):
            return together(node.op, after.op)
    return None
