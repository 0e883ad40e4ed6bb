"""Which layers run backward, and which bottoms get a gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Wiring:
    """What the question needs to know about one layer.

    bottoms, tops    blob names
    learns           some parameter of it has lr_mult != 0
    has_loss         for each top: whether it carries a loss weight
    propagate_down   the prototxt's field: empty, or one flag a bottom
    no_gradient      bottoms that cannot receive a gradient
    differentiable   whether any gradient can pass
    """

    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    learns: bool
    has_loss: tuple[bool, ...]
    propagate_down: tuple[bool, ...] = ()
    no_gradient: tuple[int, ...] = ()
    differentiable: bool = True


@dataclass(frozen=True)
class Flow:
    """The answer for one layer: whether backward is called, and for which bottoms."""

    backward: bool
    wanted: tuple[bool, ...]


def plan_backward(layers: Sequence[Wiring], force: bool = False) -> list[Flow]:
    """Caffe's rule (Net::Init): a layer runs backward if something below it learns and a loss
    lies above it.

    Going up, a blob needs a gradient if the layer that makes it learns, or one of its bottoms
    needs one; `propagate_down` overrides this for a single bottom. Going down, everything is
    dropped that no loss depends on, or whose tops all lead into bottoms that were switched off.

    force   `force_backward`: every layer, every bottom that can have a gradient
    """
    needs: set[str] = set()
    backward: list[bool] = []
    wanted: list[list[bool]] = []
    for layer in layers:
        want = [name in needs for name in layer.bottoms]
        need = layer.learns or any(want)
        if layer.propagate_down:
            want = list(layer.propagate_down)
        backward.append(need)
        wanted.append(want)
        needs.difference_update(layer.tops)
        if need:
            needs.update(layer.tops)

    under_loss: set[str] = set()
    cut: set[str] = set()  # blobs whose consumer does not propagate down
    for i in range(len(layers) - 1, -1, -1):
        layer = layers[i]
        contributes = any(
            loss or top in under_loss for top, loss in zip(layer.tops, layer.has_loss, strict=True)
        )
        reached = any(
            loss or (top in under_loss and top not in cut)
            for top, loss in zip(layer.tops, layer.has_loss, strict=True)
        )
        if not contributes or not reached:
            backward[i] = False
        if not backward[i]:
            wanted[i] = [False] * len(wanted[i])
        for name, propagates in zip(layer.bottoms, wanted[i], strict=True):
            if contributes:
                under_loss.add(name)
            if not propagates:
                cut.add(name)

    flows = []
    for layer, run, want in zip(layers, backward, wanted, strict=True):
        if force and layer.differentiable:
            run, want = True, [True] * len(want)
        want = [w and j not in layer.no_gradient for j, w in enumerate(want)]
        flows.append(Flow(run and (layer.learns or any(want) or force), tuple(want)))
    return flows
