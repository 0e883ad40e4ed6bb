"""The mean of each output of a test net: what a test with eval_type "classification" computes."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidl.errors import SolverError
from minidl.solver.display import plain


class Means:
    """Collects a test's outputs, batch by batch.

    where   the solver, for messages
    """

    def __init__(self, where: str) -> None:
        self._sums: dict[str, np.ndarray] = {}
        self._where = where

    def add(self, name: str, array: np.ndarray) -> None:
        """Add what the output `name` is after a batch; refuse it if its shape changes."""
        total = self._sums.get(name)
        if total is not None and total.shape != array.shape:
            raise SolverError(
                f"the output '{name}' has the shape {array.shape}, in the batch before "
                f"{total.shape}",
                where=self._where,
                expected="an output of one shape, of which there is a mean",
                fix='eval_type: "detection", if a DetectionEvaluate layer makes it',
            )
        values = array.astype(np.float64)
        self._sums[name] = values if total is None else total + values

    def figures(self, batches: int) -> dict[str, Any]:
        """Return the means over this number of batches."""
        return {name: plain(total / batches) for name, total in self._sums.items()}
