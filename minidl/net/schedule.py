"""How a net will run: the plan of each layer, the layout and the place of every array.

All of it is worked out from the blueprint, before any array exists: this is what `minidl check`
prints, and what `minidl.net.program` then gives memory.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidl import ops
from minidl.arrays.memory import Layout, Shape, nbytes, padded
from minidl.arrays.units import bytes_
from minidl.engines import UNDECIDED, Engine, Plan, Request, Undecided
from minidl.engines.select import Policy, asked, choose, insist
from minidl.net import aliasing, planner
from minidl.net.access import accesses
from minidl.net.blueprint import Node
from minidl.net.layout import Array, Call, Key, Walk, lifetimes

FUSABLE = (ops.Conv, ops.Gemm)


@dataclass
class Step:
    """One layer in its place.

    plan, engine  who computes it; None: the layer's own array code
    why           for a layer that could have had a plan: why it has none; with a plan, how it was
                  measured
    fused         its forward is done by the step before it
    idle          its tops are its bottom, there is nothing to compute
    """

    node: Node
    plan: Plan | None = None
    engine: Engine | None = None
    why: str = ""
    fused: bool = False
    idle: bool = False

    def describe(self) -> str:
        """'conv2: onednn jit:avx512_core, 0 B', or why array code runs; "" if that is no news."""
        if self.plan is not None and self.engine is not None:
            fused = ", with the layer before it" if self.fused else ""
            size = bytes_(self.plan.workspace)
            measured = f"; {self.why}" if self.why else ""
            said = f"{self.engine.name} {self.plan.algorithm}, {size}{fused}{measured}"
            return f"{self.node.name}: {said}"
        return f"{self.node.name}: array code ({self.why})" if self.why else ""


@dataclass(frozen=True)
class Demands:
    """What a schedule has to respect beside the blueprint.

    backward   whether gradients will be computed at all
    pinned     blobs ("conv1", "data") that have to be plain memory of their own
    homes      by owner's key ("conv1/0"): the layout of a parameter that is decided already
    learning   owner's keys of the parameters whose gradient is asked for
    share      whether blobs that nobody needs any more leave their memory to others
    fuse       whether a ReLU may be computed with the layer before it
    dtype      the net's number type
    """

    backward: bool
    pinned: frozenset[Key] = frozenset()
    homes: Mapping[str, Layout | None] = field(default_factory=dict)
    learning: frozenset[str] = frozenset()
    share: bool = False
    fuse: bool = True
    dtype: Any = np.float32


class Schedule:
    """The schedule of these nodes.

    steps     one for each node;  walk: the arrays they work on
    accesses  what each step, forward and backward, reads and writes
    private   arrays that some plan's backward reads as its forward left them
    params    by owner's key: the layout it is to live in
    spans     what shares memory, by name: see `name_of` and `saved_name`
    memory    where in the shared memory each span lies
    scratch   bytes of the one scratch area that every layer uses in its turn
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        engines: Sequence[Engine],
        policy: Policy,
        demands: Demands,
    ) -> None:
        self.nodes, self.policy, self.demands = list(nodes), policy, demands
        self.engines = list(engines) if np.dtype(demands.dtype) == np.float32 else []
        if not demands.backward:
            self.nodes = [
                dataclasses.replace(n, needs_backward=False, wanted=(False,) * len(n.wanted))
                for n in nodes
            ]
        self.params: dict[str, Layout | None | Undecided] = self._undecided()
        self.walk = Walk(len(nodes), demands.pinned | self._always_pinned())
        self.steps: list[Step] = []
        for i, node in enumerate(self.nodes):
            step = self._step(i, node)
            self.steps.append(step)
            self.walk.forward(self._call(step))
        self.walk.backward()
        for key, home in self.params.items():
            if isinstance(home, Undecided):
                self.params[key] = None
        self.accesses = accesses(self.walk)
        self.private = {number for access in self.accesses for number in access.private}
        self.spans = [*self._blob_spans(), *self._saved_spans()]
        self.memory = planner.plan(self.spans)
        self.scratch = max(map(self.scratch_bytes, self.steps), default=0)

    # ------------------------------------------------------------------ what must be plain

    def _undecided(self) -> dict[str, Layout | None | Undecided]:
        """Open for parameters with one user; plain where several layers share one."""
        users: dict[str, int] = {}
        for node in self.nodes:
            for p in node.params:
                users[p.owner] = users.get(p.owner, 0) + 1
        homes: dict[str, Layout | None | Undecided] = {
            key: UNDECIDED if count == 1 else None for key, count in users.items()
        }
        return {**homes, **self.demands.homes}

    def _always_pinned(self) -> set[Key]:
        """What is read or written from outside in every pass: inputs, outputs, losses."""
        pinned: set[Key] = set()
        unread: dict[str, None] = {}
        for node in self.nodes:
            for name in node.bottoms:
                unread.pop(name, None)
            unread.update(dict.fromkeys(node.tops))
            if not node.bottoms:
                pinned.update((t, "data") for t in node.tops)
            for name, weight in zip(node.tops, node.loss_weights, strict=True):
                if weight:
                    pinned.update({(name, "data"), (name, "diff")})
        pinned.update((name, "data") for name in unread)
        return pinned

    # ------------------------------------------------------------------ plans

    def _step(self, i: int, node: Node) -> Step:
        step = Step(node)
        op = getattr(node.layer, "op", None)
        if node.layer.views and (node.in_place or not node.needs_backward):
            step.idle = True
        elif op is not None and self.engines:
            if self._is_fused(i):
                step.fused = True
            fused_op = self._with_next(i, op)
            for attempt in [fused_op, op] if fused_op is not op else [op]:
                self._choose(step, attempt)
                if step.plan is not None:
                    self._fusing = i if attempt is not op else -1
                    break
        if self.engines and step.plan is None and not step.idle:
            insist(node.layer.engine_wish, step.why)
        for p in node.params:
            self.params[p.owner] = step.plan.params.get(p.attr) if step.plan is not None else None
        return step

    _fusing = -1  # the step whose plan does the next layer's work, too

    def _is_fused(self, i: int) -> bool:
        return i > 0 and self._fusing == i - 1

    def _with_next(self, i: int, op: Any) -> Any:
        """The op with the ReLU behind it, where the next layer is one that works in place on it."""
        if not (self.demands.fuse and isinstance(op, FUSABLE) and i + 1 < len(self.nodes)):
            return op
        node, after = self.nodes[i], self.nodes[i + 1]
        relu = getattr(after.layer, "op", None)
        if (
            isinstance(relu, ops.Activation)
            and relu.kind == "relu"
            and after.in_place
            and after.bottoms == node.tops
            and asked(self.policy, after.layer.engine_wish) != "numpy"
        ):
            return dataclasses.replace(op, then=relu)
        return op

    def _choose(self, step: Step, op: Any) -> None:
        node = step.node
        ctx = node.layer.ctx
        request = Request(
            bottom=node.bottom_shapes,
            top=node.top_shapes,
            params=tuple((p.attr, p.shape) for p in node.params),
            homes=tuple(self.params[p.owner] for p in node.params),
            layouts=tuple(self.walk.layout(name) for name in node.bottoms),
            training=node.needs_backward,
            backward=node.needs_backward,
            wanted=node.wanted,
            learning=tuple(p.attr for p in node.params if p.owner in self.demands.learning),
            in_place=node.in_place,
            math=self.policy.math,
            threads=self.policy.threads,
            limit=self.policy.limit,
            algorithm=self.policy.algorithm,
            deterministic=self.policy.deterministic,
            key=ctx.streams.key(node.name) if ctx.counter else (0, 0),
            counter=ctx.counter,
        )
        choice = choose(
            self.engines,
            op,
            request,
            self.policy,
            lambda plan: self._misfit(node, plan),
            node.layer.engine_wish,
        )
        step.plan, step.engine, step.why = choice

    def _misfit(self, node: Node, plan: Plan) -> str:
        """Why this plan would read what is overwritten by then; "" if it would not."""
        if not node.needs_backward or set(plan.keeps) <= set(node.layer.keeps):
            return ""
        uses = [n.use(plan.keeps if n is node else None) for n in self.nodes]
        for conflict in aliasing.find_conflicts(uses):
            return f"its backward reads '{conflict.blob}', which '{conflict.writer}' overwrites"
        return ""

    def _call(self, step: Step) -> Call:
        node, plan = step.node, step.plan
        layer = node.layer
        plain = Call(
            node.name,
            node.bottoms,
            node.tops,
            node.bottom_shapes,
            node.top_shapes,
            bottom=(None,) * len(node.bottoms),
            top=(None,) * len(node.tops),
            bottom_diff=(None,) * len(node.bottoms),
            top_diff=(None,) * len(node.tops),
            in_place=node.in_place,
            views=layer.views,
            view_diffs=layer.view_diffs,
            keeps=layer.keeps,
            rereads=layer.keeps,
            idle=step.idle or node.type == "Input",  # users fill those
            backward=node.needs_backward,
            wanted=node.wanted,
        )
        if plan is not None:
            return dataclasses.replace(
                plain,
                bottom=plan.bottom,
                top=plan.top,
                bottom_diff=plan.bottom_diff or plain.bottom_diff,
                top_diff=plan.top_diff or plain.top_diff,
                keeps=plan.keeps,
            )
        if layer.views and all(s == node.bottom_shapes[b] for s, b in self._viewed(node)):
            arrives = tuple(self.walk.layout(name) for name in node.bottoms)
            return dataclasses.replace(plain, bottom=arrives)
        return plain

    @staticmethod
    def _viewed(node: Node) -> list[tuple[Shape, int]]:
        return [(node.top_shapes[t], b) for t, b in node.layer.views.items()]

    # ------------------------------------------------------------------ memory

    @property
    def nbytes(self) -> int:
        """Bytes that a program of it takes: all but parameters and their gradients."""
        own = (a for a in self.walk.arrays if a.base is None)
        apart = (a for a in own if name_of(a) not in self.memory.offsets)
        sizes = (nbytes(a.shape, a.layout, self.demands.dtype) for a in apart)
        return self.memory.total + self.scratch + sum(map(padded, [*sizes, *self._lasting()]))

    def _lasting(self) -> list[int]:
        """Bytes of what layers carry from pass to pass."""
        return [
            math.prod(b.shape) * np.dtype(b.dtype or self.demands.dtype).itemsize
            for step in self.steps
            for b in step.node.buffers.values()
            if b.lasting
        ]

    @property
    def batch(self) -> int:
        """Items in a batch: the first extent of the first top that has one."""
        shapes = (shape for node in self.nodes for shape in node.top_shapes)
        return next((shape[0] for shape in shapes if shape), 0)

    def _blob_spans(self) -> list[planner.Span]:
        """Of all that nobody owns: without sharing, only the copies that no user can see."""
        shown = set(self.walk.homes.values())
        return [
            self._span(name_of(a), nbytes(a.shape, a.layout, self.demands.dtype), a.first, a.last)
            for a in lifetimes(self.walk.arrays)
            if self.demands.share or (a.copy and a.number not in shown)
        ]

    def _saved_spans(self) -> list[planner.Span]:
        """What layers and plans keep from their forward to their backward."""
        spans = []
        for i, step in enumerate(self.steps):
            until = 2 * len(self.steps) - 1 - i if step.node.needs_backward else i
            for name, size in self.saved(step).items():
                spans.append(self._span(saved_name(i, step, name), size, i, until))
        return spans

    def _span(self, name: str, size: int, first: int, last: int) -> planner.Span:
        """Without sharing everything outlives the pass, so that parts of it can be run again."""
        end = 2 * len(self.nodes) - 1
        return planner.Span(name, size, ((first, last),) if self.demands.share else ((0, end),))

    def saved(self, step: Step) -> dict[str, int]:
        """Bytes by name of what a step keeps from forward to backward."""
        if step.plan is not None:
            return {"saved": step.plan.saved} if step.plan.saved else {}
        return {
            attr: math.prod(b.shape) * np.dtype(b.dtype or self.demands.dtype).itemsize
            for attr, b in step.node.buffers.items()
            if b.kept and not b.lasting
        }

    def scratch_bytes(self, step: Step) -> int:
        """Bytes that a step needs while it is being called."""
        if step.plan is not None:
            return step.plan.workspace
        dtype = self.demands.dtype
        sizes = [
            math.prod(b.shape) * np.dtype(b.dtype or dtype).itemsize
            for b in step.node.buffers.values()
            if not b.kept
        ]
        return sum(map(padded, sizes))


def name_of(array: Array) -> str:
    """The name of an array's span: "12 conv1 data"."""
    return f"{array.number} {array.name}"


def saved_name(i: int, step: Step, what: str) -> str:
    """The name of the span of what step i keeps: "4 norm1 scale"."""
    return f"{i} {step.node.name} {what}"
