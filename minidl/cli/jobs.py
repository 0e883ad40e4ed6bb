"""The job of a command line: `minidl.runs.job` with what the command line knows."""

from __future__ import annotations

import os
import platform
from argparse import Namespace
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from minidl.runs import job

Paths = Mapping[str, str | os.PathLike[str]]


def running(
    args: Namespace, folder: str | os.PathLike[str], needs: Paths | None = None
) -> AbstractContextManager[job.Report]:
    """Keep job.json and status.json of `folder` while the command of `args` writes there.

    needs   folders of other jobs that it reads, by role: {"data": "data/pets"}
    """
    import minidl

    place = Path(folder)
    versions = {"minidl": minidl.__version__, "python": platform.python_version()}
    return job.running(
        place,
        job.Job(
            args.command,
            tuple(args.line),
            needs=job.relative(place, needs or {}),
            versions=versions,
        ),
    )
