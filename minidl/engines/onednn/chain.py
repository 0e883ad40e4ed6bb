"""Plans for `ops.Chain`: by what it begins with."""

from __future__ import annotations

from collections.abc import Iterable

from minidl import ops
from minidl.engines.engine import Engine
from minidl.engines.onednn import batch_norm, folded
from minidl.engines.onednn.operators import OPERATORS
from minidl.engines.plan import Plan
from minidl.engines.request import Declined, Request


@OPERATORS.serves(ops.Chain)
def plans(engine: Engine, op: ops.Chain, request: Request) -> Iterable[Plan] | Declined:
    """Offer what runs the whole chain as one."""
    if isinstance(op.ops[0], ops.Conv):
        return folded.plans(engine, op, request)
    return batch_norm.plans(engine, op, request)
