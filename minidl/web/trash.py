"""Jobs thrown away, and brought back: a folder renamed, and a note of where it was."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from minidl.web import paths
from minidl.web.problems import Conflict, NotFound

NAME = f"{paths.HIDDEN}/trash"


def put(root: Path, name: str) -> str:
    """Move the folder of a job to the trash; return what it is called there."""
    place = root / NAME
    place.mkdir(parents=True, exist_ok=True)
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{paths.slug(name)}"
    taken = sum(other.name.startswith(stem) for other in place.iterdir())
    called = f"{stem}-{taken + 1}" if taken else stem
    note = place / f"{called}.json"
    note.write_text(json.dumps({"id": name, "time": time.time()}), "utf-8")
    try:
        os.rename(root / name, place / called)
    except OSError:
        note.unlink(missing_ok=True)
        raise
    return called


def restore(root: Path, called: str) -> str:
    """Move a job back to where it was; return its id. Errors: NotFound; Conflict if another job is
    there now."""
    place = paths.inside(root / NAME, called)
    note = place.with_name(f"{place.name}.json")
    if place.parent != root / NAME or not place.is_dir() or not note.is_file():
        raise NotFound("is not in the trash", where=called)
    name = str(json.loads(note.read_text("utf-8"))["id"])
    folder = paths.inside(root, name)
    if folder.exists():
        raise Conflict("another job is there now", where=name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    os.rename(place, folder)
    note.unlink()
    return name


def listing(root: Path) -> list[dict[str, Any]]:
    """Return what is in the trash, newest first: {"trash", "id", "time"}."""
    found = []
    for note in (root / NAME).glob("*.json") if (root / NAME).is_dir() else ():
        try:
            facts = json.loads(note.read_text("utf-8"))
            found.append({"trash": note.stem, "id": str(facts["id"]), "time": float(facts["time"])})
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return sorted(found, key=lambda one: -one["time"])
