"""Find the snapshot to go on from."""

from __future__ import annotations

import logging
from pathlib import Path

from minidl.cli.arguments import existing
from minidl.errors import MinidlError, UsageError
from minidl.runs import store

log = logging.getLogger("minidl")

LATEST = "latest"


def resolve(snapshot: str, prefix: str) -> Path:
    """The solverstate that ``-snapshot`` means: a file, or "latest", the newest whole one.

    A caffemodel given for its solverstate, or a bare prefix, is put right in the message.
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
            fix=f"-snapshot {path.with_name(f'{stem}.solverstate{end}')} to go on, or -weights "
            f"{path} to start a new run from these weights",
        )
    return path


def _refuse_prefix(snapshot: str, expected: str) -> None:
    """Name the solverstate that a path without its ending or its iteration stands for."""
    if Path(snapshot).exists():
        return
    named = [Path(f"{snapshot}.solverstate{end}") for end in ("", ".h5")]
    found = [path for path in named if path.is_file()] or store.states(snapshot)
    if found:
        raise UsageError(
            "there is no such file", where=snapshot, expected=expected, fix=f"-snapshot {found[0]}"
        )


def latest(prefix: str) -> Path:
    """The solverstate of this prefix that was written last and is whole, weights included.

    The newest run's, then: an older one may have come further. Of two of one time the one with
    the higher iteration counts. Damaged ones are passed over with a warning: they can only come
    from outside, for snapshots appear whole or not at all.
    """
    for path in store.states(prefix):
        try:
            _read_through(path)
            return path
        except MinidlError as error:
            log.warning("passed over a snapshot: %s", error)
    raise UsageError(
        f"there is no whole snapshot {prefix}_iter_N.solverstate, nor .solverstate.h5",
        where="-snapshot latest",
        fix="leave out -snapshot to start from the beginning",
    )


def _read_through(path: Path) -> None:
    from minidl.storage import snapshot, weight_files

    weight_files.read(snapshot.weights_path(snapshot.read(path), path))
