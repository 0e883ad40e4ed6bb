"""Plan how a net will run: the plan of each layer, the layout and the place of every array.

All of it is worked out from the blueprint, before any array exists: this is what `minidl check`
prints, and what `minidl.net.program` then gives memory.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl import ops
from minidl.arrays.memory import Layout, nbytes, padded
from minidl.arrays.units import bytes_
from minidl.engines import select
from minidl.engines.engine import Engine
from minidl.engines.plan import Plan
from minidl.engines.request import UNDECIDED, Request, Undecided
from minidl.engines.select import Policy
from minidl.net import aliasing, fuse, planner
from minidl.net.access import accesses
from minidl.net.blueprint import Blueprint
from minidl.net.layout import Array, Key, Walk, lifetimes
from minidl.net.node import Node, ParamPlan


@dataclass
class Step:
    """One node, and who runs it.

    plan, engine  who computes it; None: the layer's own array code
    why           for a layer that could have had a plan: why it has none; with a plan, how it was
                  measured
    fused         its forward is done by the step before it
    idle          its tops are its bottom, there is nothing to compute
    joined        nodes whose work is done here, forward and backward
    part_of       the step that does so for this node, which is idle
    """

    node: Node
    plan: Plan | None = None
    engine: Engine | None = None
    why: str = ""
    fused: bool = False
    idle: bool = False
    joined: tuple[Node, ...] = ()
    part_of: Step | None = None

    @property
    def params(self) -> dict[str, ParamPlan]:
        """What its plan needs of parameters, by the names that its plan gives them."""
        return {
            ops.Chain.param(k, p.attr): p
            for k, node in enumerate((self.node, *self.joined))
            for p in node.params
        }

    def describe(self) -> str:
        """Say "conv2: onednn jit:avx512_core, 0 B", or why array code runs; "" if no news."""
        if self.part_of is not None:
            first = self.part_of
            assert first.engine is not None and first.plan is not None
            said = f"{first.engine.name} {first.plan.algorithm}, with '{first.node.name}'"
            return f"{self.node.name}: {said}"
        if self.plan is not None and self.engine is not None:
            fused = ", with the layer before it" if self.fused else ""
            size = bytes_(self.plan.workspace)
            measured = f"; {self.why}" if self.why else ""
            said = f"{self.engine.name} {self.plan.algorithm}, {size}{fused}{measured}"
            return f"{self.node.name}: {said}"
        return f"{self.node.name}: array code ({self.why})" if self.why else ""


class Schedule:
    """The schedule of these nodes, one after the other.

    backward   whether gradients will be computed at all
    pinned     blobs ("conv1", "data") that have to be plain memory of their own
    homes      by owner's key ("conv1/0"): the layout of a parameter that is decided already
    learning   owner's keys of the parameters whose gradient is asked for
    share      whether blobs that nobody needs any more leave their memory to others
    separate   every layer has to leave its own top: none is computed with the one before it
    dtype      the net's number type

    steps     one for each node;  walk: the arrays they work on
    accesses  what each step, forward and backward, reads and writes
    private   arrays that some plan's backward reads as its forward left them
    params    by owner's key: the layout it is to live in
    spans     what shares memory, by name: see `name_of` and `saved_name`
    memory    where each span is in the shared memory
    scratch   bytes of the one scratch area that all layers use, one after the other

    >>> from minidl.prototxt import read_net
    >>> from minidl.layers.context import Context
    >>> net = read_net('''
    ... layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
    ... layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
    ...         inner_product_param { num_output: 4 } }''')
    >>> schedule = Schedule.of(Blueprint(net, Context()), select.policy("numpy"))
    >>> [(step.node.name, step.plan) for step in schedule.steps], schedule.batch
    ([('in', None), ('ip', None)], 2)
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        engines: Sequence[Engine],
        policy: Policy,
        *,
        backward: bool = True,
        pinned: Collection[Key] = (),
        homes: Mapping[str, Layout | None] | None = None,
        learning: Collection[str] = (),
        share: bool = False,
        separate: bool = False,
        dtype: Any = np.float32,
    ) -> None:
        self.backward = backward and any(node.needs_backward for node in nodes)
        self.policy, self.share, self.separate, self.dtype = policy, share, separate, dtype
        self.learning = frozenset(learning)
        self.engines = list(engines) if np.dtype(dtype) == np.float32 else []
        self.nodes = list(nodes)
        if not self.backward:
            off = [(False,) * len(node.wanted) for node in nodes]
            self.nodes = [
                dataclasses.replace(node, needs_backward=False, wanted=wanted)
                for node, wanted in zip(nodes, off, strict=True)
            ]
        self.params: dict[str, Layout | None | Undecided] = {**self._undecided(), **(homes or {})}
        self.walk = Walk(len(nodes), frozenset(pinned) | self._always_pinned())
        self.steps: list[Step] = []
        for group in fuse.groups(self.nodes, self._leaves_its_work):
            for step in self._run(group):
                self._settle(step)
                self.steps.append(step)
                self.walk.forward(self._arranged(step))
        self.walk.backward()
        for key, home in self.params.items():
            if isinstance(home, Undecided):
                self.params[key] = None
        self.accesses = accesses(self.walk)
        self.private = {number for access in self.accesses for number in access.private}
        self.spans = [*self._blob_spans(), *self._saved_spans()]
        self.memory = planner.plan(self.spans)
        self.scratch = max(map(self.scratch_bytes, self.steps), default=0)

    @classmethod
    def of(cls, blueprint: Blueprint, policy: Policy, **demands: Any) -> Schedule:
        """Plan a net that nobody has made yet; `demands` as above."""
        engines = select.engines(policy, [layer.engine_wish for layer in blueprint.layers])
        demands = {"learning": blueprint.learning, "dtype": blueprint.ctx.dtype, **demands}
        return cls(blueprint.nodes, engines, policy, **demands)

    # ------------------------------------------------------------------ what must be plain

    def _undecided(self) -> dict[str, Layout | None | Undecided]:
        """Open for parameters with one user; plain where several layers share one."""
        users: dict[str, int] = {}
        for node in self.nodes:
            for p in node.params:
                users[p.owner] = users.get(p.owner, 0) + 1
        return {key: UNDECIDED if count == 1 else None for key, count in users.items()}

    def _always_pinned(self) -> set[Key]:
        """Return what is read or written from outside in every pass: inputs, outputs, losses."""
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

    def _leaves_its_work(self, node: Node) -> bool:
        asked = select.asked(self.policy, node.layer.engine_wish)
        return bool(self.engines) and not self.separate and asked != "numpy"

    def _run(self, group: fuse.Group) -> Iterator[Step]:
        """Return what runs each node of a group: as many of the first as an engine has a plan
        for as one, then the rest."""
        first, *others = group.nodes
        for count in range(len(others), -1, -1):
            op, joined = group.ops[count], tuple(others[:count])
            chained = count > 0 and isinstance(op, ops.Chain)
            step = self._step(first, op, joined=joined if chained else ())
            if step.plan is not None:
                break
        yield step
        for node in joined:
            if chained:
                yield Step(node, fused=True, idle=True, part_of=step)
            else:
                yield self._step(node, node.op, fused=True)  # its backward is its own
        for rest in fuse.groups(others[count:], self._leaves_its_work):
            yield from self._run(rest)

    def _step(
        self, node: Node, op: Any, fused: bool = False, joined: tuple[Node, ...] = ()
    ) -> Step:
        step = Step(node, fused=fused, joined=joined)
        if node.views and (node.in_place or not node.needs_backward):
            step.idle = True
        elif op is not None and self.engines:
            choice = select.choose(
                self.engines,
                op,
                self._request(step),
                self.policy,
                lambda plan: self._misfit(node, plan),
                node.layer.engine_wish,
            )
            step.plan, step.engine, step.why = choice
        return step

    def _settle(self, step: Step) -> None:
        """Let its parameters live as its plan says; refuse it without the engine it asks for."""
        node, plan = step.node, step.plan
        if step.part_of is not None:
            return
        if self.engines and plan is None and not step.idle:
            select.insist(node.layer.engine_wish, step.why)
        for name, p in step.params.items():
            self.params[p.owner] = plan.params.get(name) if plan is not None else None

    def _request(self, step: Step) -> Request:
        node, params, policy = step.node, step.params, self.policy
        ctx = node.layer.ctx
        return Request(
            bottom_shapes=node.bottom_shapes,
            top_shapes=node.top_shapes,
            params=tuple((name, p.shape) for name, p in params.items()),
            homes=tuple(self.params[p.owner] for p in params.values()),
            bottom_layouts=tuple(self.walk.layout(name) for name in node.bottoms),
            training=node.needs_backward,
            backward=node.needs_backward,
            wanted=node.wanted,
            learning=tuple(name for name, p in params.items() if p.owner in self.learning),
            in_place=node.in_place,
            math=policy.math,
            threads=policy.threads,
            limit=policy.limit,
            algorithm=policy.algorithm,
            deterministic=policy.deterministic,
            key=ctx.streams.key(node.name) if ctx.counter else (0, 0),
            counter=ctx.counter,
        )

    def _misfit(self, node: Node, plan: Plan) -> str:
        """Say why this plan would read what is overwritten by then; "" if it would not."""
        if not node.needs_backward or set(plan.keeps) <= set(node.keeps):
            return ""
        planned = dataclasses.replace(node, keeps=plan.keeps)
        nodes = [planned if n is node else n for n in self.nodes]
        for conflict in aliasing.find_conflicts(nodes):
            return f"its backward reads '{conflict.blob}', which '{conflict.writer}' overwrites"
        return ""

    def _arranged(self, step: Step) -> Node:
        """Return the step's node with the layouts in which its plan reads and writes."""
        node, plan = step.node, step.plan
        if step.part_of is not None:  # in place, so it has the layouts of what came
            lies = (self.walk.layout(node.tops[0]),)
            return dataclasses.replace(
                node,
                bottom_layouts=lies,
                top_layouts=lies,
                bottom_diff_layouts=lies,
                top_diff_layouts=lies,
                keeps=(),
                idle=True,
            )
        idle = step.idle or node.type == "Input"  # users fill those
        if plan is not None:
            read_again = [kept.removesuffix(" sign") for kept in plan.keeps]
            return dataclasses.replace(
                node,
                bottom_layouts=plan.bottom_layouts,
                top_layouts=plan.top_layouts,
                bottom_diff_layouts=plan.bottom_layouts,
                top_diff_layouts=plan.top_layouts,
                keeps=plan.keeps,
                private=tuple(what for what in read_again if not node.rereads(what)),
                idle=idle,
            )
        viewed = [(node.top_shapes[t], node.bottom_shapes[b]) for t, b in node.views.items()]
        if viewed and all(top == bottom for top, bottom in viewed):  # in its layout on arrival
            arrives = tuple(self.walk.layout(name) for name in node.bottoms)
            return dataclasses.replace(node, bottom_layouts=arrives, idle=idle)
        return dataclasses.replace(node, idle=idle)

    # ------------------------------------------------------------------ memory

    @property
    def nbytes(self) -> int:
        """Bytes that a program of it takes: all but parameters and their gradients."""
        own = (a for a in self.walk.arrays if a.base is None)
        apart = (a for a in own if name_of(a) not in self.memory.offsets)
        sizes = (nbytes(a.shape, a.layout, self.dtype) for a in apart)
        return self.memory.total + self.scratch + sum(map(padded, [*sizes, *self._lasting()]))

    def _lasting(self) -> list[int]:
        """Return the bytes of each array that layers carry from pass to pass."""
        buffers = (b for step in self.steps for b in step.node.buffers.values())
        return [self._bytes(b) for b in buffers if b.lasting]

    def _bytes(self, buffer: Any) -> int:
        return math.prod(buffer.shape) * np.dtype(buffer.dtype or self.dtype).itemsize

    @property
    def batch(self) -> int:
        """Items in a batch: the first extent of the first top that has one."""
        shapes = (shape for node in self.nodes for shape in node.top_shapes)
        return next((shape[0] for shape in shapes if shape), 0)

    def _blob_spans(self) -> list[planner.Span]:
        """Return the spans of what nobody owns: without sharing, copies that no user can see."""
        shown = set(self.walk.homes.values())
        return [
            self._span(name_of(a), nbytes(a.shape, a.layout, self.dtype), a.first, a.last)
            for a in lifetimes(self.walk.arrays)
            if self.share or (a.copy and a.number not in shown)
        ]

    def _saved_spans(self) -> list[planner.Span]:
        """Return what layers and plans keep from their forward to their backward."""
        spans = []
        for i, step in enumerate(self.steps):
            until = 2 * len(self.steps) - 1 - i if step.node.needs_backward else i
            for name, size in self.saved(step).items():
                spans.append(self._span(saved_name(i, step, name), size, i, until))
        return spans

    def _span(self, name: str, size: int, first: int, last: int) -> planner.Span:
        """Return a span; without sharing it outlives the pass, so that parts can be run again."""
        end = 2 * len(self.nodes) - 1
        return planner.Span(name, size, ((first, last),) if self.share else ((0, end),))

    def saved(self, step: Step) -> dict[str, int]:
        """Return the bytes, by name, of what a step keeps from forward to backward."""
        if step.part_of is not None:
            return {}
        if step.plan is not None:
            return {"saved": step.plan.saved} if step.plan.saved else {}
        buffers = step.node.buffers.items()
        return {attr: self._bytes(b) for attr, b in buffers if b.kept and not b.lasting}

    def scratch_bytes(self, step: Step) -> int:
        """Return the bytes that a step needs while it is being called."""
        if step.part_of is not None:
            return 0
        if step.plan is not None:
            return step.plan.workspace
        buffers = step.node.buffers.values()
        return sum(padded(self._bytes(b)) for b in buffers if not b.kept)


def name_of(array: Array) -> str:
    """Return the name of an array's span: "12 conv1 data"."""
    return f"{array.number} {array.name}"


def saved_name(i: int, step: Step, what: str) -> str:
    """Return the name of the span of what step i keeps: "4 norm1 scale"."""
    return f"{i} {step.node.name} {what}"
