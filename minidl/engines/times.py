"""Measured times of plans: a table that can be kept in a file."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

log = logging.getLogger("minidl")

VARIABLE = "MINIDL_TUNING"
FORMAT = 1

Times = dict[str, float]  # candidate -> milliseconds


def file() -> Path | None:
    """Return where times are kept: what the environment says, else the user's cache folder.

    None, with a warning, where there is no home to keep them in.
    """
    if named := os.environ.get(VARIABLE):
        return Path(named)
    caches = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        # A relative path is to be ignored, says the XDG Base Directory Specification.
        folder = caches if caches.is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        log.warning("times of plans are not kept: there is no home folder; set %s", VARIABLE)
        return None
    return folder / "minidl" / "tuning.json"


@functools.cache
def table(path: Path | None) -> Table:
    """Return the table of a file, read once in a process; None: one in memory alone."""
    return Table(path)


class Table:
    """Times by problem and candidate.

    In the file they are JSON: {"format": 1, "milliseconds": {problem: {candidate: number}}}. A
    file that cannot be used is said to be so, and replaced as soon as there is something to write.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._times = self._read(log.warning)

    def get(self, problem: str) -> Times:
        """Return the known times of a problem's candidates."""
        return self._times.get(problem, {})

    def add(self, problem: str, times: Times) -> None:
        """Remember the times of some candidates of a problem."""
        self._times[problem] = {**self.get(problem), **times}
        if self._path is None:
            return
        # Other processes may have written since: their problems stay, and ours are newer.
        self._times = {**self._read(log.debug), **self._times}
        try:
            _replace(self._path, {"format": FORMAT, "milliseconds": self._times})
        except OSError as error:
            log.warning("times of plans are not kept: %s: %s", self._path, error.strerror)
            self._path = None

    def _read(self, say: Callable[..., None]) -> dict[str, Times]:
        if self._path is None:
            return {}
        try:
            content = json.loads(self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
        except ValueError as error:
            why = f"is damaged: {error}"
        else:
            version = content.get("format") if isinstance(content, dict) else None
            times = content.get("milliseconds") if version == FORMAT else None
            if _is_times(times):
                return cast(dict[str, Times], times)
            why = "is damaged: it holds no times"
            if version != FORMAT:
                why = f"is of format {version!r}, this version of minidl writes {FORMAT}"
        say("plans are measured again: %s %s", self._path, why)
        return {}


def _is_times(times: Any) -> bool:
    return isinstance(times, dict) and all(
        isinstance(each, dict) and all(isinstance(ms, int | float) for ms in each.values())
        for each in times.values()
    )


def _replace(path: Path, content: Any) -> None:
    """Write JSON so that readers see either the old file or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial-{os.getpid()}")
    try:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        os.replace(partial, path)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()
