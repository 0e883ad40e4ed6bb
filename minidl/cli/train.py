"""Train a net by its solver file, or a net of the zoo on a folder of pictures.

    minidl train SOLVER
    minidl train --net lenet --data FOLDER

Leaves snapshots, a log, events.jsonl, and what `minidl classify --run` needs, in the folder of
snapshot_prefix. Ctrl-C and SIGTERM snapshot and stop; -snapshot resumes from there, bit for bit as
if the run had never stopped.
"""

from __future__ import annotations

import logging
import shlex
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidl.cli import engine_flags, jobs, models, new_run, overrides, snapshots
from minidl.cli.arguments import (
    Parser,
    add_device,
    add_state,
    existing,
    names,
    whole,
)
from minidl.cli.log import folder as log_folder
from minidl.cli.log import logging_to, on_terminal
from minidl.cli.signals import EFFECTS, Signals
from minidl.errors import UsageError
from minidl.runs import job, store

if TYPE_CHECKING:
    from minidl.cli.watch import Summary

log = logging.getLogger("minidl")


def add_arguments(parser: Parser) -> None:
    parser.add_file("solver", "prototxt of the solver", required=False)
    parser.add_argument(
        "--snapshot",
        metavar="FILE",
        help="solverstate to resume from; 'latest' finds the newest complete one of this solver",
    )
    parser.add_argument(
        "--weights",
        type=names,
        default=(),
        metavar="A,B",
        help="caffemodels to start from (fine-tuning): layers are matched by name",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="replace a field of the solver file, e.g. max_iter=1000; may be given again",
    )
    parser.add_argument(
        "--seed", type=whole(0, 2**63 - 1), metavar="N", help="the same as random_seed=N"
    )
    for name, default in (("sigint", "stop"), ("sighup", "snapshot")):
        parser.add_argument(
            f"--{name}-effect",
            choices=EFFECTS,
            default=default,
            help=f"what {name.upper()} does: stop, snapshot or none (default: {default})",
        )
    new_run.add_arguments(parser)
    add_state(parser)
    add_device(parser)
    engine_flags.add(parser)


def run(args: Namespace) -> int:
    new_run.check(args)
    if args.net:
        with logging_to(args):
            args.solver = new_run.prepare(args)
    elif not args.solver:
        raise UsageError(
            "which solver?",
            where="minidl train",
            expected="minidl train SOLVER, or minidl train --net NET --data FOLDER",
        )
    if args.weights and args.snapshot:
        raise UsageError(
            "-weights and -snapshot exclude each other",
            where="minidl train",
            fix="-snapshot resumes a run, its own weights included; -weights starts a new one",
        )
    from minidl.prototxt import to_text
    from minidl.solver import parameters

    param = read_solver(args)
    read_nets(param)
    prefix = parameters.snapshot_prefix(param)
    make_folder(Path(prefix).parent)
    place = log_folder(args) or Path(prefix).parent
    file = place / f"{Path(prefix).name}.log"
    with jobs.running(args, Path(prefix).parent, needs(args)) as report, logging_to(args, file):
        device = models.training_device(param, args)
        log.info("Initializing solver from parameters: \n%s", to_text(param).rstrip())
        resume = snapshots.resolve(args.snapshot, prefix) if args.snapshot else None
        summary, signals = train(param, resume, place / store.EVENTS, device, report, args)
        if signals.stopped and summary.reason == "stopped":
            report.become(job.STOPPED)
    for line in [*summary.lines(), f"log      {file}", f"events   {place / 'events.jsonl'}"]:
        print(line)
    if not signals.stopped or summary.reason != "stopped":  # a signal in the last test: done
        if args.net:
            print(
                "classify with: minidl classify PICTURE --run",
                shlex.quote(str(Path(prefix).parent)),
            )
        return 0
    print(f"stopped by {signals.stopped} after {summary.iter} of {param.max_iter} iterations")
    if summary.snapshot is not None and summary.snapshot["iter"] == summary.iter:
        print(f"resume with: {resume_command(args, summary.snapshot['state'])}")
    else:
        print("no snapshot of it was written: snapshot_after_train is false")
    return signals.status


def needs(args: Namespace) -> dict[str, str | Path]:
    """Return the folders of other jobs that the run reads, by role."""
    found: dict[str, str | Path] = {"data": args.data} if args.data else {}
    for run in (Path(path).parent for path in args.weights):
        if (run / job.JOB).is_file():
            found["weights"] = run
    return found


def read_nets(param: Any) -> None:
    """Read everything that the solver names, so that errors come before a file is written.

    The log stays silent: the solver reads the nets again, with the log file open.
    """
    from minidl.solver import nets

    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        sources = nets.Sources(param)
        sources.training()
        sources.testing()
        sources.weights()
    finally:
        log.setLevel(level)


def make_folder(folder: Path) -> None:
    """Make the folder of snapshot_prefix, which Caffe leaves to the user."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"the folder cannot be made: {reason}", where=f"snapshot_prefix: {folder}"
        ) from None


def read_solver(args: Namespace) -> Any:
    """Return the SolverParameter of the file with the command line's changes."""
    from minidl import prototxt
    from minidl.solver import parameters

    param = prototxt.read_solver(existing(args.solver, "a solver's prototxt"))
    overrides.apply(param, args.set)
    models.set_train_state(param, args)
    if args.seed is not None:
        param.random_seed = args.seed
    if args.weights:
        for path in args.weights:
            existing(path, "a caffemodel")
        del param.weights[:]
        param.weights.extend(args.weights)
    elif args.snapshot:
        if args.snapshot != snapshots.LATEST:
            snapshots.resolve(args.snapshot, "")
        del param.weights[:]  # the snapshot has its own
    parameters.check(param)
    return param


def train(
    param: Any,
    resume: Path | None,
    events: Path,
    device: str,
    report: job.Report,
    args: Namespace,
) -> tuple[Summary, Signals]:
    """Run the solver to its end or to a signal; return its summary, and the signals."""
    from minidl.cli.watch import Description, ProgressBar, Standing, Summary
    from minidl.solver import EventsFile, get_solver, parameters

    summary, progress = Summary(), ProgressBar(args)
    place = Path(parameters.snapshot_prefix(param)).parent
    hooks = [summary, EventsFile(events), Description(place), Standing(report)]
    hooks += [progress] if on_terminal(args) else []
    # Only the hooks see the nets, and they ask for nothing inside them.
    solver = get_solver(param, device=device, hooks=hooks, share=True, **engine_flags.options(args))
    signals = Signals(solver, args.sigint_effect, args.sighup_effect)
    try:
        log.info("Starting Optimization")
        with signals.handled():
            solver.solve(resume)
        if summary.reason == "done":
            log.info("Optimization Done.")
    finally:
        progress.close()
        solver.close()
    return summary, signals


def resume_command(args: Namespace, state: str) -> str:
    """Return the command line that resumes from `state` with the settings of this one."""
    words = ["minidl", "train", args.solver, "-snapshot", state]
    for setting in args.set:
        words += ["--set", setting]
    if args.level:
        words += ["-level", str(args.level)]
    if args.stage:
        words += ["-stage", ",".join(args.stage)]
    if args.gpu:
        words += ["-gpu", args.gpu]
    if args.allow_python:
        words += ["--allow-python"]
    if args.flush_denormals:
        words += ["--flush-denormals"]
    for module in args.modules:
        words += ["--import", module]
    return shlex.join(words + engine_flags.words(args))
