"""The state of a net beyond its weights: recorded and restored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidl.net import Net


@dataclass(frozen=True)
class Mark:
    """The state of one net: forward passes begun, batches that each data layer gave out, and what
    layers carry from pass to pass, by layer and name of the array."""

    passes: int
    batches: dict[str, int]
    carried: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)


def mark(net: Net) -> Mark:
    """Return the present state of `net`."""
    batches = {layer.name: layer.position or 0 for layer in net.data_layers}
    kept = {
        (layer.name, name): np.array(net.device.to_host(array))
        for layer, name, _ in carried(net)
        if (array := layer.bound_as(name)) is not None
    }
    return Mark(net.streams.passes, batches, kept)


def carried(net: Net) -> Iterator[tuple[Any, str, tuple[int, ...]]]:
    """Yield layer, name and shape of every array that is carried from pass to pass."""
    for node in net.blueprint.nodes:
        for name, buffer in node.buffers.items():
            if buffer.lasting:
                yield node.layer, name, buffer.shape


def go_to(net: Net, place: Mark) -> None:
    """Put `net` back to a mark: its next pass has the same numbers and the same records."""
    net.streams.passes = place.passes
    for layer in net.data_layers:
        if layer.position != place.batches[layer.name]:
            layer.position = place.batches[layer.name]
    for layer, name, shape in carried(net):
        values = place.carried.get((layer.name, name))
        if values is None or values.shape != shape:
            values = np.zeros(shape)
        array = layer.bound_as(name)
        if array is None or array.shape != shape:
            array = net.device.zeros(shape, net.dtype)
            setattr(layer, name, array)
        net.device.write(array, values)


def go_back(nets: Sequence[Net], places: Sequence[Mark]) -> None:
    """Put each of the nets back to its mark."""
    for net, place in zip(nets, places, strict=True):
        go_to(net, place)
