"""Caffe's log lines while it builds a net, in its words, so that old logs and new ones compare."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator

from minidl import prototxt
from minidl.arrays.blob import Shape
from minidl.net.blueprint import Blueprint
from minidl.net.node import Node

log = logging.getLogger("minidl")
BYTES = 4  # an element: Caffe counts float32


def log_building(blueprint: Blueprint) -> None:
    """Log the lines of `building_lines`, if anyone listens."""
    if log.isEnabledFor(logging.INFO):
        for line in building_lines(blueprint):
            log.info("%s", line)


def building_lines(blueprint: Blueprint) -> Iterator[str]:
    """Yield the lines of Caffe's Net::Init: the net, layers with shapes, who runs backward.

    "Memory required for data" is Caffe's count: every top, in-place and split ones counted again,
    no gradients, parameters or buffers. `minidl check` has the whole truth.
    """
    yield f"Initializing net from parameters: \n{prototxt.to_text(blueprint.filtered)}"
    elements = 0
    for node in blueprint.nodes:
        yield f"Creating layer {node.name}"
        yield f"Creating Layer {node.name}"
        yield from (f"{node.name} <- {bottom}" for bottom in node.bottoms)
        for j, top in enumerate(node.tops):
            yield f"{node.name} -> {top}{' (in-place)' if j == 0 and node.in_place else ''}"
        yield f"Setting up {node.name}"
        for shape, weight in zip(node.top_shapes, node.loss_weights, strict=True):
            yield f"Top shape: {shape_text(shape)}"
            if weight:
                yield f"    with loss weight {weight:g}"
            elements += math.prod(shape)
        yield f"Memory required for data: {elements * BYTES}"
    yield from (_backward_line(node) for node in blueprint.nodes[::-1])
    yield from (f"This network produces output {name}" for name in blueprint.outputs)
    yield "Network initialization done."


def shape_text(shape: Shape) -> str:
    """Write a shape as Caffe does.

    >>> shape_text((64, 20, 24, 24)), shape_text(())
    ('64 20 24 24 (737280)', '(1)')
    """
    return " ".join([*map(str, shape), f"({math.prod(shape)})"])


def _backward_line(node: Node) -> str:
    needs = "needs" if node.needs_backward else "does not need"
    return f"{node.name} {needs} backward computation."
