"""Whether a loss has come down at all."""

from __future__ import annotations

import math
from statistics import median

EPOCHS, LOSSES = 3, 24  # at least, before anything is said
BLOCKS = 8  # stretches whose medians are compared
DOWN = 0.05  # of the first loss: by so much it has to fall,
GUESSED = 0.03  # or by so much of the loss of guessing,
ERRORS = 4  # and by so many standard errors of a stretch's median
POINTS = 64  # at most, whose order shows a trend
TREND = 1.0  # standard deviations of Kendall's statistic: less may be chance


class Progress:
    """Judges the losses of a run, in the order in which they are shown.

    guessing    the loss of a net that guesses; 0 where that is not known
    untrained   whether the first loss is that of random weights

    The losses are cut into stretches of equal length, and each stretch stands for its median, so
    that single bad or good batches do not count. A run makes no progress if, after three epochs
    and two dozen losses, none of its stretches is clearly below the loss of guessing, or, where
    that is not known, below the first loss; and if they do not fall steadily, as those of a slow
    run do. Where neither can be compared with, nothing is said. A run that once made
    progress is not judged again: that it stays where it is may be its end.
    """

    def __init__(self, guessing: float = 0.0, untrained: bool = True) -> None:
        self.guessing, self.untrained = guessing, untrained
        self._losses: list[float] = []
        self._made = False

    def see(self, loss: float) -> None:
        """Take notice of the next loss."""
        if not self._made:
            self._losses.append(float(loss))

    def stalled(self, epochs: int) -> bool:
        """Return whether there was no progress in these complete epochs."""
        if self._made or epochs < EPOCHS or len(self._losses) < LOSSES:
            return False
        if not (self.guessing > 0 or self.untrained):
            return False
        stretches = self._stretches()
        self._made = min(stretches) < self._level()
        if self._made:
            self._losses = []
        return not (self._made or self._falls())

    def words(self, epochs: int) -> str:
        """Return a sentence for a run without progress."""
        best = min(self._stretches())
        began = f"it began at {self._losses[0]:.4g}, and " if self.untrained else ""
        guess = f" (guessing gives {self.guessing:.4g})" if self.guessing else ""
        return (
            f"the loss has not come down in {epochs} epochs: {began}its best stretch is at "
            f"{best:.4g}{guess}. Another rate may help, ten times lower or higher; so may a look "
            "at the labels, and at the pictures as the net sees them"
        )

    def _level(self) -> float:
        """Return the loss below which something was learned, and not by chance."""
        base, share = (self.guessing, GUESSED) if self.guessing > 0 else (self._losses[0], DOWN)
        return base - max(share * abs(base), ERRORS * self._error())

    def _error(self) -> float:
        """Return the standard error of a stretch's median, from the jumps between losses."""
        jumps = [abs(b - a) for a, b in zip(self._losses, self._losses[1:], strict=False)]
        deviation = 1.4826 * median(jumps) / math.sqrt(2)
        return 1.2533 * deviation / math.sqrt(len(self._losses) / BLOCKS)

    def _stretches(self, count: int = BLOCKS) -> list[float]:
        """Return the median of each of so many stretches."""
        losses = len(self._losses)
        ends = [losses * i // count for i in range(count + 1)]
        return [median(self._losses[a:b]) for a, b in zip(ends, ends[1:], strict=False)]

    def _falls(self) -> bool:
        """Return whether later losses are mostly below earlier ones.

        Source: Mann 1945, with the variance of his statistic where nothing is tied.
        """
        points = self._stretches(min(len(self._losses), POINTS))
        n = len(points)
        falls = sum((a > b) - (a < b) for i, a in enumerate(points) for b in points[i + 1 :])
        return falls > TREND * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
