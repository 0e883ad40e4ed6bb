"""From layers to Nodes: every shape, parameter and buffer, before one array exists."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from minidl import prototxt
from minidl.arrays.memory import Shape
from minidl.errors import GraphError, MinidlError, raise_all
from minidl.layers import fillers
from minidl.layers.base import Layer
from minidl.net.node import Node, ParamPlan

MOST_AXES = 32  # Caffe's own limit, and less than NumPy's 64
AUTOMATIC = "(automatic)"  # Caffe's name for the top of a loss that the prototxt left out
Multipliers = Mapping[tuple[str, str], float]


def infer(
    layers: Sequence[Layer], multipliers: Multipliers, given: Mapping[str, Shape]
) -> list[Node]:
    """Return a Node for each layer, in the order of execution.

    multipliers   see `shared_multipliers`
    given         shapes of tops of layers that have no bottom, or whose bottoms' values decide them

    Errors: all that layers refuse, together; nothing is reported about layers below a refused one.
    """
    shapes: dict[str, Shape] = {}
    owners: dict[str, ParamPlan] = {}
    named: dict[str, Layer] = {}
    nodes: list[Node] = []
    errors: list[MinidlError] = []
    for layer in layers:
        if any(name not in shapes for name in layer.spec.bottom):
            continue
        try:
            node = _node(layer, multipliers, given, shapes, owners)
            if node.params and layer.name in named:
                layer.reject(
                    f"has the name of an earlier {named[layer.name].type} layer",
                    fix="rename one of them: weights are stored by layer name",
                )
        except MinidlError as error:
            errors.append(error)
            continue
        shapes.update(zip(node.tops, node.top_shapes, strict=True))
        if node.params:
            named[layer.name] = layer
        nodes.append(node)
    raise_all(errors)
    return nodes


def _node(
    layer: Layer,
    multipliers: Multipliers,
    given: Mapping[str, Shape],
    shapes: Mapping[str, Shape],
    owners: dict[str, ParamPlan],
) -> Node:
    """Return a layer's Node; `shapes` of all blobs, `owners` of shared parameters before it."""
    spec = layer.spec
    bottoms, tops = tuple(spec.bottom), tuple(spec.top)
    bottom_shapes = tuple(shapes[name] for name in bottoms)
    top_shapes = tuple(tuple(s) for s in layer.top_shapes(*bottom_shapes))
    if not bottoms or layer.is_late:
        top_shapes = tuple(given.get(t, s) for t, s in zip(tops, top_shapes, strict=True))
    if layer.loss and not tops:
        tops = (f"{AUTOMATIC} {layer.name}" if AUTOMATIC in shapes else AUTOMATIC,)
    _check_sizes(layer, tops, top_shapes)
    loss_weights = _loss_weights(layer, tops)
    params = tuple(_params(layer, bottom_shapes, multipliers, owners))
    _check_sizes(layer, [p.attr for p in params], [p.shape for p in params], "")
    return Node(
        layer.name,
        bottoms,
        tops,
        layer.type,
        tuple(spec.propagate_down),
        op=layer.op,
        views=layer.views,
        view_diffs=layer.view_diffs,
        keeps=layer.keeps,
        keeps_sign=layer.keeps_sign,
        no_gradient=layer.no_gradient,
        differentiable=layer.differentiable,
        layer=layer,
        bottom_shapes=bottom_shapes,
        top_shapes=top_shapes,
        params=params,
        buffers=layer.buffers(*bottom_shapes),
        loss_weights=loss_weights,
        wanted=(False,) * len(bottoms),
    )


def _params(
    layer: Layer,
    bottom_shapes: tuple[Shape, ...],
    multipliers: Multipliers,
    owners: dict[str, ParamPlan],
) -> Iterator[ParamPlan]:
    shapes, specs = layer.param_shapes(*bottom_shapes), layer.spec.param
    if len(specs) > len(shapes):
        layer.reject(
            f"has {len(specs)} param entries, but {len(shapes)} parameters",
            expected=f"at most {len(shapes)}: {', '.join(shapes) or 'none'}",
            fix="delete the entries that have no parameter",
        )

    def multiplier(attr: str, spec: Any, field: str) -> float:
        if attr in layer.statistics:
            return 0.0
        return 1.0 if spec is None else multipliers.get((spec.name, field), getattr(spec, field))

    for i, (attr, shape) in enumerate(shapes.items()):
        spec = specs[i] if i < len(specs) else None
        plan = ParamPlan(
            key=f"{layer.name}/{i}",
            attr=attr,
            shape=tuple(shape),
            lr_mult=multiplier(attr, spec, "lr_mult"),
            decay_mult=multiplier(attr, spec, "decay_mult"),
            owner=f"{layer.name}/{i}",
            filler=layer.fillers.get(attr),
            name=spec.name if spec is not None else "",
        )
        if plan.name:
            plan = _share(layer, spec, plan, owners)
        if plan.filler is not None and plan.owner == plan.key:
            fillers.check(plan.shape, plan.filler, layer.where)
        yield plan


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


def shared_multipliers(net: Any) -> dict[tuple[str, str], float]:
    """Map (param name, "lr_mult" or "decay_mult") to the value that some layer sets for all."""
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
