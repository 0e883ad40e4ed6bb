"""Which layers may run as one: decided by what they compute alone, before engines are chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from minidl import ops
from minidl.net.node import Node

RELU = ops.Activation("relu")


@dataclass(frozen=True)
class Group:
    """Nodes in a row that may run as one, or only the first few of them.

    nodes   one, or the first and those whose work may be done with its own
    ops     for each node what it computes together with those before it, for engines
    """

    nodes: tuple[Node, ...]
    ops: tuple[Any, ...]

    @property
    def op(self) -> Any:
        """What all of them compute together; of a single node, its own."""
        return self.ops[-1]


def _is_relu(op: Any) -> bool:
    return isinstance(op, ops.Activation) and op.kind == "relu"


def _then(first: Any, relu: ops.Activation) -> Any:
    return dataclasses.replace(first, then=relu)


def _chain(first: Any, second: Any) -> ops.Chain:
    return ops.Chain((*(first.ops if isinstance(first, ops.Chain) else (first,)), second))


def _ends(first: Any) -> Any:
    """Return the last operator of a chain; another one itself."""
    return first.ops[-1] if isinstance(first, ops.Chain) else first


@dataclass(frozen=True)
class Rule:
    """Two neighbours that may run as one.

    first, second   whether an operator, or a chain, may be one of them
    together        what they compute together
    forward_only    holds where no backward follows; backward of a chain goes through all of it
    """

    first: Callable[[Any], bool]
    second: Callable[[Any], bool]
    together: Callable[[Any, Any], Any]
    forward_only: bool = False


# The second works in place on the first's top, so nobody else has seen that. The first that fits:
RULES = (
    # Convolution and inner product end with a ReLU; its backward is its own.
    Rule(lambda op: isinstance(op, ops.Conv | ops.Gemm) and op.then is None, _is_relu, _then),
    # A sum ends with one, too.
    Rule(lambda op: isinstance(op, ops.Sum) and not op.split and op.then is None, _is_relu, _then),
    # Normalisation, scale and shift, ReLU: one pass over memory each way.
    Rule(
        lambda op: isinstance(op, ops.BatchNorm) or _normalises(op),
        lambda op: isinstance(op, ops.Affine),
        _chain,
    ),
    Rule(
        lambda op: isinstance(_ends(op), ops.BatchNorm | ops.Affine),
        lambda op: op == RELU,
        _chain,
    ),
    # What is constant after a convolution is folded into its weights.
    Rule(
        lambda op: (
            (isinstance(op, ops.Conv) and op.then is None)
            or (isinstance(op, ops.Chain) and isinstance(op.ops[0], ops.Conv))
        ),
        lambda op: (
            isinstance(op, ops.Affine) or (isinstance(op, ops.BatchNorm) and op.global_stats)
        ),
        _chain,
        forward_only=True,
    ),
)


def _normalises(op: Any) -> bool:
    return isinstance(op, ops.Chain) and isinstance(_ends(op), ops.BatchNorm)


def groups(
    nodes: Sequence[Node], willing: Callable[[Node], bool] = lambda node: True
) -> Iterator[Group]:
    """Return the nodes, all of them in order, in groups; each is in one.

    willing   whether a node may leave its work to those before it
    """
    i = 0
    while i < len(nodes):
        done = [nodes[i].op]
        for node in nodes[i + 1 :]:
            fused = _fused(nodes[i], done[-1], node) if willing(node) else None
            if fused is None:
                break
            done.append(fused)
        yield Group(tuple(nodes[i : i + len(done)]), tuple(done))
        i += len(done)


def _fused(first: Node, op: Any, after: Node) -> Any:
    """Return what `op`, by the first node, and the next compute together; None if no rule fits."""
    if not (after.in_place and len(after.tops) == 1 and after.bottoms == first.tops):
        return None
    for rule in RULES:
        if rule.first(op) and rule.second(after.op):
            together = rule.together(op, after.op)
            return together if _goes_back(together, rule, first, after) else None
    return None


def _goes_back(together: Any, rule: Rule, first: Node, after: Node) -> bool:
    """Tell whether backward allows it.

    That of a chain goes through all of it, or there is none. What lies between its layers is never
    there: the first has to be in place, too, so that the blob's gradient is the bottom's at last.
    """
    if not (first.needs_backward or after.needs_backward):
        return True
    if not isinstance(together, ops.Chain):
        return True
    both = first.needs_backward and after.needs_backward
    weighted = any(first.loss_weights)  # a gradient begins between the two
    return both and first.in_place and not weighted and not rule.forward_only
