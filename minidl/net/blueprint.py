"""What a net will be: layers, shapes, parameters, gradients, before one array exists."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import minidl.layers  # noqa: F401  (registers every layer)
from minidl import prototxt, schema
from minidl.arrays.blob import Shape
from minidl.errors import (
    GraphError,
    MinidlError,
    UnknownLayerTypeError,
    raise_all,
    worth_a_hint,
)
from minidl.layers import fillers, python_known, unread
from minidl.layers.base import REGISTRY, Buffer, Layer, layer_class
from minidl.layers.context import Context
from minidl.layers.source import Source
from minidl.net import aliasing, gradients, graph
from minidl.prototxt import phases
from minidl.prototxt.elsewhere import type_hint

MOST_AXES = 32  # Caffe's own limit, and less than NumPy's 64
MOST_CONFLICTS = 1000  # that are reported; n layers may have n * n
AUTOMATIC = "(automatic)"  # Caffe's name for the top of a loss that the prototxt left out


@dataclass(frozen=True)
class ParamPlan:
    """One parameter of one layer.

    key       "conv1/0": layer and index, as in a caffemodel
    attr      the layer's attribute it is bound to ("weight")
    owner     key of the parameter whose memory it uses: its own key, or, where `param { name }`
              is shared, that of the first layer with this name
    filler    FillerParameter or None
    name      what `param { name }` calls it, '' without
    """

    key: str
    attr: str
    shape: Shape
    lr_mult: float
    decay_mult: float
    owner: str
    filler: Any
    name: str = ""


@dataclass(frozen=True)
class Node:
    """One layer in its place. Shapes are those of the bottoms and tops in order."""

    layer: Layer
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    bottom_shapes: tuple[Shape, ...]
    top_shapes: tuple[Shape, ...]
    params: tuple[ParamPlan, ...]
    buffers: Mapping[str, Buffer]
    loss_weights: tuple[float, ...]
    needs_backward: bool
    wanted: tuple[bool, ...]

    @property
    def name(self) -> str:
        return self.layer.name

    @property
    def type(self) -> str:
        return self.layer.type

    @property
    def spec(self) -> Any:
        return self.layer.spec

    @property
    def param_shapes(self) -> dict[str, Shape]:
        return {p.attr: p.shape for p in self.params}

    @property
    def multiply_adds(self) -> int:
        return self.layer.multiply_adds(*self.bottom_shapes)

    @property
    def in_place(self) -> bool:
        """Whether the first top is the first bottom itself."""
        return self.layer.is_in_place

    def use(self, keeps: tuple[str, ...] | None = None) -> aliasing.Use:
        """What it does with its blobs' memory; `keeps` of a plan, by default the layer's own."""
        layer = self.layer
        return aliasing.Use(
            self.name,
            self.bottoms,
            self.tops,
            layer.views,
            layer.keeps if keeps is None else keeps,
            layer.keeps_sign,
            self.needs_backward,
        )


class Blueprint:
    """A net on paper, from a NetParameter and a Context.

    level, stages   for include and exclude rules, beside those of the net's own `state`

    filtered    the net of this phase, level and stage;  param: the same with splits, which runs
    layers, nodes    the layers in the order of execution, and a Node for each of them
    notes    what was upgraded from an older form, a sentence each
    inputs   tops of Input layers;  outputs: tops nobody uses, in alphabetical order as in Caffe

    Raises all errors of a stage together: what the message alone shows, then the graph (unknown
    bottoms and layer types), the layers' own parameters, shapes, in-place conflicts.
    """

    def __init__(
        self,
        net: Any,
        ctx: Context,
        level: int | None = None,
        stages: Sequence[str] = (),
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
        self._multipliers = _shared_multipliers(self.param)
        self.layers = _make_layers(self.param, ctx)
        unread.warn(self.layers)
        self.nodes = self._infer(self.layers, {})
        self._plan_gradients()
        self._first = self.nodes
        self._refuse_in_place_conflicts()
        self._tell_sources()
        self.inputs = [t for n in self.nodes if n.type == "Input" for t in n.tops]
        self.outputs = sorted(t for t in _unused_tops(self.nodes) if not t.startswith(AUTOMATIC))

    # -------------------------------------------------------------- shapes

    def reshape(self, given: Mapping[str, Shape], count: int | None = None) -> None:
        """Work out all shapes again, with these shapes for tops of layers that have no bottom, or
        whose bottoms' values decide them.

        count   so many layers only: what comes after is not known yet, and has no nodes
        """
        nodes = self._infer(self.layers[:count], given)
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

    def _infer(self, layers: Sequence[Layer], given: Mapping[str, Shape]) -> list[Node]:
        shapes: dict[str, Shape] = {}
        owners: dict[str, ParamPlan] = {}
        named: dict[str, Layer] = {}
        nodes: list[Node] = []
        errors: list[MinidlError] = []
        for layer in layers:
            spec = layer.spec
            bottoms, tops = tuple(spec.bottom), tuple(spec.top)
            if any(name not in shapes for name in bottoms):
                continue  # below a layer that was refused: its shapes are not known
            try:
                bottom_shapes = tuple(shapes[name] for name in bottoms)
                top_shapes = tuple(tuple(s) for s in layer.top_shapes(*bottom_shapes))
                if not bottoms or layer.is_late:
                    top_shapes = tuple(
                        given.get(t, s) for t, s in zip(tops, top_shapes, strict=True)
                    )
                if layer.loss and not tops:
                    tops = (f"{AUTOMATIC} {layer.name}" if AUTOMATIC in shapes else AUTOMATIC,)
                _check_sizes(layer, tops, top_shapes)
                loss_weights = _loss_weights(layer, tops)
                params = tuple(self._params(layer, bottom_shapes, owners))
                _check_sizes(layer, [p.attr for p in params], [p.shape for p in params], "")
                if params and layer.name in named:
                    layer.reject(
                        f"has the name of an earlier {named[layer.name].type} layer",
                        fix="rename one of them: weights are stored by layer name",
                    )
                buffers = layer.buffers(*bottom_shapes)
            except MinidlError as error:
                errors.append(error)
                continue
            shapes.update(zip(tops, top_shapes, strict=True))
            if params:
                named[layer.name] = layer
            nodes.append(
                Node(
                    layer,
                    bottoms,
                    tops,
                    bottom_shapes,
                    top_shapes,
                    params,
                    buffers,
                    loss_weights,
                    needs_backward=False,
                    wanted=(False,) * len(bottoms),
                )
            )
        raise_all(errors)
        return nodes

    def _params(
        self, layer: Layer, bottom_shapes: tuple[Shape, ...], owners: dict[str, ParamPlan]
    ) -> list[ParamPlan]:
        plans = []
        shapes = layer.param_shapes(*bottom_shapes)
        specs = layer.spec.param
        if len(specs) > len(shapes):
            layer.reject(
                f"has {len(specs)} param entries, but {len(shapes)} parameters",
                expected=f"at most {len(shapes)}: {', '.join(shapes) or 'none'}",
                fix="delete the entries that have no parameter",
            )
        for i, (attr, shape) in enumerate(shapes.items()):
            spec = specs[i] if i < len(specs) else None
            fixed = attr in layer.statistics
            plan = ParamPlan(
                key=f"{layer.name}/{i}",
                attr=attr,
                shape=tuple(shape),
                lr_mult=0.0 if fixed else self._multiplier(spec, "lr_mult"),
                decay_mult=0.0 if fixed else self._multiplier(spec, "decay_mult"),
                owner=f"{layer.name}/{i}",
                filler=layer.fillers.get(attr),
                name=spec.name if spec is not None else "",
            )
            if plan.name:
                plan = _share(layer, spec, plan, owners)
            if plan.filler is not None and plan.owner == plan.key:
                fillers.check(plan.shape, plan.filler, layer.where)
            plans.append(plan)
        return plans

    def _multiplier(self, spec: Any, field: str) -> float:
        if spec is None:
            return 1.0
        return self._multipliers.get((spec.name, field), getattr(spec, field))

    # -------------------------------------------------------------- gradients and memory

    def _plan_gradients(self) -> None:
        wiring = []
        for node in self.nodes:
            layer, down = node.layer, tuple(node.spec.propagate_down)
            wiring.append(
                gradients.Wiring(
                    node.bottoms,
                    node.tops,
                    any(p.lr_mult != 0 for p in node.params),
                    tuple(w != 0 for w in node.loss_weights),
                    down,
                    layer.no_gradient,
                    layer.differentiable,
                )
            )
        flows = gradients.plan_backward(wiring, self.param.force_backward)
        errors: list[MinidlError] = [
            GraphError(
                "cannot pass a gradient on, but a loss above it and parameters below it need one",
                where=node.layer.where,
                fix="add propagate_down: false, or take the loss weight away",
            )
            for node, flow in zip(self.nodes, flows, strict=True)
            if flow.backward and not node.layer.differentiable
        ]
        raise_all(errors)
        self.nodes = [
            dataclasses.replace(node, needs_backward=flow.backward, wanted=flow.wanted)
            for node, flow in zip(self.nodes, flows, strict=True)
        ]

    def _refuse_in_place_conflicts(self) -> None:
        uses = [node.use() for node in self.nodes]
        layers = {n.name: n.layer for n in self.nodes}
        errors: list[MinidlError] = []
        for c in itertools.islice(aliasing.find_conflicts(uses), MOST_CONFLICTS):
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

    def _tell_sources(self) -> None:
        """Let layers that fill tops once know whether these stay as they were filled."""
        overwritten = frozenset(aliasing.overwritten([node.use() for node in self.nodes]))
        for node in self.nodes:
            if isinstance(node.layer, Source):
                node.layer.overwritten = overwritten.intersection(node.tops)

    # -------------------------------------------------------------- totals

    @property
    def params(self) -> list[ParamPlan]:
        """Parameters with memory of their own, in order."""
        return [p for n in self.nodes for p in n.params if p.owner == p.key]

    @property
    def blob_shapes(self) -> dict[str, Shape]:
        """Every blob's shape by name, in the order in which they are made."""
        return {t: s for n in self.nodes for t, s in zip(n.tops, n.top_shapes, strict=True)}


def _split(net: Any) -> Any:
    """The net with its splits, or a refusal of all unknown types and all unknown blobs."""
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


def _share(layer: Layer, spec: Any, plan: ParamPlan, owners: dict[str, ParamPlan]) -> ParamPlan:
    """Use the memory of the first parameter with this name (Caffe's Net::AppendParam)."""
    owner = owners.setdefault(spec.name, plan)
    permissive = spec.share_mode == spec.PERMISSIVE
    same = (
        math.prod(owner.shape) == math.prod(plan.shape) if permissive else owner.shape == plan.shape
    )
    if not same:
        layer.reject(
            f"shares parameter '{spec.name}' of {owner.key}, whose shape is {owner.shape}, "
            f"but needs {plan.shape}",
            expected="the same number of elements" if permissive else "the same shape",
            fix="" if permissive else "share_mode: PERMISSIVE allows another shape of equal size",
        )
    return dataclasses.replace(plan, owner=owner.key)


def _shared_multipliers(net: Any) -> dict[tuple[str, str], float]:
    """(param name, "lr_mult" or "decay_mult") -> the value that some layer sets for all of them."""
    values: dict[tuple[str, str], tuple[float, Any]] = {}
    errors: list[MinidlError] = []
    for spec in net.layer:
        for param in spec.param:
            for field in ("lr_mult", "decay_mult"):
                if not param.name or not param.HasField(field):
                    continue
                value = getattr(param, field)
                first, by = values.setdefault((param.name, field), (value, spec))
                if value != first:
                    errors.append(
                        GraphError(
                            f"sets {field}: {value:g} on the shared parameter '{param.name}', "
                            f"for which layer '{by.name}' sets {first:g}",
                            where=prototxt.where(spec),
                            expected=f"one {field} for a shared parameter",
                        )
                    )
    raise_all(errors)
    return {key: value for key, (value, _) in values.items()}


def _loss_weights(layer: Layer, tops: tuple[str, ...]) -> tuple[float, ...]:
    given = len(layer.spec.loss_weight)
    if given not in (0, len(tops)):
        layer.reject(
            f"has {given} loss_weight for {len(tops)} tops",
            expected="none, or one for each top",
            field="loss_weight",
        )
    default = (1.0 if layer.loss and j == 0 else 0.0 for j in range(len(tops)))
    return tuple(layer.spec.loss_weight or default)


def _check_sizes(
    layer: Layer, names: Sequence[str], shapes: Sequence[Shape], what: str = "top "
) -> None:
    if len(names) != len(shapes):
        layer.reject(f"has {len(names)} tops", expected=f"{len(shapes)}")
    for name, shape in zip(names, shapes, strict=True):
        if len(shape) > MOST_AXES:
            layer.reject(
                f"{what}'{name}' would have {len(shape)} axes", expected=f"at most {MOST_AXES}"
            )
        if any(d < 0 for d in shape) or math.prod(max(d, 1) for d in shape) > 2**31 - 1:
            layer.reject(
                f"{what}'{name}' would have the shape {shape}",
                expected="no negative size and at most 2147483647 elements",
            )


def _unused_tops(nodes: Sequence[Node]) -> set[str]:
    """Tops that no layer reads after they were last written."""
    unused: set[str] = set()
    for node in nodes:
        unused.difference_update(node.bottoms)
        unused.update(node.tops)
    return unused
