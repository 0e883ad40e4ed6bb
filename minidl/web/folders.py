"""What lies in a folder, for those who choose one in a form."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from minidl.web import paths
from minidl.web.problems import Unusable

MOST = 2000


def listing(roots: Sequence[Path], root: Path, name: str) -> dict[str, Any]:
    """Return {"path", "parent", "folders", "files", "more", "roots"} of a folder below the roots.

    name   as `paths.readable` takes it; "" for the roots themselves
    """
    tops = [str(path) for path in roots]
    if not name:
        return _answer("", None, tops, [], 0, tops)
    path = paths.readable(roots, name, root)
    if not path.is_dir():
        raise Unusable("is not a folder", where=name, field="path")
    folders, files = [], []
    with contextlib.suppress(OSError), os.scandir(path) as found:
        for item in found:
            if item.name.startswith("."):
                continue
            with contextlib.suppress(OSError):
                if item.is_dir():
                    folders.append(item.name)
                elif item.is_file():
                    files.append({"name": item.name, "bytes": item.stat().st_size})
    folders.sort(key=str.casefold)
    files.sort(key=lambda one: str(one["name"]).casefold())
    more = max(0, len(folders) - MOST) + max(0, len(files) - MOST)
    parent = str(path.parent) if paths.within(roots, path.parent) else None
    return _answer(str(path), parent, folders[:MOST], files[:MOST], more, tops)


def _answer(
    path: str, parent: str | None, folders: list[str], files: list[Any], more: int, roots: list[str]
) -> dict[str, Any]:
    facts = {"path": path, "parent": parent, "folders": folders, "files": files}
    return {**facts, "more": more, "roots": roots}
