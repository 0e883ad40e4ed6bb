"""What a layer with weights computes, by its float64 array code, and how far a plan may be off."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from minidl.engines.math import MATHS
from minidl.engines.plan import Plan
from minidl.engines.request import UNDECIDED, Declined, Request
from minidl.testing.harness import bind, build
from tests.engines.harness import Bound


@dataclass
class Truth:
    """One layer on signed random numbers of size 1: what goes in and what comes out.

    terms   the products that are summed for one element of y, dx and each parameter's gradient
    """

    op: Any
    x: np.ndarray
    dy: np.ndarray
    params: dict[str, np.ndarray]
    y: np.ndarray
    dx: np.ndarray
    gradients: dict[str, np.ndarray]
    terms: dict[str, float]

    def request(self, **changes: Any) -> Request:
        """A training step with all gradients, by default; `math` by its name."""
        if "math" in changes:
            changes["math"] = MATHS[changes["math"]]
        usual = Request(
            bottom_shapes=(self.x.shape,),
            top_shapes=(self.y.shape,),
            params=tuple((name, values.shape) for name, values in self.params.items()),
            homes=(UNDECIDED,) * len(self.params),
            bottom_layouts=(None,),
            training=True,
            backward=True,
            wanted=(True,),
            learning=tuple(self.params),
            threads=2,
        )
        return replace(usual, **changes)

    def plans(self, engine: Any, most: int | None = None, **changes: Any) -> list[Plan]:
        """The candidates, all of them or so many; a refusal is an error."""
        request = self.request(**changes)
        found = engine.plans(self.op, request)
        assert not isinstance(found, Declined), found.reason
        return list(islice(found, most))

    def check(self, plan: Plan, gradients: dict | None = None, rounded: float = 0.0) -> None:
        """Run a plan and compare everything that it wrote.

        gradients   what is already in the parameters' gradients, which then are added to
        rounded     relative error of numbers that are stored with fewer bits
        """
        given = gradients or {}
        bound = Bound(plan, [self.x], [self.y.shape], self.params, [True], given)
        (y,), (dx,), written = bound.run([self.dy])
        self.close(plan, "y", y, self.y, rounded)
        self.close(plan, "dx", dx, self.dx, rounded)
        assert written.keys() == self.gradients.keys()
        for name, expected in self.gradients.items():
            self.close(plan, name, written[name], expected + given.get(name, 0))

    def close(
        self, plan: Plan, what: str, found: np.ndarray, expected: np.ndarray, rounded: float = 0.0
    ) -> None:
        # A sum of n signed products of size 1 is about sqrt(n) large, and float32 makes an error
        # of 6e-8 of that with each of them; a single wrong product is off by about 1.
        limit = 1e-5 * np.sqrt(self.terms[what]) + rounded * np.abs(expected)
        worst = (np.abs(found - expected) / limit).max()
        assert worst <= 1, f"{plan.algorithm} {plan.passes}: {what} is {worst:.1f} limits off"


def truth(
    kind: str, shape: tuple[int, ...], *, bf16: bool = False, seed: int = 0, **fields
) -> Truth:
    """The layer `kind` with these fields; with `bf16` on inputs that are bfloat16 numbers."""
    rng = np.random.default_rng(seed)

    def draw(size: tuple[int, ...]) -> np.ndarray:
        values = rng.standard_normal(size)
        return to_bf16(values) if bf16 else values

    layer = build(kind, **fields)
    x = draw(shape)
    params = {name: draw(size) for name, size in layer.param_shapes(shape).items()}
    (bottom,), (top,) = bind(layer, x, params=list(params.values()))
    layer.forward([bottom], [top])
    dy = top.diff[...] = draw(top.shape)
    for param in layer.params:
        param.diff[...] = 0
    layer.backward([top], [True], [bottom])
    work = layer.multiply_adds(shape)
    sizes = {"y": dy.size, "dx": x.size, "weight": params["weight"].size}
    terms = {what: work / size + 1 for what, size in sizes.items()}
    if "bias" in params:
        terms["bias"] = dy.size / params["bias"].size
    gradients = {param.name: param.diff.copy() for param in layer.params}
    return Truth(layer.op, x, dy, params, top.data.copy(), bottom.diff.copy(), gradients, terms)


def to_bf16(values: np.ndarray) -> np.ndarray:
    """The nearest bfloat16 numbers: 8 significant bits, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.uint64)
    kept = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16
    return kept.astype(np.uint32).view(np.float32).astype(np.float64)
