"""The plan of a net: layers, shapes, parameters, gradients, before one array exists."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import minidl.layers  # noqa: F401  (registers every layer)
from minidl import prototxt, schema
from minidl.arrays.memory import Shape
from minidl.errors import GraphError, MinidlError, UnknownLayerTypeError, raise_all, worth_a_hint
from minidl.layers import python_known, unread
from minidl.layers.base import REGISTRY, Layer, layer_class
from minidl.layers.context import Context
from minidl.layers.source import Source
from minidl.net import aliasing, gradients, graph
from minidl.net.infer import AUTOMATIC, infer, shared_multipliers
from minidl.net.node import Node, ParamPlan
from minidl.prototxt import phases
from minidl.prototxt.elsewhere import type_hint

MOST_CONFLICTS = 1000  # that are reported; n layers may have n * n


class Blueprint:
    """A net on paper, from a NetParameter and a Context.

    level, stages   for include and exclude rules, besides those of the net's own `state`

    filtered    the net of this phase, level and stage;  param: the same with splits, which runs
    layers, nodes    the layers in the order of execution, and a Node for each of them
    notes    what was upgraded from an older form, a sentence each
    inputs   tops of Input layers;  outputs: tops nobody uses, in alphabetical order as in Caffe

    Raises all errors of a stage together: what the message alone shows, then the graph (unknown
    bottoms and layer types), the layers' own parameters, shapes, in-place conflicts.
    """

    def __init__(
        self, net: Any, ctx: Context, level: int | None = None, stages: Sequence[str] = ()
    ) -> None:
        self.ctx = ctx
        net, self.notes = prototxt.upgrade_net(net)
        prototxt.validate_net(net)
        state = phases.net_state(
            ctx.phase,
            net.state.level if level is None else level,
            sorted({*net.state.stage, *stages}),
        )
        self.filtered = python_known.replace_absent(phases.filter_layers(net, state), ctx)
        self.param = _split(self.filtered)
        self.name = self.param.name
        self._multipliers = shared_multipliers(self.param)
        self.layers = _make_layers(self.param, ctx)
        unread.warn(self.layers)
        nodes = infer(self.layers, self._multipliers, {})
        nodes = gradients.plan_backward(nodes, self.param.force_backward)
        _refuse_lost_gradients(nodes)
        _refuse_in_place_conflicts(nodes)
        self.nodes = self._first = nodes
        self._tell_sources()
        self.inputs = [t for n in nodes if n.type == "Input" for t in n.tops]
        self.outputs = sorted(t for t in _unused_tops(nodes) if not t.startswith(AUTOMATIC))

    def reshape(self, given: Mapping[str, Shape], count: int | None = None) -> None:
        """Work out all shapes again, with these shapes for tops of layers that have no bottom, or
        whose bottoms' values decide them.

        count   this number of layers only: what comes after is not known yet, and has no nodes
        """
        nodes = infer(self.layers[:count], self._multipliers, given)
        before = {p.key: p.shape for n in self._first for p in n.params}
        errors = [
            GraphError(
                f"would need parameter {p.attr} of shape {p.shape}, but has {before[p.key]}",
                where=n.layer.where,
                expected="bottoms that leave the parameters as they are",
            )
            for n in nodes
            for p in n.params
            if p.shape != before[p.key]
        ]
        raise_all(errors)
        self.nodes = [
            dataclasses.replace(n, needs_backward=first.needs_backward, wanted=first.wanted)
            for n, first in zip(nodes, self._first, strict=False)
        ]

    def _tell_sources(self) -> None:
        """Let layers that fill tops once know whether these stay as they were filled."""
        overwritten = frozenset(aliasing.overwritten(self.nodes))
        for node in self.nodes:
            if isinstance(node.layer, Source):
                node.layer.overwritten = overwritten.intersection(node.tops)

    @property
    def params(self) -> list[ParamPlan]:
        """Parameters with memory of their own, in order."""
        return [p for n in self.nodes for p in n.params if p.owner == p.key]

    @property
    def blob_shapes(self) -> dict[str, Shape]:
        """Every blob's shape by name, in the order in which they are made."""
        return {t: s for n in self.nodes for t, s in zip(n.tops, n.top_shapes, strict=True)}

    @property
    def learning(self) -> frozenset[str]:
        """Owner's keys of the parameters whose gradient is asked for."""
        force = self.param.force_backward
        return frozenset(
            p.owner
            for node in self.nodes
            for p in node.params
            if p.lr_mult or (force and p.attr not in node.layer.statistics)
        )


def _split(net: Any) -> Any:
    """Return the net with its splits; refuse all unknown types and all unknown blobs."""
    errors: list[MinidlError] = []
    counted = schema.NetParameter()
    counted.CopyFrom(net)
    read = {name for spec in net.layer for name in spec.bottom}
    for spec in counted.layer:
        if spec.type not in REGISTRY:
            errors.append(
                UnknownLayerTypeError(
                    f"unknown type '{spec.type}'",
                    where=prototxt.where(spec),
                    fix=type_hint(spec.type, REGISTRY) if worth_a_hint(errors) else "",
                )
            )
        elif REGISTRY[spec.type].loss and not spec.loss_weight and read.intersection(spec.top[:1]):
            # Said here, so that the reader and the loss itself each get their own gradient.
            spec.loss_weight.extend([1.0] + [0.0] * (len(spec.top) - 1))
    try:
        counted = graph.insert_splits(counted)
    except MinidlError as error:
        errors.append(error)
    raise_all(errors)
    return counted


def _make_layers(net: Any, ctx: Context) -> list[Layer]:
    layers: list[Layer] = []
    errors: list[MinidlError] = []
    for spec in net.layer:
        own = ctx
        if spec.HasField("phase"):
            own = dataclasses.replace(ctx, phase=spec.phase)
        try:
            layers.append(layer_class(spec)(spec, own))
        except MinidlError as error:
            errors.append(error)
    raise_all(errors)
    return layers


def _refuse_lost_gradients(nodes: Sequence[Node]) -> None:
    errors = [
        GraphError(
            "cannot pass a gradient on, but a loss above it and parameters below it need one",
            where=node.layer.where,
            fix="add propagate_down: false, or take the loss weight away",
        )
        for node in nodes
        if node.needs_backward and not node.differentiable
    ]
    raise_all(errors)


def _refuse_in_place_conflicts(nodes: Sequence[Node]) -> None:
    layers = {n.name: n.layer for n in nodes}
    errors: list[MinidlError] = []
    for c in itertools.islice(aliasing.find_conflicts(nodes), MOST_CONFLICTS):
        reader = layers[c.reader]
        if c.what == "input":
            need = f"{reader.type} layer '{c.reader}' still has to read it"
        elif c.reader == c.writer:
            need = "its own backward needs the values it overwrites"
        else:
            what = "its top" if c.what != "bottom" else "its bottom"
            need = f"the backward of {reader.type} layer '{c.reader}' still needs {what}"
        errors.append(
            GraphError(
                f"overwrites blob '{c.blob}' in place, but {need}",
                where=layers[c.writer].where,
                fix=f"give layer '{c.writer}' a top with a name of its own",
            )
        )
    raise_all(errors)


def _unused_tops(nodes: Sequence[Node]) -> set[str]:
    """Return the tops that no layer reads after they were last written."""
    unused: set[str] = set()
    for node in nodes:
        unused.difference_update(node.bottoms)
        unused.update(node.tops)
    return unused
