"""A convolution by the layer's float64 array code, and how far a plan of cuDNN's may be off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.engines.plan import Plan
from minidl.testing.harness import bind, build
from tests.engines.cudnn.as_layer import to_type
from tests.engines.cupy_kernels.as_layer import strictly
from tests.engines.harness import Bound
from tests.engines.onednn.parity import Truth, truth

# Relative error of a number as it is stored or multiplied
EPS = {"float32": 0.0, "tf32": 2.0**-11, "fp16": 2.0**-11, "bf16": 2.0**-8}
STORED = {"fp16": "float16", "bf16": "bfloat16"}


@dataclass
class Convolved:
    """One layer on signed random numbers, which the arithmetic `math` takes without rounding
    (but for tf32, which rounds them as it multiplies)."""

    truth: Truth
    math: str = "float32"

    @property
    def op(self) -> Any:
        return self.truth.op

    def plans(self, engine: Any, **changes: Any) -> list[Plan]:
        return self.truth.plans(engine, math=self.math, **changes)

    def check(self, plan: Plan, there: dict | None = None, y: np.ndarray | None = None) -> None:
        """Run a plan and compare everything that it wrote; it does nothing but launch.

        there   what is already in the parameters' gradients
        y       what should come out, if not what the layer does
        """
        of, given = self.truth, there or {}
        bound = Bound(plan, [of.x], [of.y.shape], of.params, [True], given)
        bound.forward, bound.backward = strictly(bound.forward), strictly(bound.backward)
        (top,), (dx,), written = bound.run([of.dy])
        self.close(plan, "y", top, of.y if y is None else y)
        self.close(plan, "dx", dx, of.dx)
        assert written.keys() == of.gradients.keys()
        for name, expected in of.gradients.items():
            self.close(plan, name, written[name], expected + given.get(name, 0))

    def close(self, plan: Plan, what: str, found: np.ndarray, expected: np.ndarray) -> None:
        # Numbers of size 1: a sum of n products is about sqrt(n) large, and so are its errors.
        # What is stored in 16 bits is rounded twice where a bias is added to it.
        terms = np.sqrt(self.truth.terms[what])
        limit = (1e-5 + 8 * EPS[self.math]) * terms
        worst = (np.abs(found - expected) / limit).max()
        assert worst <= 1, f"{plan.algorithm} {plan.passes}: {what} is {worst:.1f} limits off"


def convolved(kind: str, shape: tuple[int, ...], math: str = "float32", **fields: Any) -> Convolved:
    """The layer `kind` with these fields, on numbers of the type that `math` stores."""
    made = truth(kind, shape, **fields)
    if math not in STORED:
        return Convolved(made, math)
    x, dy, *params = (
        to_type(array, STORED[math]) for array in (made.x, made.dy, *made.params.values())
    )
    layer = build(kind, **fields)
    (bottom,), (top,) = bind(layer, x, params=params)
    layer.forward([bottom], [top])
    top.diff[...] = dy
    for param in layer.params:
        param.diff[...] = 0
    layer.backward([top], [True], [bottom])
    made.x, made.dy, made.y, made.dx = x, dy, top.data.copy(), bottom.diff.copy()
    made.params = dict(zip(made.params, params, strict=True))
    made.gradients = {param.name: param.diff.copy() for param in layer.params}
    return Convolved(made, math)
