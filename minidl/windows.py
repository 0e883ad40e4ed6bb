"""Where the windows of a pooling fall: which outputs see which input, tap by tap."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

Ints = tuple[int, ...]


@dataclass(frozen=True)
class Axis:
    """Windows along one axis of a bottom of `size`; window o begins at ``o * stride - pad``.

    >>> Axis(size=5, kernel=3, stride=2, pad=1, windows=3).taps
    ((slice(1, 3, None), slice(1, 4, 2)), (slice(0, 3, None), slice(0, 5, 2)), \
(slice(0, 2, None), slice(1, 4, 2)))
    """

    size: int
    kernel: int
    stride: int
    pad: int
    windows: int

    @cached_property
    def taps(self) -> tuple[tuple[slice, slice], ...]:
        """For each place in the window: the windows where it lies on the bottom, and where.

        A slice of the top and a slice of the bottom of equal lengths, maybe 0.
        """
        pairs = []
        for tap in range(self.kernel):
            shift = tap - self.pad
            first = max(0, -(shift // self.stride))
            behind = max(first, min(self.windows, (self.size - 1 - shift) // self.stride + 1))
            start = first * self.stride + shift
            end = start + (behind - first - 1) * self.stride + 1 if behind > first else start
            pairs.append((slice(first, behind), slice(start, end, self.stride)))
        return tuple(pairs)

    @property
    def starts(self) -> list[int]:
        """Where each window begins; below 0 in the padding."""
        return [window * self.stride - self.pad for window in range(self.windows)]

    @property
    def lengths(self) -> list[int]:
        """How much of each window lies on the bottom or its padding (not on what is beyond)."""
        return [min(start + self.kernel, self.size + self.pad) - start for start in self.starts]
