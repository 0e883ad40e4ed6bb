"""A run's folder: which files `minidl train` leaves there, and how they are found.

PREFIX.log                                 Caffe's log lines (folder and PREFIX: snapshot_prefix)
events.jsonl                               the same for programs: `minidl.runs.events`
PREFIX_iter_N.caffemodel, .solverstate     snapshots, in HDF5 with .h5 after it
trained_net.prototxt, preprocess.json      the net to use, and what it does to pictures
train_val.prototxt, solver.prototxt        of a run that began with --net and --data
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from minidl.errors import FormatError, UsageError
from minidl.runs import caffe_log, events
from minidl.runs.record import Record

EVENTS = "events.jsonl"
NET, DESCRIPTION = "trained_net.prototxt", "preprocess.json"
TRAINING_NET, SOLVER = "train_val.prototxt", "solver.prototxt"
WEIGHTS = re.compile(r".*_iter_(\d+)\.caffemodel(\.h5)?")
STATE = re.compile(r".*_iter_(\d+)\.solverstate(\.h5)?")


class Run(NamedTuple):
    """Paths of a run's net, of its last weights, and of what it does to pictures, if to any."""

    net: Path
    weights: Path
    description: Path | None


def find(
    folder: str | os.PathLike[str],
    weights: str | os.PathLike[str] | None = None,
    snapshot: int | None = None,
) -> Run:
    """Return the files in the folder of a run.

    weights    in place of those that were written last
    snapshot   the iteration after which they were written, in place of the last one

    Errors: UsageError for a folder that is absent, of no run, or of one that has not come far, and
    for an iteration without weights.
    """
    run = Path(folder)
    if weights and snapshot is not None:
        raise UsageError("--weights and --snapshot are both given", expected="one of them")
    if not run.is_dir():
        raise UsageError("there is no such folder", where=str(folder), expected="that of a run")
    if not (run / NET).is_file():
        raise UsageError(
            f"holds no {NET}",
            where=str(folder),
            expected="the folder that minidl train wrote its snapshots to",
            fix="--model NET --weights FILE for what another program trained",
        )
    description = run / DESCRIPTION
    if not weights:
        weights = latest_weights(run) if snapshot is None else weights_after(run, snapshot)
    return Run(
        run / NET,
        Path(weights),
        description if description.is_file() else None,
    )


def latest_weights(run: Path) -> Path:
    """Return the weights that were written last into the folder of a run."""
    return max(_weights(run), key=lambda path: (path.stat().st_mtime_ns, iteration_of(path)))


def weights_after(run: Path, iteration: int) -> Path:
    """Return the weights that a run wrote after this iteration, the newest file of them."""
    found = _weights(run)
    some = [path for path in found if iteration_of(path) == iteration]
    if not some:
        known = sorted({iteration_of(path) for path in found})
        raise UsageError(
            f"holds no weights of iteration {iteration}",
            where=str(run),
            expected=", ".join(map(str, known)),
        )
    return max(some, key=lambda path: path.stat().st_mtime_ns)


def iteration_of(weights: str | os.PathLike[str]) -> int:
    """Return the iteration in the name of a file of weights; -1 where there is none."""
    match = WEIGHTS.fullmatch(Path(weights).name)
    return int(match.group(1)) if match else -1


def _weights(run: Path) -> list[Path]:
    found = [path for path in run.iterdir() if WEIGHTS.fullmatch(path.name)]
    if not found:
        raise UsageError(
            "holds no weights yet (PREFIX_iter_N.caffemodel)",
            where=str(run),
            fix="train further, or give --weights FILE",
        )
    return found


def states(prefix: str) -> list[Path]:
    """Return the solver states of a snapshot_prefix, newest first, then by iteration."""
    stem = Path(prefix)
    pattern = re.compile(re.escape(stem.name) + r"_iter_(\d+)\.solverstate(\.h5)?")
    if not stem.parent.is_dir():
        return []
    found = [(m, p) for p in stem.parent.iterdir() if (m := pattern.fullmatch(p.name))]
    ages = sorted((p.stat().st_mtime_ns, int(m.group(1)), p) for m, p in found)
    return [p for *_, p in ages][::-1]


def free(name: str) -> Path:
    """Return a folder in runs/ that no run has taken."""
    for number in range(1, 10000):
        path = Path("runs", name if number == 1 else f"{name}-{number}")
        if not path.exists():
            return path
    raise UsageError(f"runs/{name} and its like are taken", fix="--out RUN")


def record(path: str | os.PathLike[str]) -> Record:
    """Return the figures in a log, an event file, or a run's folder that holds one.

    Errors: UsageError for a folder without events and for a file that cannot be read, FormatError
    for a file without a run.
    """
    file = Path(path)
    if file.is_dir():
        if not (file / EVENTS).is_file():
            raise UsageError(
                f"is a folder without {EVENTS}",
                where=str(path),
                expected=f"a run's folder, its {EVENTS}, or a log",
            )
        file = file / EVENTS
    found = events.record(file) if file.suffix == ".jsonl" else caffe_log.record(file)
    if not (found.train or found.tests or found.loss):
        raise FormatError(
            "holds no training run",
            where=str(file),
            expected="lines such as 'Iteration 100, loss = 0.25', or events of minidl train",
        )
    return found
