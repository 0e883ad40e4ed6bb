"""Train a net by its solver file, or a net of the zoo on a folder of pictures.

    minidl train SOLVER
    minidl train --net lenet --data FOLDER
    minidl train --resume RUN

Leaves snapshots, a log, events.jsonl, and what `minidl classify --run` needs, in the folder of
snapshot_prefix. Ctrl-C and SIGTERM snapshot and stop; -snapshot resumes from there, bit for bit as
if the run had never stopped; --resume does so with the run's own command line.
"""

from __future__ import annotations

import contextlib
import logging
import shlex
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minidl.cli import engine_flags, jobs, models, snapshots
from minidl.cli.arguments import Parser, add_state, names, seed
from minidl.cli.log import folder as log_folder
from minidl.cli.log import logging_to, on_terminal
from minidl.cli.signals import EFFECTS, Request, Signals
from minidl.cli.train import looking, nets, new_run, resume, solver_file
from minidl.errors import UsageError
from minidl.runs import job, processes, store

if TYPE_CHECKING:
    from minidl.cli.train.watch import Summary

log = logging.getLogger("minidl")


def add_arguments(parser: Parser) -> None:
    parser.add_file("solver", "prototxt of the solver", required=False)
    parser.add_argument(
        "--snapshot",
        metavar="FILE",
        help="solverstate to resume from; 'latest' finds the newest complete one of this solver",
    )
    parser.add_argument(
        "--resume",
        metavar="RUN",
        help="go on with the run in this folder: its own command line, from its newest snapshot",
    )
    parser.add_argument(
        "--weights",
        type=names,
        default=(),
        metavar="A,B",
        help="caffemodels to start from (fine-tuning), or folders of runs: layers are matched by"
        " name",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="replace a field of the solver file, e.g. max_iter=1000; may be given again",
    )
    parser.add_argument("--seed", type=seed, metavar="N", help="the same as random_seed=N")
    for name, default in (("sigint", "stop"), ("sighup", "snapshot")):
        parser.add_argument(
            f"--{name}-effect",
            choices=EFFECTS,
            default=default,
            help=f"what {name.upper()} does: stop, snapshot or none (default: {default})",
        )
    new_run.add_arguments(parser)
    looking.add_arguments(parser)
    add_state(parser)
    engine_flags.add(parser)


def run(args: Namespace) -> int:
    if args.resume and not (args.solver or args.net):
        return resume.run(args)
    new_run.check(args)
    if args.plan:
        with logging_to(args):
            new_run.show(args)
        return 0
    reads = needs(args)  # before a run that resumes forgets with whose weights it began
    ending = Request(processes.AFTER_EPOCH, "stopping when this epoch ends")
    with contextlib.ExitStack() as stack:
        stack.enter_context(ending.handled())
        report = begin(args, reads, stack)
        check(args)
        param = solver_file.read(args)
        solver_file.read_nets(param)
        prefix = solver_file.prefix(param)
        if args.resume:
            resume.check(args, param, prefix)
        solver_file.make_folder(prefix.parent)
        logs = log_folder(args) or prefix.parent
        report = report or stack.enter_context(jobs.running(args, prefix.parent, reads))
        stack.enter_context(logging_to(args, logs / f"{prefix.name}.log"))
        summary, signals = train(param, logs / store.EVENTS, report, ending, args)
        if was_stopped(summary, signals):
            report.become(job.STOPPED)
    return tell(args, param, logs, summary, signals)


def begin(
    args: Namespace, reads: dict[str, str | Path], stack: contextlib.ExitStack
) -> job.Report | None:
    """Write what a new run begins with, or find what a run that resumes has left.

    reads    what the run reads, to which its data set is added
    stack    takes the job of a folder that a page made, and which waits to see it run; returned
    """
    report = None
    if args.net:
        run = Path(args.resume) if args.resume else new_run.place(args)
        reads["data"] = new_run.data_folder(args, run)
        if not args.resume:
            if (run / job.JOB).is_file():
                report = stack.enter_context(jobs.running(args, run, reads))
            with logging_to(args):
                args.solver = new_run.prepare(args, run)
    if args.resume:
        resume.prepare(args)
    return report


def was_stopped(summary: Summary, signals: Signals) -> bool:
    """Return whether a signal ended the training, not only the test after it."""
    return bool(signals.stopped) and summary.reason == "stopped"


def tell(args: Namespace, param: Any, logs: Path, summary: Summary, signals: Signals) -> int:
    """Print what the run has come to, and what can be done with it; return the exit code."""
    prefix = solver_file.prefix(param)
    for line in summary.lines():
        print(line)
    print(f"log      {logs / prefix.name}.log")
    print(f"events   {logs / store.EVENTS}")
    if not was_stopped(summary, signals):
        if args.net and nets.tells_classes(prefix.parent):
            folder = shlex.quote(str(prefix.parent))
            print("classify with: minidl classify PICTURE --run", folder)
        return 0
    print(f"stopped by {signals.stopped} after {summary.iter} of {param.max_iter} iterations")
    if summary.snapshot is not None and summary.snapshot["iter"] == summary.iter:
        print(f"resume with: {resume.command(args, summary.snapshot['state'])}")
    else:
        print("no snapshot of it was written: snapshot_after_train is false")
    return signals.status


def check(args: Namespace) -> None:
    """Refuse a command line without a solver, and one that begins and resumes."""
    if not args.solver:
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


def needs(args: Namespace) -> dict[str, str | Path]:
    """Return the folders of other jobs that the run reads, by role."""
    found: dict[str, str | Path] = {"data": args.data} if args.data else {}
    for path in map(Path, args.weights):
        run = path if path.is_dir() else path.parent
        if (run / job.JOB).is_file():
            found["weights"] = run
    return found


def train(
    param: Any, events: Path, report: job.Report, ending: Request, args: Namespace
) -> tuple[Summary, Signals]:
    """Run the solver to its end or to a signal; return its summary, and the signals.

    events    the file that takes them
    ending    the request to stop with the epoch
    """
    from minidl.cli.train.watch import Description, EpochStop, ProgressBar, Standing, Summary
    from minidl.prototxt import to_text
    from minidl.solver import EventsFile, get_solver

    device = models.training_device(param, args)
    log.info("Initializing solver from parameters: \n%s", to_text(param).rstrip())
    prefix = solver_file.prefix(param)
    snapshot = snapshots.resolve(args.snapshot, str(prefix)) if args.snapshot else None
    summary, progress, epoch_stop = Summary(), ProgressBar(args), EpochStop(ending)
    file = EventsFile(events)
    looks = looking.Looks(prefix.parent, file, args)
    description = Description(prefix.parent, named=bool(args.net))
    hooks = [summary, *looks.hooks, file, description, Standing(report), epoch_stop]
    hooks += [progress] if on_terminal(args) else []
    # Only the hooks see the nets, and they ask for nothing inside them but parameters.
    solver = get_solver(param, device=device, hooks=hooks, share=True, **engine_flags.options(args))
    signals = Signals(solver, args.sigint_effect, args.sighup_effect)
    try:
        log.info("Starting Optimization")
        with signals.handled():
            solver.solve(snapshot)
        if summary.reason == "done":
            log.info("Optimization Done.")
    finally:
        progress.close()
        looks.close()
        solver.close()
    if epoch_stop.honoured and not signals.stopped:
        assert ending.number is not None  # or nobody could have asked
        signals.note(ending.number)
    return summary, signals
