"""The parameters of a net: made as its blueprint says, shared where names are, filled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl.arrays.arena import Arena
from minidl.arrays.blob import Param
from minidl.layers import fillers
from minidl.layers.base import Layer
from minidl.layers.context import Context
from minidl.net.blueprint import Blueprint
from minidl.net.named import Named, ParamList
from minidl.net.node import ParamPlan


class Params:
    """Makes every parameter of a blueprint and binds it to its layer.

    by_layer    {layer name: its parameters in the order of a caffemodel}
    learnable   every parameter once; shared ones are those of the first layer that has them
    arena       where what a training net learns lies in one piece; else None
    """

    def __init__(self, blueprint: Blueprint, ctx: Context) -> None:
        self._blueprint, self._ctx = blueprint, ctx
        bare = [node.layer.name for node in blueprint.nodes if not node.params]
        self.by_layer: Named[list[Param]] = Named(
            what="layer with parameters",
            of=f"net '{blueprint.name}'",
            without={name: f"layer '{name}' has no parameters" for name in bare},
        )
        self.learnable: list[Param] = []
        self._make()
        self.arena = self._gather()
        for node in blueprint.nodes:
            for plan, param in zip(node.params, node.layer.params, strict=True):
                if plan.owner != plan.key:
                    continue
                if plan.filler is not None:
                    self._fill(param, plan, node.layer)
                elif (values := node.layer.first_values(plan.attr, plan.shape)) is not None:
                    param.values.write(values)

    def _make(self) -> None:
        made: dict[str, Param] = {}
        ctx, forced = self._ctx, self._blueprint.param.force_backward
        for node in self._blueprint.nodes:
            layer = node.layer
            layer.params = ParamList()
            for plan in node.params:
                multipliers = plan.lr_mult, plan.decay_mult
                param = Param(plan.key, plan.shape, ctx.device, ctx.dtype, *multipliers)
                param.wanted = plan.lr_mult != 0 or (forced and plan.attr not in layer.statistics)
                owner = made.get(plan.owner)
                if owner is not None:
                    owner.wanted = param.wanted = owner.wanted or param.wanted
                    param.share(owner, plan.shape)
                else:
                    made[plan.key] = param
                    self.learnable.append(param)
                layer.params.append(param)
                setattr(layer, plan.attr, param)
            if layer.params:
                self.by_layer[layer.name] = layer.params

    def _gather(self) -> Arena | None:
        if not self._ctx.training:
            return None
        moving = [param for param in self.learnable if param.wanted and param.lr_mult]
        return Arena(moving, self._ctx.device, self._ctx.dtype)

    def _fill(self, param: Param, plan: ParamPlan, layer: Layer) -> None:
        rng = self._ctx.streams.generator(f"{layer.name}/{plan.attr}", 0)
        on_host = self._ctx.device.kind == "cpu"
        values: Any = param.values.memory.array if on_host else np.empty(param.shape, param.dtype)
        fillers.fill(values, plan.filler, rng, layer.where)
        if not on_host:
            param.values.write(values)

    def owned(self) -> dict[str, Param]:
        """Return every parameter that has memory of its own, by its key."""
        return {plan.key: param for plan, param in self.planned() if plan.owner == plan.key}

    def planned(self) -> Iterator[tuple[ParamPlan, Param]]:
        """Yield every parameter of every layer with its plan."""
        for node in self._blueprint.nodes:
            yield from zip(node.params, node.layer.params, strict=True)
