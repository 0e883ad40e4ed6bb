"""What a run looks at besides its losses: alarms, histograms, samples of the validation set."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidl.cli.arguments import Parser, whole
from minidl.cli.train.solver_form import epochs

if TYPE_CHECKING:
    from minidl.solver import EventsFile, Hook


def add_arguments(parser: Parser) -> None:
    group = parser.add_argument_group("what a page shows of a run")
    every: dict[str, Any] = dict(type=epochs, default=0.0, metavar="EPOCHS")
    group.add_argument(
        "--histograms",
        help="how often to write how weights, gradients, updates and activations are spread; 0: "
        "never (0)",
        **every,
    )
    group.add_argument(
        "--samples",
        help="how often to write pictures of the validation set with the net's answers; 0: never"
        " (0)",
        **every,
    )
    group.add_argument(
        "--sample-count", type=whole(1, 1000), default=8, metavar="N", help="pictures (8)"
    )


class Looks:
    """The hooks that these flags ask for, in the run's folder; `file` takes their events.

    They stand before `file` in the solver's list, so that an alarm comes before the error.
    """

    def __init__(self, folder: Path, file: EventsFile, args: Namespace) -> None:
        from minidl.cli import engine_flags
        from minidl.cli.train.looking.alarms import Alarms
        from minidl.cli.train.looking.histograms import Histograms
        from minidl.cli.train.looking.probe import Probe
        from minidl.cli.train.looking.samples import Samples

        self.probe = Probe(engine_flags.options(args))
        alarms = Alarms(file, began_untrained=not (args.weights or args.snapshot))
        self.hooks: list[Hook] = [alarms]
        if args.histograms:
            found = Histograms(args.histograms, folder, file, self.probe, alarms)
            self.hooks.append(found)
        if args.samples:
            shown = Samples(args.samples, folder, file, self.probe, args.sample_count)
            self.hooks.append(shown)

    def close(self) -> None:
        """Let go of files and threads."""
        self.probe.close()
