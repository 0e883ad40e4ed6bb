"""What a run of `minidl train` leaves in its folder so that its net can be used."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from minidl.errors import UsageError

NET, DESCRIPTION = "trained_net.prototxt", "preprocess.json"
_WEIGHTS = re.compile(r".*_iter_(\d+)\.caffemodel(\.h5)?")


class Run(NamedTuple):
    """Paths of a run's net, of its last weights, and of what it does to pictures, if to any."""

    net: Path
    weights: Path
    description: Path | None


def find(folder: str | os.PathLike[str], weights: str | os.PathLike[str] | None = None) -> Run:
    """The files in the folder of a run.

    weights   in place of those that were written last

    Errors: UsageError for a folder that is absent, of no run, or of one that has not come far.
    """
    run = Path(folder)
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
    return Run(
        run / NET,
        Path(weights) if weights else latest_weights(run),
        description if description.is_file() else None,
    )


def latest_weights(run: Path) -> Path:
    """The weights that were written last into the folder of a run."""
    found = [(m, p) for p in run.iterdir() if (m := _WEIGHTS.fullmatch(p.name))]
    if not found:
        raise UsageError(
            "holds no weights yet (PREFIX_iter_N.caffemodel)",
            where=str(run),
            fix="train further, or give --weights FILE",
        )
    return max(found, key=lambda pair: (pair[1].stat().st_mtime_ns, int(pair[0].group(1))))[1]
