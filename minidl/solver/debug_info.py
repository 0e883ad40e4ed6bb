"""Caffe's debug_info: the mean magnitude of everything a pass touches, line by line."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl.arrays.device import on_host
from minidl.net import Net

log = logging.getLogger("minidl")


@contextlib.contextmanager
def shown(net: Net, wanted: bool = True) -> Iterator[None]:
    """Log each layer of `net` as it runs in this context, if `wanted`."""
    if not wanted:
        yield
        return
    watch = _Watch(net)
    net.layer_by_layer()
    net.after_forward.append(watch.forward)
    net.after_backward.append(watch.backward)
    try:
        yield
    finally:
        net.after_forward.remove(watch.forward)
        net.after_backward.remove(watch.backward)


class _Watch:
    def __init__(self, net: Net) -> None:
        self.net = net
        nodes = net.blueprint.nodes
        self.last = next((i for i, node in enumerate(nodes) if node.needs_backward), -1)

    def forward(self, index: int) -> None:
        layer = self.net.own_layers[index]
        for blob in self.net.tops[index]:
            _say("Forward", layer.name, "top", blob.name, "data", blob.data)
        for i, param in enumerate(layer.params):
            name = layer.spec.param[i].name if i < len(layer.spec.param) else ""
            _say("Forward", layer.name, "param", name or i, "data", param.data)

    def backward(self, index: int) -> None:
        node, layer = self.net.blueprint.nodes[index], self.net.own_layers[index]
        for blob, wanted in zip(self.net.bottoms[index], node.wanted, strict=True):
            if wanted:
                _say("Backward", layer.name, "bottom", blob.name, "diff", blob.diff)
        for i, param in enumerate(layer.params):
            if param.wanted:
                _say("Backward", layer.name, "param", i, "diff", param.diff)
        if index == self.last:
            self._totals()

    def _totals(self) -> None:
        data = [p.data for p in self.net.learnable]
        diff = [p.diff for p in self.net.learnable if p.wanted]
        sums = [sum(_norm(a, 1) for a in arrays) for arrays in (data, diff)]
        roots = [sum(_norm(a, 2) ** 2 for a in arrays) ** 0.5 for arrays in (data, diff)]
        log.info(
            "    [Backward] All net params (data, diff): L1 norm = (%g, %g); L2 norm = (%g, %g)",
            *sums,
            *roots,
        )


def _say(way: str, layer: str, kind: str, blob: str | int, what: str, array: Any) -> None:
    mean = _norm(array, 1) / array.size if array.size else 0.0
    log.info("    [%s] Layer %s, %s blob %s %s: %g", way, layer, kind, blob, what, mean)


def _norm(array: Any, order: int) -> float:
    return float(np.linalg.norm(on_host(array).reshape(-1), order))
