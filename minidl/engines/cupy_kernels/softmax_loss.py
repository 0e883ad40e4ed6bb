"""Plans for `ops.SoftmaxLoss`: cross-entropy of the softmax of scores."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from minidl import ops
from minidl.engines.cupy_kernels.operators import OPERATORS
from minidl.engines.cupy_kernels.plain import PlainPlan
from minidl.engines.cupy_kernels.softmax import Scores, scores
from minidl.engines.engine import Engine
from minidl.engines.plan import Bindings, Plan, Run, packed_on_gpu, several
from minidl.engines.request import Request

F32 = 4  # bytes
PART = 1024  # items whose losses one warp adds up


@OPERATORS.serves(ops.SoftmaxLoss)
def plans(engine: Engine, op: ops.SoftmaxLoss, request: Request) -> Iterator[Plan]:
    """Offer softmax, the losses' sum in two stages, and one kernel backward.

    Nothing looks at the labels from the host: one that names no class makes the loss, and the
    gradient of its item, NaN. Equal inputs give equal bits.
    """
    given = scores(request.bottom_shapes[0], op.axis)
    yield SoftmaxLossPlan(
        device=engine.device,
        algorithm=f"kernel:{given.team}",
        request=request,
        keeps=("top",) if len(request.top_shapes) > 1 else (),
        op=op,
        scores=given,
    )


@dataclass(kw_only=True)
class SoftmaxLossPlan(PlainPlan):
    """The divisor and, without a second top to hold them, the probabilities are in `saved`."""

    op: ops.SoftmaxLoss
    scores: Scores

    def __post_init__(self) -> None:
        super().__post_init__()
        self.parts = -(-self.scores.items // PART)
        kept = (
            math.prod(self.request.bottom_shapes[0]) * F32
            if len(self.request.top_shapes) == 1
            else 0
        )
        # Backward needs the divisor: with an ignore_label it is known on the device alone.
        (_, self.divisor_at), self.saved = packed_on_gpu([kept, F32])
        (_, self.counted_at), self.workspace = packed_on_gpu([self.parts * F32] * 2)

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        assert memory.saved is not None and memory.workspace is not None
        items, classes, inner = self.scores
        x, labels = (m.address for m in memory.bottom_memory)
        loss, *second = (m.address for m in memory.top_memory)
        p = second[0] if second else memory.saved.address
        divisor = memory.saved.address + self.divisor_at
        losses, counted = memory.workspace.address, memory.workspace.address + self.counted_at
        # NaN equals no label, so none is ignored.
        ignore = math.nan if self.op.ignore_label is None else float(self.op.ignore_label)
        team = self.scores.team
        softmax = self.kernel("softmax", f"forward_by_{team}").bind(items, x, p, classes, inner)
        # Sums of PART items each, then their sum by one thread: always in one order.
        parts = self.kernel("softmax_loss", "parts").bind(
            self.parts, p, labels, losses, counted, items, PART, classes, inner, ignore
        )
        total = self.kernel("softmax_loss", "total").bind(
            1, losses, counted, loss, divisor, self.parts, self._fixed()
        )
        forward = several([softmax, parts, total])
        if not self.has_backward:
            return forward, None
        dloss, *dp = (m.address for m in memory.top_diff_memory)
        dx = memory.bottom_diff_memory[0]
        assert dx is not None
        backward = self.kernel("softmax_loss", f"backward_by_{team}").bind(
            items, p, labels, dloss, divisor, dp[0] if dp else 0, dx.address, classes, inner, ignore
        )
        return forward, backward

    def _fixed(self) -> float:
        """Return what the sum is divided by, if known beforehand; 0: by the items that count."""
        items, _, inner = self.scores
        divisors = {"FULL": items, "VALID": 0, "BATCH_SIZE": items // inner, "NONE": 1}
        return float(divisors[self.op.normalization])
