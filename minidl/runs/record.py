"""The figures that a training run wrote down, whichever file they are read from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from minidl.errors import FormatError, UsageError

LONGEST_LINE = 1 << 24  # characters


@dataclass
class Row:
    """The outputs of a net at one iteration.

    seconds   since the run began
    rate      the learning rate; in a log the one that was last written down before the row, which
              is that of the display before it (Caffe's parse_log.py takes it, too)
    """

    iteration: int
    seconds: float
    rate: float
    outputs: dict[str, float] = field(default_factory=dict)


@dataclass
class Record:
    """A run, in the order in which it was written.

    train, tests   rows of the net that is trained, and of each test net by its number
    loss, rates    the smoothed loss and the learning rate: (iteration, seconds, value)
    losses         names of outputs that add to the loss
    """

    path: Path
    train: list[Row] = field(default_factory=list)
    tests: dict[int, list[Row]] = field(default_factory=dict)
    loss: list[tuple[int, float, float]] = field(default_factory=list)
    rates: list[tuple[int, float, float]] = field(default_factory=list)
    losses: set[str] = field(default_factory=set)

    @property
    def rows(self) -> list[list[Row]]:
        """The rows of every net."""
        return [self.train, *self.tests.values()]


def lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file, one at a time; refuse one that is longer than any of a run."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            number = 0
            while line := file.readline(LONGEST_LINE):
                number += 1
                if len(line) == LONGEST_LINE:
                    raise FormatError(
                        f"has a line of more than {LONGEST_LINE:,} characters",
                        where=f"{path}:{number}",
                        expected="the log of a run, or its events.jsonl",
                    )
                yield line
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(path)) from None
