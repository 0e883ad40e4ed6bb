"""Convolution and its transpose: matrix products on columns, or, depthwise, none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from minidl import ops
from minidl.engines.cupy_kernels import blas, maps
from minidl.engines.cupy_kernels.columns import Columns
from minidl.engines.cupy_kernels.depthwise import Depthwise
from minidl.engines.cupy_kernels.geometry import Geometry, geometry
from minidl.engines.cupy_kernels.operators import OPERATORS
from minidl.engines.engine import Engine
from minidl.engines.plan import Bindings, Plan, Run, several
from minidl.engines.request import Declined, Request, no_convolution


@OPERATORS.serves(ops.Conv)
def plans(engine: Engine, op: ops.Conv, request: Request) -> Iterator[Plan] | Declined:
    """Offer one plan: arrays and parameters are plain; only factors of products are rounded."""
    if (refusal := no_convolution(request, most=2)) is not None:
        return refusal
    sizes = geometry(op, request)
    way: Columns | Depthwise
    if sizes.depthwise:
        way = Depthwise(engine.device, sizes)
    else:
        without = blas.missing()
        if without is not None:
            return without
        way = Columns(engine.device, sizes, request.math, request.limit)
    return iter([_plan(way, op, request, sizes)])


def _plan(way: Columns | Depthwise, op: ops.Conv, request: Request, g: Geometry) -> Plan:
    learning = request.learning if request.backward else ()
    # The bias's gradient needs sums of each plane; for a Deconvolution its planes are the image's.
    sums = 4 * g.images * op.num_output if "bias" in learning else 0
    needed = "weight" in learning or not way.in_place
    return ConvolutionPlan(
        device=way.device,
        algorithm=way.name,
        workspace=max(way.workspace if needed else 0, sums),
        keeps=("bottom",) if "weight" in learning else (),
        bottom_layouts=(None,),
        top_layouts=(None,),
        params={name: None for name, _ in request.params},
        way=way,
        op=op,
        geometry=g,
        learning=learning,
    )


@dataclass(kw_only=True)
class ConvolutionPlan(Plan):
    """Forward, the parameters' gradients, the bottom's gradient.

    learning   parameters whose gradients are asked for
    """

    way: Columns | Depthwise
    op: ops.Conv
    geometry: Geometry
    learning: tuple[str, ...]

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        way, room = self.way, memory.workspace.address if memory.workspace is not None else 0
        x, y = memory.bottom_memory[0].address, memory.top_memory[0].address
        weight = memory.params["weight"].values.memory.address
        bias = memory.params["bias"].values.memory.address if self.op.bias else 0
        ahead: Callable[..., Run] = way.scatter if self.op.transposed else way.gather
        back: Callable[..., Run] = way.gather if self.op.transposed else way.scatter
        forward = ahead(x, weight, y, room, bias, self.op.then)
        if not memory.top_diff_memory:
            return forward, None
        runs, dy = [], memory.top_diff_memory[0].address
        for name in self.learning:
            param = memory.params[name]
            if name == "bias":
                runs.append(maps.bias_gradient(self.device, param, dy, self._top, room))
            else:
                sides = (dy, x) if self.op.transposed else (x, dy)
                runs.append(way.learn(*sides, param, room))
        dx = memory.bottom_diff_memory[0]
        if dx is not None:
            runs.append(back(dy, weight, dx.address, room, 0, None))
        return forward, several(runs) if runs else None

    @property
    def _top(self) -> tuple[int, int, int]:
        """Return the top's extents as (images, channels, places)."""
        g = self.geometry
        elements = g.image_elements if self.op.transposed else g.map_elements
        return g.images, self.op.num_output, elements // self.op.num_output
