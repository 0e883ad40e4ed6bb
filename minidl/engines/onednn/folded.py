"""Plans for a convolution and what is constant behind it, folded into its weights: inference.

With factor f and offset b of each channel of the top, from statistics, scale and shift,

    f * (W x + c) + b = (f * W) x + (f * c + b)

so normalisation, scale and shift cost nothing. The folded weights are made again when one of the
parameters has changed.

Source: Jacob et al. 2018, section 3.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from minidl import ops
from minidl.arrays.blob import Param
from minidl.arrays.memory import CPU
from minidl.engines.engine import Engine
from minidl.engines.onednn import convolution
from minidl.engines.onednn.batch_norm import STATISTICS
from minidl.engines.plan import Bindings, Plan, Run
from minidl.engines.request import UNDECIDED, Declined, Request, Undecided

name = ops.Chain.param


def plans(engine: Engine, op: ops.Chain, request: Request) -> Iterator[Plan] | Declined:
    """Offer each plan of the convolution with the folded weights in its place."""
    conv, others = op.ops[0], op.ops[1:]
    if request.training:
        return Declined("weights are folded for inference alone")
    then = others[-1] if isinstance(others[-1], ops.Activation) else None
    folds = others[:-1] if then is not None else others
    (shape,) = request.top_shapes
    if len(shape) != len(conv.over(len(request.params[0][1]) - 2).kernel) + 2:
        return Declined("its channels are not the axis 1")
    for k, part in enumerate(folds, 1):
        sizes = {s for n, s in request.params if n in (name(k, "scale"), name(k, "bias"))}
        if isinstance(part, ops.Affine) and (part.axis % len(shape) != 1 or sizes != {shape[1:2]}):
            return Declined("it scales channels alone, the axis 1")
    inside = replace(
        request,
        params=(request.params[0], ("bias", shape[1:2])),
        homes=(UNDECIDED, UNDECIDED),
    )
    found = convolution.plans(engine, replace(conv, bias=True, then=then), inside)
    if isinstance(found, Declined):
        return found
    return (_plan(op, folds, request, plan) for plan in found)


@dataclass(kw_only=True)
class FoldedPlan(Plan):
    """A convolution by folded weights.

    conv      as it is without the others
    folds     what is folded into it, in order
    inside    the plan of the convolution that has the folded weights and a bias
    shapes    of these two
    """

    conv: ops.Conv
    folds: tuple[ops.BatchNorm | ops.Affine, ...]
    inside: Plan
    shapes: Mapping[str, tuple[int, ...]]

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        weight, bias = (self._param(n) for n in ("weight", "bias"))
        params = memory.params
        run, _ = self.inside.bind(replace(memory, params={"weight": weight, "bias": bias}))
        versions: list[int] = []

        def forward() -> None:
            now = [param.values.version for param in params.values()]
            if now != versions:
                self._fold(params, weight, bias)
                versions[:] = now
            run()

        return forward, None

    def _param(self, name: str) -> Param:
        param = Param(name, self.shapes[name], CPU, np.float32)
        param.arrange(self.inside.params[name])
        return param

    def _fold(self, params: Mapping[str, Param], weight: Param, bias: Param) -> None:
        """Write the folded weights; computed in float64."""
        read = {n: param.values.read().astype(np.float64) for n, param in params.items()}
        channels = self.shapes["bias"]
        factor, offset = np.ones(channels), read.get("bias", np.zeros(channels))
        for k, part in enumerate(self.folds, 1):
            if isinstance(part, ops.BatchNorm):
                mean, variance, count = (read[name(k, n)] for n in STATISTICS)
                seen = 1 / count[0] if count[0] else 0.0  # nothing: mean 0, variance 0
                with np.errstate(all="ignore"):  # a variance below 0 gives NaN, as in the layer
                    f = 1 / np.sqrt(variance * seen + part.eps)
                b = -mean * seen * f
            else:
                f, b = read.get(name(k, "scale"), 1.0), read.get(name(k, "bias"), 0.0)
            factor, offset = factor * f, offset * f + b
        filters = read["weight"]
        axes = (1,) * (filters.ndim - 1)
        if self.conv.transposed:  # (C, M / group, *kernel)
            by_group = factor.reshape(self.conv.group, 1, -1, *axes[1:])
            shape = filters.shape
            grouped = filters.reshape(self.conv.group, -1, *shape[1:])
            weight.values.write((grouped * by_group).reshape(shape))
        else:
            weight.values.write(filters * factor.reshape(-1, *axes))
        bias.values.write(offset)


def _plan(op: ops.Chain, folds: tuple[Any, ...], request: Request, inside: Plan) -> FoldedPlan:
    homes = dict(zip((n for n, _ in request.params), request.homes, strict=True))
    return FoldedPlan(
        algorithm=inside.algorithm,
        conv=op.ops[0],
        folds=folds,
        inside=inside,
        shapes={"weight": request.params[0][1], "bias": request.top_shapes[0][1:2]},
        workspace=inside.workspace,
        bottom_layouts=inside.bottom_layouts,
        top_layouts=inside.top_layouts,
        params={n: None if isinstance(home, Undecided) else home for n, home in homes.items()},
        passes=inside.passes,
    )
