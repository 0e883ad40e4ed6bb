"""What `minidl serve --demo` puts into the queue: LeNet on the digits that scikit-learn carries."""

from __future__ import annotations

import os
import time
from pathlib import Path

from minidl.runs import job
from minidl.web import queue, zoo

DATA, RUN = "data/digits", "runs/lenet_digits"  # where the zoo's solver has them
SOLVER = "lenet/digits_solver.prototxt"
OFTEN = ("--set", "display=5", "--set", "test_interval=25")  # so that the curves grow in sight
LOOKS = ("--histograms", "2", "--samples", "2")  # epochs between two


def begin(root: Path, place: float) -> None:
    """Make the jobs of the demonstration that are not there yet, to wait for their turn."""
    _make(root, DATA, ("dataset", "digits", "--out", DATA), "digits", "dataset", place, {})
    # A net this small gains little by a second thread, and loses much where cores are busy.
    words = ("train", str(zoo.folder() / SOLVER), "--threads", "1", *OFTEN, *LOOKS)
    _make(root, RUN, words, "LeNet on digits", "train", place + 0.001, {"data": root / DATA})


def _make(
    root: Path,
    folder: str,
    argv: tuple[str, ...],
    name: str,
    kind: str,
    place: float,
    needs: dict[str, Path],
) -> None:
    path = root / folder
    if path.exists():
        return
    path.mkdir(parents=True)
    made = job.Job(
        kind,
        argv,
        cwd=os.path.relpath(root, path),
        name=name,
        group="demo",
        needs=job.relative(path, needs),
        created=round(time.time(), 3),
    )
    queue.create(path, made, place, {})
