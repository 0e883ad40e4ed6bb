"""The solver that is to run: its file with the command line's changes, and all that it names."""

from __future__ import annotations

import logging
from argparse import Namespace
from pathlib import Path
from typing import Any

from minidl.cli import models, overrides, snapshots
from minidl.cli.arguments import existing
from minidl.cli.train import nets
from minidl.errors import UsageError

log = logging.getLogger("minidl")


def read(args: Namespace) -> Any:
    """Return the SolverParameter of the file with the command line's changes."""
    from minidl import prototxt
    from minidl.solver import parameters

    param = prototxt.read_solver(existing(args.solver, "a solver's prototxt"))
    overrides.apply(param, args.set)
    models.set_train_state(param, args)
    if args.seed is not None:
        param.random_seed = args.seed
    if args.weights:
        del param.weights[:]
        param.weights.extend(nets.weight_files(args.weights))
    elif args.snapshot:
        if args.snapshot != snapshots.LATEST:
            snapshots.resolve(args.snapshot, "")
        del param.weights[:]  # the snapshot has its own
    parameters.check(param)
    return param


def read_nets(param: Any) -> None:
    """Read everything that the solver names, so that errors come before a file is written.

    The log stays silent: the solver reads the nets again, with the log file open.
    """
    from minidl.solver.nets import Sources

    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        sources = Sources(param)
        sources.training()
        sources.testing()
        sources.weights()
    finally:
        log.setLevel(level)


def prefix(param: Any) -> Path:
    """Return what the paths of snapshots begin with."""
    from minidl.solver import parameters

    return Path(parameters.snapshot_prefix(param))


def make_folder(folder: Path) -> None:
    """Make the folder of snapshot_prefix, which Caffe leaves to the user."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"the folder cannot be made: {reason}", where=f"snapshot_prefix: {folder}"
        ) from None
