"""Find the snapshot to resume from."""

from __future__ import annotations

import logging
from pathlib import Path

from minidl.cli.arguments import existing
from minidl.errors import MinidlError, UsageError
from minidl.runs import store

log = logging.getLogger("minidl")

LATEST = "latest"


def resolve(snapshot: str, prefix: str) -> Path:
    """Return the solverstate named by ``-snapshot``: a file, or "latest", the newest complete one.

    For a caffemodel or a bare prefix in its place, the error names the right file.
    """
    if snapshot == LATEST:
        return latest(prefix)
    what = "a .solverstate, or 'latest'"
    _refuse_prefix(snapshot, what)
    path = existing(snapshot, what)
    if path.name.endswith((".caffemodel", ".caffemodel.h5")):
        stem, _, end = path.name.rpartition(".caffemodel")
        raise UsageError(
            "holds weights only, not the state of a run",
            where=str(path),
            expected="a .solverstate",
            fix=f"-snapshot {path.with_name(f'{stem}.solverstate{end}')} to resume, or -weights "
            f"{path} to start a new run from these weights",
        )
    return path


def _refuse_prefix(snapshot: str, expected: str) -> None:
    """Name the solverstate meant by a path without its ending or its iteration."""
    if Path(snapshot).exists():
        return
    named = [Path(f"{snapshot}.solverstate{end}") for end in ("", ".h5")]
    found = [path for path in named if path.is_file()] or store.states(snapshot)
    if found:
        raise UsageError(
            "there is no such file", where=snapshot, expected=expected, fix=f"-snapshot {found[0]}"
        )


def latest(prefix: str) -> Path:
    """Return this prefix's latest solverstate that is complete, weights included.

    The newest run's counts: an older one may have got further. Of two of one time the one with
    the higher iteration counts. Damaged ones are skipped with a warning: they can only come
    from outside, for snapshots appear whole or not at all.
    """
    from minidl.storage import snapshot, weight_files

    for path in store.states(prefix):
        try:
            weight_files.read(snapshot.weights_path(snapshot.read(path), path))
            return path
        except MinidlError as error:
            log.warning("skipped a snapshot: %s", error)
    raise UsageError(
        f"there is no complete snapshot {prefix}_iter_N.solverstate, nor .solverstate.h5",
        where="-snapshot latest",
        fix="leave out -snapshot to start from the beginning",
    )
