"""The loss that is shown: a mean over the last iterations."""

from __future__ import annotations

from collections.abc import Sequence


class SmoothedLoss:
    """Caffe's running mean of the last `average_loss` losses.

    While there are fewer, their plain mean; then ``value += (new - oldest) / size``. Unlike
    Caffe's it goes on from one call of `step` to the next and through snapshots: both `value` and
    `recent` are kept, for the sum as it was rounded cannot be worked out from the losses again.

    value     what is shown
    recent    the losses it is over, oldest first
    """

    def __init__(self, value: float = 0.0, recent: Sequence[float] = ()) -> None:
        self.value, self.recent = value, list(recent)

    def add(self, loss: float, size: int) -> float:
        """Count `loss` in, for a mean over the last `size`; return `value`."""
        if len(self.recent) > size:  # average_loss was lowered: begin with what it now is over
            self.recent = self.recent[-size:]
            self.value = sum(self.recent) / size
        if len(self.recent) < size:
            self.recent.append(loss)
            count = len(self.recent)
            self.value = (self.value * (count - 1) + loss) / count
        else:
            self.value += (loss - self.recent.pop(0)) / size
            self.recent.append(loss)
        return self.value

    def copy(self) -> SmoothedLoss:
        return SmoothedLoss(self.value, self.recent)
