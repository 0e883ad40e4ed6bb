"""Plans for `ops.Dropout`: in training, random elements are zero and the rest is scaled up."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from minidl import ops
from minidl.engines.cupy_kernels.operators import OPERATORS
from minidl.engines.cupy_kernels.plain import PlainPlan, gradients
from minidl.engines.engine import Engine
from minidl.engines.plan import Bindings, Plan, Run, several
from minidl.engines.request import Declined, Request

DRAWN = 8  # elements that one thread draws numbers for: a block of the generator, a byte of bits


@OPERATORS.serves(ops.Dropout)
def plans(engine: Engine, op: ops.Dropout, request: Request) -> Iterator[Plan] | Declined:
    """Offer a plan that draws the CPU's masks, bit for bit, on the GPU.

    What stays is kept as one bit for each element. Backward could draw the numbers again, but only
    as long as the pass number is still that of its forward, and ten rounds of 64-bit products cost
    more than one bit next to the 8 bytes of dy and dx.
    """
    if not request.counter:
        return Declined("the number of the pass is not in the device's memory")
    return iter([DropoutPlan(device=engine.device, algorithm="kernel", request=request, op=op)])


@dataclass(kw_only=True)
class DropoutPlan(PlainPlan):
    """`saved`: bit e % 8 of byte e / 8 says whether element e stays."""

    op: ops.Dropout

    def __post_init__(self) -> None:
        super().__post_init__()
        self.saved = -(-math.prod(self.request.bottom_shapes[0]) // DRAWN)

    def bind(self, memory: Bindings) -> tuple[Run, Run | None]:
        assert memory.saved is not None
        count, bits = math.prod(self.request.bottom_shapes[0]), memory.saved.address
        x, y = memory.bottom_memory[0].address, memory.top_memory[0].address
        scale = 1 / (1 - self.op.ratio)
        low, high = (_signed(word) for word in self.request.key)
        draw = self.kernel("dropout", "draw")
        apply = self.kernel("dropout", "apply")
        # One thread for each byte of bits. The number of the pass is read on the device, so that a
        # captured graph draws other numbers in every replay.
        drawn = draw.bind(self.saved, bits, self.request.counter, low, high, self.op.ratio)
        forward = several([drawn, apply.bind(count, x, bits, y, scale)])
        if not self.has_backward:
            return forward, None
        dy, dx = gradients(memory)
        return forward, apply.bind(count, dy, bits, dx, scale)


def _signed(word: int) -> int:
    """Return the same 64 bits as a signed number, as kernels take them.

    >>> _signed(2**64 - 1), _signed(5)
    (-1, 5)
    """
    return word - (1 << 64) if word >> 63 else word
