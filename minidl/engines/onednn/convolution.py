"""Convolution and its transpose by oneDNN: which layouts, which implementations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any

from minidl import ops
from minidl.arrays.memory import Shape
from minidl.engines.engine import Engine
from minidl.engines.onednn import api
from minidl.engines.onednn.geometry import geometry, transposed
from minidl.engines.onednn.layout import (
    DnnlLayout,
    anything,
    channels_last,
    plain,
    plain_or,
    wanted,
)
from minidl.engines.onednn.library import Handle
from minidl.engines.onednn.operators import OPERATORS
from minidl.engines.onednn.primitive import Description, attributes, implementations
from minidl.engines.onednn.weighted import Stated, Trio, WeightedPlan
from minidl.engines.plan import Plan
from minidl.engines.request import UNDECIDED, Declined, Request, no_convolution

# Where filling up blocks of channels makes so much more work, channels last are tried first:
# LeNet's 20 and 50 maps would be 32 and 64, twice the work.
WASTE = 1.25

Desc = Handle | DnnlLayout
Style = Callable[[Shape, int], Desc]  # how bottom and top are to lie, by dims and number type


@OPERATORS.serves(ops.Conv)
def plans(engine: Engine, op: ops.Conv, request: Request) -> Iterator[Plan] | Declined:
    """Offer channels in blocks or last, the library's favourites first, then all that is not slow.

    Whether blocks come first depends on how much has to be filled up in them. A layout that the
    bottom already has is kept if the same implementation works on it.
    """
    if (refusal := no_convolution(request, most=3)) is not None:
        return refusal
    search = _Search(op.over(len(request.params[0][1]) - 2), request)
    home = request.homes[0]
    if isinstance(home, DnnlLayout) and home.dims != search.geometry.stored:
        return Declined(f"the filters live in a layout for other groups: {home.dims}")
    candidates = search.candidates()
    first = next(candidates, None)
    if first is None:
        return Declined("it has only slow reference code for one of the passes")
    return chain([first], candidates)


class _Search:
    """All plans for one convolution."""

    def __init__(self, op: ops.Conv, request: Request) -> None:
        self.op, self.request = op, request
        self.geometry = geometry(op, request)
        self.kind = "deconvolution" if op.transposed else "convolution"
        self.algorithm = api.DECONVOLUTION_DIRECT if op.transposed else api.CONVOLUTION_DIRECT
        self.dtype = api.NUMBERS[request.math.arrays]
        self.shape = request.params[0][1]  # of the filters, as Caffe has them
        self.axes = "goihw"[-len(self.geometry.filters) :]
        self.bias = anything(request.params[1][1]) if op.bias else None
        self.learning = request.learning if request.backward else ()

    def candidates(self) -> Iterator[WeightedPlan]:
        """Yield each plan once."""
        seen = set()
        styles = list(self._styles())
        # One favourite of each arrangement goes before the rest: tuning gives up on what is
        # hopeless, and without tuning only the first candidate is ever made.
        favourites = (plan for style in styles for plan in self._plans(style, tried=1))
        others = (plan for style in styles for plan in self._plans(style))
        for plan in chain(favourites, others):
            key = (*plan.passes.items(), plan.bottom_layouts, plan.top_layouts)
            if key not in seen:
                seen.add(key)
                yield plan

    # ------------------------------------------------------------------ layouts

    def _styles(self) -> Iterator[tuple[Style, Style]]:
        """Yield arrangements of bottom and top, the most promising first."""
        # What the library would choose itself shows whether channels in blocks suit this shape.
        blocks = next(self._forwards(*self._descs(anything, anything)), None)
        # Without blocks for these channels, the favourite unfolds columns for a matrix product.
        wasteful = blocks is None or "gemm" in blocks.name or self._growth(blocks) > WASTE
        if wasteful:
            yield channels_last, channels_last
        arrives = self.request.bottom_layouts[0]
        if blocks is not None and isinstance(arrives, DnnlLayout) and self._fits(arrives):
            here = arrives

            def as_it_is(dims: Shape, dtype: int) -> Desc:
                return here

            kept = next(self._forwards(*self._descs(as_it_is, anything)), None)
            if kept is not None and kept.name == blocks.name:
                yield as_it_is, anything
        yield anything, anything
        if not wasteful:
            yield channels_last, channels_last
        yield plain, plain

    def _descs(self, bottom: Style, top: Style) -> tuple[Desc, Desc]:
        return bottom(self.geometry.src, self.dtype), top(self.geometry.dst, self.dtype)

    def _fits(self, layout: DnnlLayout) -> bool:
        return layout.dims == self.geometry.src and layout.dtype == self.dtype

    def _growth(self, forward: Description) -> float:
        """Return by how much padding channels to whole blocks multiplies the arithmetic."""
        (bottom,), (top,) = self.request.bottom_shapes, self.request.top_shapes
        growth = 1.0
        for argument, shape in ((api.SRC, bottom), (api.DST, top)):
            dense = math.prod(shape) * api.ITEMSIZE[self.dtype]
            growth *= wanted(forward, argument, shape).nbytes / dense
        return growth

    # ------------------------------------------------------------------ implementations

    def _plans(
        self, style: tuple[Style, Style], tried: int | None = None
    ) -> Iterator[WeightedPlan]:
        """Yield a plan for each implementation of forward, or only for the first `tried`."""
        for forward in islice(self._forwards(*self._descs(*style)), tried):
            plan = self._completed(forward)
            if plan is not None:
                yield plan

    def _forwards(self, src: Desc, dst: Desc) -> Iterator[Description]:
        training = self.request.training
        prop = api.FORWARD_TRAINING if training else api.FORWARD_INFERENCE
        filters = anything(self.geometry.filters, self.dtype)
        args = prop, self.algorithm, src, filters, self.bias, dst, *self.geometry.given
        attr = attributes(self.op.then)
        return _fast(implementations(f"{self.kind}_forward", *args, attr=attr))

    def _backwards(self, what: str, forward: Description, *descs: Any) -> Description | None:
        """Prefer the implementation of the same name as forward's, otherwise the favourite."""
        args = self.algorithm, *descs, *self.geometry.given, forward
        found = list(_fast(implementations(f"{self.kind}_backward_{what}", *args)))
        return next((f for f in found if f.name == forward.name), next(iter(found), None))

    def _completed(self, forward: Description) -> WeightedPlan | None:
        """Complete the plan with this forward; None where a pass asked for has nothing fast."""
        request = self.request
        # Backward is asked for in the layouts that forward has settled on: bottom and top have one
        # layout in all passes, and so have their gradients.
        src = wanted(forward, api.SRC, request.bottom_shapes[0])
        dst = wanted(forward, api.DST, request.top_shapes[0])
        weights = data = None
        if self.learning:
            bias = self.bias if "bias" in self.learning else None
            gradients = anything(self.geometry.filters), bias
            weights = self._backwards("weights", forward, src, *gradients, dst)
            if weights is None:
                return None
        if request.backward and request.wanted[0]:
            filters = anything(self.geometry.filters, self.dtype)
            data = self._backwards("data", forward, src, filters, dst)
            if data is None:
                return None
        stated = Stated(src, self._home(forward, weights), dst)
        return self._plan(stated, Trio(forward, data, weights))

    def _home(self, forward: Description, weights: Description | None) -> DnnlLayout:
        """Choose the layout in which the filters live: that in which their gradient is written."""
        given = self.request.homes[0]
        # The update goes over weight and gradient element by element, so both have one layout. That
        # of the gradient decides, because the library cannot add up gradients in two layouts.
        if given is UNDECIDED and weights is not None:
            return wanted(weights, api.DIFF_WEIGHTS, self.shape, self.axes)
        if given is UNDECIDED and self.dtype == api.F32:
            return wanted(forward, api.WEIGHTS, self.shape, self.axes)
        if isinstance(given, DnnlLayout):
            return self._turned(given)
        return self._turned(plain(self.geometry.stored, shape=self.shape))

    def _turned(self, filters: DnnlLayout) -> DnnlLayout:
        """Turn filters from the library's dims to those in which they are stored, or back."""
        return transposed(filters) if self.op.transposed else filters

    def _plan(self, stated: Stated, trio: Trio) -> WeightedPlan:
        home = self._turned(stated.weights)
        return WeightedPlan(
            algorithm=trio.forward.name + self._note(stated),
            bottom_layouts=(plain_or(stated.src),),
            top_layouts=(plain_or(stated.dst),),
            params={"weight": plain_or(home)} | ({"bias": None} if self.op.bias else {}),
            stated=stated,
            trio=trio,
            training=self.request.training,
            learning=self.learning,
        )

    def _note(self, stated: Stated) -> str:
        """Return ' nhwc' where bottom and top have their channels last."""
        dims = self.geometry.src, self.geometry.dst
        last = all(
            lies == channels_last(each, self.dtype, lies.shape)
            for lies, each in zip((stated.src, stated.dst), dims, strict=True)
        )
        plainly = plain_or(stated.src) is None and plain_or(stated.dst) is None
        return f" {str(stated.dst).split()[0]}" if last and not plainly else ""


def _fast(found: Iterator[Description]) -> Iterator[Description]:
    return (description for description in found if not description.reference)
