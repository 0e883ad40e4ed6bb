"""The inner product by oneDNN, with weights in blocks that all three passes read and write."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain
from typing import Any, NamedTuple

from minidl import ops
from minidl.engines.engine import Engine
from minidl.engines.onednn import api
from minidl.engines.onednn.geometry import transposed
from minidl.engines.onednn.layout import DnnlLayout, anything, plain, plain_or, wanted
from minidl.engines.onednn.library import Handle, dnnl
from minidl.engines.onednn.operators import OPERATORS
from minidl.engines.onednn.primitive import Description, attributes, implementations
from minidl.engines.onednn.weighted import Stated, Trio, WeightedPlan
from minidl.engines.plan import Plan
from minidl.engines.request import UNDECIDED, Declined, Request

# Weights from this size on are faster in blocks, smaller ones plain: on two cores with AVX-512 a
# step of AlexNet's fc6 takes about 0.8 of the time of plain weights, LeNet's ip1 1.3 of it.
BLOCKS_FROM = 8 << 20

Desc = Handle | DnnlLayout


@OPERATORS.serves(ops.Gemm)
def plans(engine: Engine, op: ops.Gemm, request: Request) -> Iterator[Plan] | Declined:
    """Offer the weights' present layout first; otherwise the library's blocks for large ones.

    Bottom and top are plain float32 matrices: next to the weights they are small, and a bottom in
    blocks of channels would have the weights rearranged at each step. In bf16 they are rounded
    inside the plan, and so is a copy of the weights; sums are float32. Where that does not pay,
    plans in float32 come first.
    """
    home, stored = request.homes[0], request.params[0][1]
    if isinstance(home, DnnlLayout) and home.dims != stored:
        return Declined(f"the weights live in a layout for {home.dims}, not {stored}")
    candidates = _Search(op, request).candidates()
    first = next(candidates, None)
    if first is None:
        return Declined("it has only slow reference code for one of the passes")
    return chain([first], candidates)


class Style(NamedTuple):
    """The types and layouts in which a plan computes.

    dtype      of what is multiplied; sums are float32
    weights    how forward wants them, in this number type
    gradient   how theirs is written, in float32; None: as the weights lie
    """

    dtype: int
    weights: Desc
    gradient: Desc | None = None


class _Search:
    """All plans for one inner product."""

    def __init__(self, op: ops.Gemm, request: Request) -> None:
        self.op, self.request = op, request
        (bottom,), (top,) = request.bottom_shapes, request.top_shapes
        rows, outputs = math.prod(top[:-1]), op.num_output
        inputs = math.prod(bottom) // rows
        self.src, self.dst = (rows, inputs), (rows, outputs)
        self.weights, self.shape = (outputs, inputs), request.params[0][1]
        self.bias = anything((outputs,)) if op.bias else None
        self.learning = request.learning if request.backward else ()

    def candidates(self) -> Iterator[WeightedPlan]:
        """Yield each plan once; the weights have one layout in all passes, or there is no plan."""
        seen = set()
        for style in self._styles():
            for forward in self._forwards(style):
                plan = self._completed(style, forward)
                if plan is None:
                    continue
                key = (style.dtype, *plan.passes.items(), *plan.params.values())
                if key not in seen:
                    seen.add(key)
                    yield plan

    def _styles(self) -> Iterator[Style]:
        if not self.request.math.halves:
            yield from self._float32()
            return
        if self.request.training and not dnnl().amx:
            # Rounding a copy of the weights at every step costs more than is gained.
            yield from self._float32()
        home = self.request.homes[0]
        blocks = anything(self.weights, api.BF16)
        if home is not UNDECIDED:
            yield Style(api.BF16, blocks, self._at(home))
        yield Style(api.BF16, blocks, anything(self.weights))
        yield Style(api.BF16, self._at(None, api.BF16), self._at(None))

    def _float32(self) -> Iterator[Style]:
        home = self.request.homes[0]
        if home is not UNDECIDED:
            yield Style(api.F32, self._at(home))
        styles = [Style(api.F32, anything(self.weights)), Style(api.F32, self._at(None))]
        small = math.prod(self.weights) * api.ITEMSIZE[api.F32] < BLOCKS_FROM
        yield from reversed(styles) if small else styles

    def _forwards(self, style: Style) -> Iterator[Description]:
        training = self.request.training
        prop = api.FORWARD_TRAINING if training else api.FORWARD_INFERENCE
        args = plain(self.src, style.dtype), style.weights, self.bias, plain(self.dst)
        return self._found("forward", prop, *args, attr=attributes(self.op.then))

    def _found(self, what: str, *args: Any, attr: Handle | None = None) -> Iterator[Description]:
        every = implementations(f"inner_product_{what}", *args, attr=attr)
        return (description for description in every if not description.reference)

    def _completed(self, style: Style, forward: Description) -> WeightedPlan | None:
        """Complete the plan with this forward; None where a pass asked for has nothing fast."""
        request = self.request
        # The layout that forward has chosen is prescribed to both passes of backward: converting
        # weights of hundreds of megabytes would cost more than any pass gains.
        read = wanted(forward, api.WEIGHTS, self.shape, "oi")
        x, dy = plain(self.src, style.dtype), plain(self.dst, style.dtype)
        data = weights = None
        if request.backward and request.wanted[0]:
            data = next(self._found("backward_data", plain(self.src), read, dy, forward), None)
            if data is None:
                return None
        if self.learning:
            gradients = style.gradient or read, self.bias if "bias" in self.learning else None
            weights = next(self._found("backward_weights", x, *gradients, dy, forward), None)
            if weights is None:
                return None
        home = self._home(style, read, weights)
        params = {"weight": plain_or(self._turned(home))}
        return WeightedPlan(
            algorithm=forward.name,
            bottom_layouts=(None,),
            top_layouts=(None,),
            params=params | ({"bias": None} if self.op.bias else {}),
            stated=Stated(
                src=plain(self.src, shape=request.bottom_shapes[0]),
                weights=home,
                dst=plain(self.dst, shape=request.top_shapes[0]),
            ),
            trio=Trio(forward, data, weights),
            training=request.training,
            learning=self.learning,
        )

    def _home(self, style: Style, read: DnnlLayout, weights: Description | None) -> DnnlLayout:
        """Choose the layout in which the weights live: that in which their gradient is written."""
        given = self.request.homes[0]
        if given is not UNDECIDED:
            return self._at(given)
        if weights is not None:
            return wanted(weights, api.DIFF_WEIGHTS, self.shape, "oi")
        return read if style.dtype == api.F32 else self._at(None)

    def _at(self, home: Any, dtype: int = api.F32) -> DnnlLayout:
        """Return a home of the weights, which may be plain, in the library's dims."""
        return self._turned(plain(self.shape, dtype) if home is None else home)

    def _turned(self, weights: DnnlLayout) -> DnnlLayout:
        """Turn weights from the library's dims to those in which they are stored, or back."""
        return transposed(weights) if self.op.transpose else weights
