"""What was worked out once of job folders, in SQLite: a cache, which may be deleted at any time.

    facts     of a job's event file: its best and last figures, by the file's size and time
    figures   all curves of a large one

No error of SQLite stops anything: the file is made anew once, and then done without.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

VERSION = 1  # of what is stored; another one is thrown away
TABLES = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
CREATE TABLE IF NOT EXISTS facts (id TEXT PRIMARY KEY, mark TEXT NOT NULL, facts TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS figures (id TEXT PRIMARY KEY, state TEXT NOT NULL, data BLOB NOT NULL);
"""
SUFFIXES = ("", "-wal", "-shm")


class Index:
    """The cache. All methods may be called from any thread."""

    def __init__(self, path: Path) -> None:
        self.path, self._lock = path, threading.Lock()
        self._base: sqlite3.Connection | None = None

    def facts(self, name: str, mark: str) -> dict[str, Any] | None:
        """Return the facts of a job that were stored with the same mark."""
        query = "SELECT facts FROM facts WHERE id = ? AND mark = ?"
        rows = self._do(lambda base: base.execute(query, (name, mark)).fetchall(), [])
        return json.loads(rows[0][0]) if rows else None

    def keep_facts(self, name: str, mark: str, facts: dict[str, Any]) -> None:
        """Store the facts of a job."""
        values = (name, mark, json.dumps(facts))
        self._do(lambda base: base.execute("REPLACE INTO facts VALUES (?, ?, ?)", values), None)

    def figures(self, name: str) -> tuple[str, bytes] | None:
        """Return the curves of a job that were stored last."""
        query = "SELECT state, data FROM figures WHERE id = ?"
        rows = self._do(lambda base: base.execute(query, (name,)).fetchall(), [])
        return (rows[0][0], rows[0][1]) if rows else None

    def keep_figures(self, name: str, state: str, data: bytes) -> None:
        """Store the curves of a job."""
        values = (name, state, data)
        self._do(lambda base: base.execute("REPLACE INTO figures VALUES (?, ?, ?)", values), None)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._close()

    def _do(self, work: Callable[[sqlite3.Connection], Any], otherwise: Any) -> Any:
        """Return what `work` makes of the open file; try once more with a new one."""
        with self._lock:
            for afresh in (False, True):
                try:
                    if afresh:
                        self._close()
                        self._remove()
                    elif not self.path.exists():  # somebody has deleted it
                        self._close()
                    base = self._opened()
                    with base:
                        return work(base)
                except (sqlite3.Error, OSError, ValueError):
                    continue
            return otherwise

    def _opened(self) -> sqlite3.Connection:
        if self._base is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            base = sqlite3.connect(self.path, check_same_thread=False, timeout=2.0)
            self._base = base
            version = base.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, VERSION):
                raise sqlite3.DatabaseError(f"is of version {version}")
            base.executescript(TABLES)
            base.execute(f"PRAGMA user_version = {VERSION}")
        return self._base

    def _close(self) -> None:
        if self._base is not None:
            with contextlib.suppress(sqlite3.Error):
                self._base.close()
            self._base = None

    def _remove(self) -> None:
        for suffix in SUFFIXES:
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
