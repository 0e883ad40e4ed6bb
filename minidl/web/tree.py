"""Folders below the root that hold jobs, found, and looked at again for what has changed.

A folder is of interest if it holds job.json, or events.jsonl (a run of an older minidl), or a log
beside a solver's prototxt (a run of Caffe), or a data set. A folder's list is read again only when
its time of change says so; so a look at 500 runs is a few thousand calls of stat.
"""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from minidl.runs import job, store

DEPTH = 6
MOST = 50_000  # folders that are looked at
FRESH_S = 2.0  # a list read so soon after its folder's change may lack what came in that moment
SKIPPED = {"node_modules", "__pycache__", "site-packages", "venv", "build", "dist", "samples"}
LOG = re.compile(r".*\.log|.*\.INFO.*|.*\.INFO")
FACTS = (job.JOB, job.STATUS, store.EVENTS, "dataset.json", "evaluation.json", "layers.json")
DATA_SET = "preprocess.json"  # with a train_lmdb beside it: a data set of an older minidl

Signature = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True)
class Entry:
    """A folder of interest.

    id          its path relative to the root, with '/'
    signature   name, inode, size and time of change of each file that its summary comes from
    files       names of its files when its list was read
    """

    id: str
    folder: Path
    signature: Signature
    files: frozenset[str] = field(compare=False)

    @property
    def adopted(self) -> bool:
        """Whether no job.json says what it is: it is shown, and never changed."""
        return job.JOB not in self.files

    @property
    def events(self) -> Path | None:
        """Its events.jsonl, else the newest log of an adopted run."""
        if store.EVENTS in self.files:
            return self.folder / store.EVENTS
        logs = [name for name, *_ in self.signature if LOG.fullmatch(name)]
        return self.folder / logs[0] if logs and self.adopted else None

    @property
    def runs(self) -> bool:
        """Whether an adopted folder is a run, not a data set."""
        return self.events is not None or DATA_SET not in self.files


@dataclass
class _Listing:
    """What a folder held when its list was read."""

    changed: int
    read: float
    folders: list[str]
    files: frozenset[str]


class Tree:
    """The jobs below a root. `look` brings it up to date; call it in one thread at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.entries: dict[str, Entry] = {}
        self.truncated = False
        self._listings: dict[str, _Listing] = {}

    def look(self) -> tuple[set[str], set[str]]:
        """Look at the folders again; return ids of jobs that are new or changed, and of gone ones.

        A job has changed if one of its files has; a process that died changes none.
        """
        found: dict[str, Entry] = {}
        listings: dict[str, _Listing] = {}
        waiting: list[tuple[str, int]] = [("", 0)]
        while waiting and len(listings) < MOST:
            name, depth = waiting.pop()
            listing = self._list(name)
            if listing is None:
                continue
            listings[name] = listing
            if name and (entry := self._entry(name, listing)):
                found[name] = entry
            if depth < DEPTH:
                prefix = f"{name}/" if name else ""
                waiting += [(prefix + child, depth + 1) for child in listing.folders]
        before = self.entries
        changed = {name for name, entry in found.items() if before.get(name) != entry}
        self.entries, self._listings, self.truncated = found, listings, bool(waiting)
        return changed, before.keys() - found.keys()

    def _list(self, name: str) -> _Listing | None:
        path = self.root / name if name else self.root
        try:
            changed = os.stat(path, follow_symlinks=not name).st_mtime_ns
            known = self._listings.get(name)
            if known and known.changed == changed and known.read - changed / 1e9 > FRESH_S:
                return known
            folders, files, now = [], [], time.time()
            with os.scandir(path) as found:
                for item in found:
                    if item.is_dir(follow_symlinks=False):
                        if _worth_a_look(item.name):
                            folders.append(item.name)
                    else:
                        files.append(item.name)
        except OSError:
            return None  # gone, or not ours to read
        return _Listing(changed, now, sorted(folders), _kept(files, folders))

    def _entry(self, name: str, listing: _Listing) -> Entry | None:
        files, folder = listing.files, self.root / name
        if job.JOB in files or store.EVENTS in files:
            names = [fact for fact in FACTS if fact in files]
        elif logs := [file for file in files if LOG.fullmatch(file)]:
            names = [_newest(folder, logs)]
        elif DATA_SET in files:
            names = [DATA_SET]
        else:
            return None
        found = []
        for file in names:
            try:
                facts = os.stat(folder / file)
            except OSError:
                continue
            found.append((file, facts.st_ino, facts.st_size, facts.st_mtime_ns))
        return Entry(name, folder, tuple(found), files) if found else None


def _worth_a_look(name: str) -> bool:
    return not (name.startswith(".") or name in SKIPPED or name.endswith("_lmdb"))


def _kept(files: list[str], folders: list[str]) -> frozenset[str]:
    """Return the names of files that make a folder one of interest; () for any other."""
    names = frozenset(files)
    if job.JOB in names or store.EVENTS in names:
        return names & {*FACTS, DATA_SET}
    if any(name.endswith("solver.prototxt") for name in names):
        logs = {name for name in names if LOG.fullmatch(name)}
        if logs:
            return frozenset(logs)
    return names & {DATA_SET} if "train.txt" in names or "labels.txt" in names else frozenset()


def _newest(folder: Path, names: list[str]) -> str:
    def age(name: str) -> tuple[int, str]:
        try:
            return os.stat(folder / name).st_mtime_ns, name
        except OSError:
            return 0, name

    return max(names, key=age)
