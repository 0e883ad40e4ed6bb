"""The inner product: three matrix products by cuBLAS, and kernels for the bias."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from minidl import ops
from minidl.engines.cupy_kernels import blas, maps
from minidl.engines.cupy_kernels.blas import Matrix, product
from minidl.engines.cupy_kernels.launch import kernel
from minidl.engines.cupy_kernels.operators import OPERATORS
from minidl.engines.engine import Engine
from minidl.engines.math import Math
from minidl.engines.plan import Bindings, Plan, Run, packed_on_gpu, several
from minidl.engines.request import Declined, Request


@OPERATORS.serves(ops.Gemm)
def plans(engine: Engine, op: ops.Gemm, request: Request) -> Iterator[Plan] | Declined:
    """Offer one plan on plain arrays; in fp16 and bf16 it multiplies copies, made in each pass:
    the weights' change at every step, and the others are small compared with them."""
    without = blas.missing()
    if without is not None:
        return without
    (bottom,), (top,) = request.bottom_shapes, request.top_shapes
    rows = math.prod(top[:-1])
    sizes = Sizes(rows, math.prod(bottom) // rows, op.num_output)
    learning = request.learning if request.backward else ()
    plan = InnerProductPlan(
        device=engine.device,
        algorithm="gemm",
        keeps=("bottom",) if "weight" in learning else (),
        bottom_layouts=(None,),
        top_layouts=(None,),
        params={name: None for name, _ in request.params},
        op=op,
        sizes=sizes,
        math=request.math,
        learning=learning,
    )
    return iter([plan])


@dataclass(frozen=True)
class Sizes:
    """Sizes of Y = X W': X is rows x inputs, Y rows x outputs."""

    rows: int
    inputs: int
    outputs: int


@dataclass(kw_only=True)
class InnerProductPlan(Plan):
    """Y = f(X W' + b); dW = dY' X; db = the sum of dY over its rows; dX = dY W.

    learning   parameters whose gradients are asked for
    """

    op: ops.Gemm
    sizes: Sizes
    math: Math
    learning: tuple[str, ...]

    def __post_init__(self) -> None:
        s = self.sizes
        # Rooms for the copies of x, the weights and dy in 16 bits.
        counts = (s.rows * s.inputs, s.outputs * s.inputs, s.rows * s.outputs)
        halves = blas.ITEMSIZE[self.math.products] == 2
        self._starts, self.workspace = packed_on_gpu(2 * count if halves else 0 for count in counts)

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        room = memory.workspace.address if memory.workspace is not None else 0
        x, y = memory.bottom_memory[0].address, memory.top_memory[0].address
        weight = memory.params["weight"].values.memory.address
        forward = self._forward(x, weight, y, room)
        shape = (self.sizes.rows, self.sizes.outputs, 1)
        bias = memory.params["bias"].values.memory.address if self.op.bias else 0
        finish = maps.finish(self.device, y, shape, bias, self.op.then)
        forward = several([forward, *finish])
        if not memory.top_diff_memory:
            return forward, None
        runs, dy = [], memory.top_diff_memory[0].address
        for name in self.learning:
            param = memory.params[name]
            if name == "bias":
                runs.append(maps.bias_gradient(self.device, param, dy, shape, 0))
            else:
                # Both forms are bound beforehand; `fresh` picks one when they run.
                ways = [
                    self._learn(x, dy, param.gradient.memory.address, room, add) for add in (0, 1)
                ]
                runs.append(maps.accumulated(param, *ways))
        dx = memory.bottom_diff_memory[0]
        if dx is not None:
            runs.append(self._back(dy, weight, dx.address, room))
        return forward, several(runs) if runs else None

    # ------------------------------------------------------------------ products

    def _forward(self, x: int, weight: int, y: int, room: int) -> Run:
        """Compute Y = X W'."""
        s = self.sizes
        runs, (x, weight) = self._rounded(room, x=x, weight=weight)
        # cuBLAS transposes while reading: weights stay as they are stored.
        left, right, result = Matrix(x, s.inputs), self._weight(weight), Matrix(y, s.outputs)
        shape, turned = (s.rows, s.outputs, s.inputs), (False, not self.op.transpose)
        how = self.device, self.math, shape
        return several([*runs, product(*how, left, right, result, transposed=turned)])

    def _back(self, dy: int, weight: int, dx: int, room: int) -> Run:
        """Compute dX = dY W."""
        s = self.sizes
        runs, (weight, dy) = self._rounded(room, weight=weight, dy=dy)
        left, right, result = Matrix(dy, s.outputs), self._weight(weight), Matrix(dx, s.inputs)
        shape, turned = (s.rows, s.inputs, s.outputs), (False, self.op.transpose)
        how = self.device, self.math, shape
        return several([*runs, product(*how, left, right, result, transposed=turned)])

    def _learn(self, x: int, dy: int, gradient: int, room: int, add: int) -> Run:
        """Compute dW = dY' X, or X' dY where the weights lie the other way round."""
        s = self.sizes
        runs, (x, dy) = self._rounded(room, x=x, dy=dy)
        one, other = (Matrix(dy, s.outputs), s.outputs), (Matrix(x, s.inputs), s.inputs)
        if self.op.transpose:
            one, other = other, one
        (left, m), (right, n) = one, other
        shape, turned = (m, n, s.rows), (True, False)
        how, result = (self.device, self.math, shape), Matrix(gradient, n)
        last = product(*how, left, right, result, transposed=turned, add=bool(add))
        return several([*runs, last])

    def _weight(self, address: int) -> Matrix:
        return Matrix(address, self.sizes.outputs if self.op.transpose else self.sizes.inputs)

    def _rounded(self, room: int, **factors: int) -> tuple[list[Run], list[int]]:
        """Return the runs that make 16-bit copies of factors, if needed, and their addresses."""
        if blas.ITEMSIZE[self.math.products] == 4:
            return [], list(factors.values())
        s = self.sizes
        counts = dict(x=s.rows * s.inputs, weight=s.outputs * s.inputs, dy=s.rows * s.outputs)
        rooms = dict(zip(counts, (room + start for start in self._starts), strict=True))
        number = blas.NUMBER[self.math.products]
        run = kernel(self.device, "convert", "convert", FROM="float", TO=number)
        runs: list[Run] = [
            run.bind(counts[name], address, rooms[name], 1, counts[name])
            for name, address in factors.items()
        ]
        return runs, [rooms[name] for name in factors]
