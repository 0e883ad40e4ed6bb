"""A net made small enough to be checked: fewer records, channels and pixels, the same layers."""

from __future__ import annotations

import math
from argparse import Namespace
from typing import Any

from minidl.errors import LayerConfigError, MinidlError


def shrink(param: Any, ctx: Any, args: Namespace) -> Any:
    """Return a net's blueprint with at most `-batch` records and 1/`-shrink` of everything else.

    Layers that make data become Input layers of the smaller shape. Channels: every num_output is
    divided, to a multiple of all groups in the net and to no less than 1. Pixels: height and width
    are divided, then raised again as far as some layer needs (a window must fit into its
    bottom).
    """
    from minidl.net.blueprint import Blueprint
    from minidl.prototxt import phases

    state = phases.net_state(ctx.phase, args.level, args.stage)
    blueprint = Blueprint(param, ctx, args.level, args.stage)
    sources = {n.name: n.top_shapes for n in blueprint.nodes if not n.bottoms and not n.params}
    images = [shape for shapes in sources.values() for shape in shapes if len(shape) == 4]
    full = max((max(shape[2:]) for shape in images), default=1)
    common = math.lcm(*(_group(layer) for layer in param.layer))
    refusal: MinidlError | None = None
    side = -(-full // args.shrink)
    while side <= full:
        net = phases.filter_layers(param, state)
        for layer in net.layer:
            if layer.name in sources:
                _become_input(layer, sources[layer.name], args.batch, side / full)
            _narrow(layer, args.shrink, common)
        try:
            return Blueprint(net, ctx, args.level, args.stage)
        except LayerConfigError as error:
            refusal = refusal or error
        side = full if side < full < side * 1.1 else max(side + 1, int(side * 1.1))
    assert refusal is not None
    raise refusal


def _become_input(layer: Any, shapes: Any, batch: int, scale: float) -> None:
    layer.type = "Input"
    for field, _ in layer.ListFields():
        if field.name.endswith("_param"):
            layer.ClearField(field.name)
    for shape in shapes:
        pixels = [max(1, round(d * scale)) for d in shape[2:]] if len(shape) == 4 else shape[2:]
        dims = [*(min(d, batch) for d in shape[:1]), *shape[1:2], *pixels]
        layer.input_param.shape.add().dim.extend(dims)


def _group(layer: Any) -> int:
    """Return the group of a convolution; 1 for a depthwise one, which follows its bottom."""
    conv = layer.convolution_param
    return 1 if conv.group == conv.num_output else max(1, conv.group)


def _narrow(layer: Any, factor: int, common: int) -> None:
    if layer.HasField("inner_product_param"):
        param = layer.inner_product_param
        param.num_output = max(1, param.num_output // factor)
    if layer.HasField("convolution_param"):
        conv = layer.convolution_param
        depthwise = 1 < conv.group == conv.num_output
        narrow = conv.num_output // factor // common * common
        conv.num_output = max(narrow, min(common, conv.num_output))
        if depthwise:
            conv.group = conv.num_output
