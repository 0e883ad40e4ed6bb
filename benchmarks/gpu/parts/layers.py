"""Array code: every layer of the contract's examples in float32 on the GPU against float64 here."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from benchmarks.gpu.cases import Case, Facts, Settings, Wrong

TOLERANCE = 1e-5  # of an array's largest number: tests/layers/test_contract.py


def cases(settings: Settings) -> Iterator[Case]:
    from tests.layers.examples import EXAMPLES

    for kind, examples in EXAMPLES.items():
        for label, (shapes, keywords) in list(examples.items())[: 1 if settings.tiny else None]:
            name = f"{kind} {label}".strip()
            yield Case(name, functools.partial(compared, kind, shapes, keywords))


def compared(kind: str, shapes: Any, keywords: Any) -> Facts:
    """The largest error of each output and gradient, relative to its largest number."""
    import numpy as np

    from tests.layers.examples import forward_and_backward, prepare

    exact = forward_and_backward(*prepare(kind, shapes, keywords, dtype=np.float64))
    found = forward_and_backward(*prepare(kind, shapes, keywords, "cuda:0", dtype=np.float32))
    if found.keys() != exact.keys():
        raise Wrong(f"the GPU left {sorted(found)}, the CPU {sorted(exact)}")
    errors = {}
    for name, expected in exact.items():
        scale = np.abs(expected).max(initial=0) or 1.0
        errors[name] = float(np.abs(found[name] - expected).max(initial=0) / scale)
    far = {name: error for name, error in errors.items() if not error <= TOLERANCE}
    if far:
        raise Wrong(f"off by {far} of the largest number", {"errors": errors})
    return {"errors": errors}
