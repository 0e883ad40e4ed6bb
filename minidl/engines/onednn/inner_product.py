"""The inner product by oneDNN, with weights in blocks that all three passes read and write."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain
from typing import Any

from minidl import ops
from minidl.engines import UNDECIDED, Declined, Plan, Request
from minidl.engines.onednn import api
from minidl.engines.onednn.geometry import transposed
from minidl.engines.onednn.layout import DnnlLayout, anything, plain, plain_or, wanted
from minidl.engines.onednn.library import Handle
from minidl.engines.onednn.primitive import Description, attributes, implementations
from minidl.engines.onednn.weighted import Stated, Trio, WeightedPlan

# Weights of so many bytes gain from blocks what plain ones lose in the caches: on two cores of an
# AVX-512 machine a step of AlexNet's fc6 takes 0.75 of the time of plain ones, of LeNet's ip1 1.5.
BLOCKS_FROM = 8 << 20

Desc = Handle | DnnlLayout


def plans(engine: Any, op: ops.Gemm, request: Request) -> Iterator[Plan] | Declined:
    """Where the weights already live first; otherwise large ones in the library's blocks.

    Bottom and top are plain float32 matrices: they are small beside the weights, and a bottom in
    blocks of channels would have the weights rearranged at each step. In bf16 they are rounded
    inside the plan, and so is a copy of the weights; sums are float32.
    """
    search, home = _Search(op, request), request.homes[0]
    stored = request.params[0][1]
    if isinstance(home, DnnlLayout) and home.dims != stored:
        return Declined(f"the weights live in a layout for {home.dims}, not {stored}")
    candidates = search.candidates()
    first = next(candidates, None)
    if first is None:
        return Declined("it has only slow reference code for one of the passes")
    return chain([first], candidates)


class _Search:
    """All plans for one inner product."""

    def __init__(self, op: ops.Gemm, request: Request) -> None:
        self.op, self.request = op, request
        (bottom,), (top,) = request.bottom, request.top
        rows, outputs = math.prod(top[:-1]), op.num_output
        inputs = math.prod(bottom) // rows
        self.src, self.dst = (rows, inputs), (rows, outputs)
        self.weights, self.shape = (outputs, inputs), request.params[0][1]
        self.dtype = api.BF16 if request.math == "bf16" else api.F32
        self.bias = anything((outputs,)) if op.bias else None
        self.learning = request.learning if request.backward else ()

    def candidates(self) -> Iterator[WeightedPlan]:
        """Each once; the weights lie the same in all passes, or there is no such plan."""
        seen = set()
        for weights in self._weights():
            for forward in self._found("forward", *self._forward(weights)):
                plan = self._completed(forward)
                if plan is None:
                    continue
                key = (*plan.passes.items(), *plan.params.values())
                if key not in seen:
                    seen.add(key)
                    yield plan

    def _weights(self) -> Iterator[Desc]:
        """How forward might want the weights."""
        home = self.request.homes[0]
        if home is not UNDECIDED and self.dtype == api.F32:
            yield self._given(home)
        blocks = anything(self.weights, self.dtype)
        if self.dtype == api.BF16:
            yield from (blocks, plain(self.weights, self.dtype))
            return
        small = math.prod(self.weights) * api.ITEMSIZE[self.dtype] < BLOCKS_FROM
        yield from (self._given(None), blocks) if small else (blocks, self._given(None))

    def _forward(self, weights: Desc) -> tuple[Any, ...]:
        training = self.request.training
        prop = api.FORWARD_TRAINING if training else api.FORWARD_INFERENCE
        return prop, plain(self.src, self.dtype), weights, self.bias, plain(self.dst)

    def _found(self, what: str, *args: Any) -> Iterator[Description]:
        attr = attributes(self.op.then if what == "forward" else None)
        every = implementations(f"inner_product_{what}", *args, attr=attr)
        return (description for description in every if not description.reference)

    def _completed(self, forward: Description) -> WeightedPlan | None:
        """The plan with this forward; None where a pass that is asked for has nothing fast."""
        request = self.request
        read = wanted(forward, api.WEIGHTS, self.shape, "oi")
        dy = plain(self.dst, self.dtype)
        data = weights = None
        if request.backward and request.wanted[0]:
            data = next(self._found("backward_data", plain(self.src), read, dy, forward), None)
            if data is None:
                return None
        if self.learning:
            bias = self.bias if "bias" in self.learning else None
            written = read if self.dtype == api.F32 else anything(self.weights)
            gradients = plain(self.src, self.dtype), written, bias, dy
            weights = next(self._found("backward_weights", *gradients, forward), None)
            if weights is None:
                return None
        home = self._home(read, weights)
        stated = Stated(
            src=plain(self.src, shape=request.bottom[0]),
            weights=home,
            dst=plain(self.dst, shape=request.top[0]),
        )
        params = {"weight": plain_or(self._turned(home))}
        return WeightedPlan(
            algorithm=forward.name,
            bottom=(None,),
            top=(None,),
            bottom_diff=(None,),
            top_diff=(None,),
            params=params | ({"bias": None} if self.op.bias else {}),
            stated=stated,
            trio=Trio(forward, data, weights),
            training=request.training,
            learning=self.learning,
        )

    def _home(self, read: DnnlLayout, weights: Description | None) -> DnnlLayout:
        """Where the weights live, in the library's dims: as their gradient is written."""
        given = self.request.homes[0]
        if given is not UNDECIDED:
            return self._given(given)
        if weights is not None:
            return wanted(weights, api.DIFF_WEIGHTS, self.shape, "oi")
        return read if self.dtype == api.F32 else self._given(None)

    def _given(self, home: Any) -> DnnlLayout:
        return self._turned(plain(self.shape) if home is None else home)

    def _turned(self, weights: DnnlLayout) -> DnnlLayout:
        """Weights in the library's dims as they are stored, or the way back."""
        return transposed(weights) if self.op.transpose else weights
