"""Alarms of a run, in words: a number that is not finite, no progress, dead ReLUs, odd updates."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from minidl.cli.train.looking.progress import Progress
from minidl.errors import DivergedError, MinidlError
from minidl.runs import events
from minidl.solver import EventsFile, Hook, Run, epochs
from minidl.solver.epochs import Epochs

log = logging.getLogger("minidl")

IDLE_SHARE = 0.5  # of a layer's channels that say nothing
IDLE_NUMBERS = 64  # that a channel must have had the chance to say something in
LARGE, TINY = 0.1, 1e-7  # norm of an update relative to that of the weights
RATE_SHARE = 0.1  # of base_lr: at lower rates small updates are meant
TIMES = 2  # in a row, before it is said


class Alarms(Hook):
    """Writes an alarm into the events and the log: each kind once for a layer.

    file              which takes the events
    began_untrained   whether the run began with random weights, so that its first loss is one of a
                      net that knows nothing

    Where a run fails because of a number that is not finite, the alarm comes before the error.
    """

    def __init__(self, file: EventsFile, began_untrained: bool) -> None:
        self.file, self._untrained = file, began_untrained
        self._progress = Progress()
        self._epochs = Epochs(0, 0)
        self._said: set[tuple[str, str]] = set()
        self._seen: dict[tuple[str, str], int] = {}  # times in a row

    def on_solve(self, solver: Run) -> None:
        self._epochs = epochs.of(solver)
        self._progress = Progress(guessing(solver), self._untrained)

    def on_display(self, solver: Run, info: Mapping[str, Any]) -> None:
        self._progress.see(info["loss"])
        ended = self._epochs.ended(solver.iter)
        if self._progress.stalled(ended):
            self.say(solver, "no_progress", "", self._progress.words(ended))

    def on_error(self, solver: Run, error: Exception) -> None:
        if isinstance(error, DivergedError):
            text = (
                f"{error.found}. A lower rate may help (base_lr is {solver.param.base_lr:g}), "
                "a warm-up, or clip_gradients; so may a look at the data"
            )
            try:
                self.say(solver, "nan", error.layer, text)
            except MinidlError:  # what went wrong first is what is told
                log.warning("%s", text)

    def see_idle(self, solver: Run, layer: str, dead: int, channels: int, numbers: int) -> None:
        """Take notice of the channels of a ReLU that were zero everywhere in a batch.

        numbers    that each channel had
        """
        bad = numbers >= IDLE_NUMBERS and dead >= IDLE_SHARE * channels > 0
        if self._again("dead", layer, bad):
            text = (
                f"{dead} of the {channels} channels of ReLU layer '{layer}' are 0 for every "
                "picture of a batch: they learn nothing any more. A lower rate may help, other "
                "initial weights (msra), or a ReLU with negative_slope"
            )
            self.say(solver, "dead", layer, text)

    def see_update(self, solver: Run, layer: str, update: float, weights: float) -> None:
        """Take notice of the norms of a layer's last update and of its weights."""
        if not (weights and math.isfinite(update) and math.isfinite(weights)):
            return
        ratio = update / weights
        if self._again("large_updates", layer, ratio > LARGE):
            text = (
                f"an update changes the weights of layer '{layer}' by {ratio:.0%} of themselves; "
                "about 0.1 % is usual. A lower rate may help, or clip_gradients"
            )
            self.say(solver, "large_updates", layer, text)
        slow = solver.lr >= RATE_SHARE * solver.param.base_lr and ratio < TINY
        if self._again("tiny_updates", layer, slow):
            text = (
                f"an update changes the weights of layer '{layer}' by {ratio:.0e} of themselves; "
                "about 1e-03 is usual. A higher rate may help, or other initial weights"
            )
            self.say(solver, "tiny_updates", layer, text)

    def say(self, solver: Run, kind: str, layer: str, text: str) -> None:
        """Write an alarm, unless it was written before."""
        if (kind, layer) in self._said:
            return
        self._said.add((kind, layer))
        log.warning("iteration %d: %s", solver.iter, text)
        self.file.write(events.Alarm(solver.iter, kind, layer, text))

    def _again(self, kind: str, layer: str, bad: bool) -> bool:
        """Return whether something was so several times in a row."""
        count = self._seen.get((kind, layer), 0) + 1 if bad else 0
        self._seen[kind, layer] = count
        return count >= TIMES


def guessing(solver: Run) -> float:
    """Return the loss of a net that gives all classes the same probability; 0 where not all of its
    losses are SoftmaxWithLoss."""
    total = 0.0
    for node in solver.net.blueprint.nodes:
        weight = sum(node.loss_weights)
        if not weight:
            continue
        if node.type != "SoftmaxWithLoss" or len(node.bottom_shapes[0]) < 2:
            return 0.0
        total += weight * math.log(max(node.bottom_shapes[0][1], 1))
    return total
