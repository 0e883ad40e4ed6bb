"""Show what is known of a net with refused layers: the others, with their shapes."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, NamedTuple

from minidl import prototxt
from minidl.arrays.blob import Shape
from minidl.errors import MinidlError, UnknownLayerTypeError
from minidl.layers import python_known
from minidl.layers.base import layer_class
from minidl.layers.context import Context
from minidl.prototxt import phases


class Row(NamedTuple):
    """One layer.

    refused      why there is no such layer; "" if there is
    missing      because minidl has no such type
    top_shapes   None where they are not known: of a layer that is refused, or behind one
    """

    name: str
    type: str
    where: str
    refused: str = ""
    missing: bool = False
    top_shapes: tuple[Shape, ...] | None = None
    params: int = 0
    multiply_adds: int = 0


def rows(net: Any, ctx: Context, level: int = 0, stages: Any = ()) -> list[Row]:
    """Return a row for each layer of the NetParameter that takes part in this phase.

    Gradients, engines and memory are not worked out, for nobody knows what is missing there.
    """
    net, _ = prototxt.upgrade_net(net)
    state = phases.net_state(ctx.phase, level, sorted({*net.state.stage, *stages}))
    shapes: dict[str, Shape] = {}
    found = []
    for spec in python_known.replace_absent(phases.filter_layers(net, state), ctx).layer:
        row = _row(spec, ctx, shapes)
        for i, top in enumerate(spec.top):
            shapes.pop(top, None)  # in place of a layer that is refused, they are another's
            if row.top_shapes is not None and i < len(row.top_shapes):
                shapes[top] = row.top_shapes[i]
        found.append(row)
    return found


def _row(spec: Any, ctx: Context, shapes: dict[str, Shape]) -> Row:
    named = Row(spec.name, spec.type, prototxt.where(spec))
    own = dataclasses.replace(ctx, phase=spec.phase) if spec.HasField("phase") else ctx
    try:
        layer = layer_class(spec)(spec, own)
        if any(name not in shapes for name in spec.bottom):
            return named
        bottom = [shapes[name] for name in spec.bottom]
        tops = tuple(tuple(shape) for shape in layer.top_shapes(*bottom))
        params = sum(math.prod(shape) for shape in layer.param_shapes(*bottom).values())
        work = layer.multiply_adds(*bottom)
    except MinidlError as error:
        missing = isinstance(error, UnknownLayerTypeError)
        return named._replace(refused=_in_words(error), missing=missing)
    return named._replace(top_shapes=tops, params=params, multiply_adds=work)


def _in_words(error: MinidlError) -> str:
    """Return the findings, and the way out, in one line."""
    return "; ".join(part for part in (error.found, error.fix) if part)
