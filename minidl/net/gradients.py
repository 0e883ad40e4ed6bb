"""Which layers run backward, and which bottoms get a gradient."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from minidl.net.node import Node


def plan_backward(nodes: Sequence[Node], force: bool = False) -> list[Node]:
    """Return the nodes with `needs_backward` and `wanted` filled in.

    Caffe's rule (Net::Init): a layer runs backward if something below it learns and a loss
    is above it.

    Going up, a blob needs a gradient if the layer that makes it learns, or one of its bottoms
    needs one; `propagate_down` overrides this for a single bottom. Going down, everything is
    dropped that no loss depends on, or whose tops all lead into bottoms that were switched off.

    force   `force_backward`: every layer, every bottom that can have a gradient
    """
    needs: set[str] = set()
    backward: list[bool] = []
    wanted: list[list[bool]] = []
    for node in nodes:
        want = [name in needs for name in node.bottoms]
        need = node.learns or any(want)
        if node.propagate_down:
            want = list(node.propagate_down)
        backward.append(need)
        wanted.append(want)
        needs.difference_update(node.tops)
        if need:
            needs.update(node.tops)

    under_loss: set[str] = set()
    cut: set[str] = set()  # blobs whose consumer does not propagate down
    for i in range(len(nodes) - 1, -1, -1):
        node = nodes[i]
        contributes = any(
            weight or top in under_loss
            for top, weight in zip(node.tops, node.loss_weights, strict=True)
        )
        reached = any(
            weight or (top in under_loss and top not in cut)
            for top, weight in zip(node.tops, node.loss_weights, strict=True)
        )
        if not contributes or not reached:
            backward[i] = False
        if not backward[i]:
            wanted[i] = [False] * len(wanted[i])
        for name, propagates in zip(node.bottoms, wanted[i], strict=True):
            if contributes:
                under_loss.add(name)
            if not propagates:
                cut.add(name)

    planned = []
    for node, run, want in zip(nodes, backward, wanted, strict=True):
        if force and node.differentiable:
            run, want = True, [True] * len(want)
        want = [w and j not in node.no_gradient for j, w in enumerate(want)]
        runs = run and (node.learns or any(want) or force)
        planned.append(dataclasses.replace(node, needs_backward=runs, wanted=tuple(want)))
    return planned
