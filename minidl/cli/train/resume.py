"""`minidl train --resume RUN`: the run's own command line, from its newest snapshot on."""

from __future__ import annotations

import os
import shlex
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minidl.cli import engine_flags, snapshots
from minidl.cli.arguments import FLAG
from minidl.errors import UsageError
from minidl.runs import job, store

FLAG_NAME = "resume"


def run(args: Namespace) -> int:
    """Carry out the run's own words, where they were said, and then those of this command line."""
    from minidl import cli

    folder = Path(args.resume).resolve()
    made = _job(folder, args.resume)
    place = (folder / made.cwd).resolve()
    if not place.is_dir():
        raise UsageError(
            f"its command ran in {place}, which is not there",
            where=args.resume,
            expected="a run that was not moved without the files that it reads",
            fix="minidl train SOLVER -snapshot STATE, with the paths as they are now",
        )
    more = without(args.line, FLAG_NAME)
    more.remove(args.command)
    words = [*made.argv, *more]
    here = os.getcwd()
    print(shlex.join(["minidl", *words]) + (f"  (in {place})" if place != Path(here) else ""))
    os.chdir(place)  # its words name paths as seen from there
    try:
        return int(cli.dispatch([*words, f"--{FLAG_NAME}", os.path.relpath(folder)]) or 0)
    finally:
        os.chdir(here)


def _job(folder: Path, where: str) -> job.Job:
    """Return the job of a folder, if that is a training run's."""
    if not folder.is_dir():
        raise UsageError("there is no such folder", where=where, expected="that of a run")
    if not (folder / job.JOB).is_file():
        raise UsageError(
            f"holds no {job.JOB}, so its command line is not known",
            where=where,
            expected="the folder that minidl train wrote its snapshots to",
            fix="minidl train SOLVER -snapshot latest",
        )
    made = job.read(folder)
    if made.kind != "train" or not made.argv:
        raise UsageError(
            f"is the folder of minidl {made.kind}", where=where, expected="that of minidl train"
        )
    return made


def prepare(args: Namespace) -> None:
    """Turn the words that began a run into those that resume it."""
    run = Path(args.resume)
    args.line = without(args.line, FLAG_NAME)
    args.weights, args.snapshot = (), snapshots.LATEST
    if args.net:
        args.solver = str(run / store.SOLVER)
        if not Path(args.solver).is_file():
            raise UsageError(
                f"holds no {store.SOLVER}: the run ended before it began to train",
                where=args.resume,
                fix=f"minidl {shlex.join(args.line)}",
            )


def check(args: Namespace, param: Any, prefix: Path) -> None:
    """Refuse to resume a run that was moved, that has no snapshot, or that is complete."""
    from minidl.storage import snapshot

    if prefix.parent.resolve() != Path(args.resume).resolve():
        raise UsageError(
            f"was moved: its command writes to {prefix.parent}",
            where=args.resume,
            fix=f"minidl train --resume {args.resume} --set snapshot_prefix="
            f"{Path(args.resume) / prefix.name}",
        )
    if not store.states(str(prefix)):
        raise UsageError(
            "has no snapshot yet, so there is nothing to resume from",
            where=args.resume,
            fix="begin again: " + shlex.join(["minidl", *args.line]),
        )
    state = snapshots.latest(str(prefix))
    args.snapshot = str(state)
    done = snapshot.read(state).iter
    if done >= param.max_iter:
        raise UsageError(
            f"is complete: its snapshot is of iteration {done} of {param.max_iter}",
            where=args.resume,
            fix=f"to train further: minidl train --resume {args.resume} --set max_iter=N",
        )


def without(words: Sequence[str], name: str) -> list[str]:
    """Return words without a flag and its value.

    >>> without(["train", "--resume", "runs/a", "-gpu", "0", "-resume=b"], "resume")
    ['train', '-gpu', '0']
    """
    kept, value = [], False
    for word in words:
        match = FLAG.fullmatch(word)
        if value:
            value = False
        elif match and match.group(1).replace("_", "-") == name:
            value = not match.group(2)
        else:
            kept.append(word)
    return kept


def command(args: Namespace, state: str) -> str:
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
