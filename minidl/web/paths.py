"""Names that come from outside, made paths inside the folders that are served, or refused.

A name is resolved first, with all its links, and has to lie inside afterwards: neither `..` nor an
absolute name nor a symbolic link leads out.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from minidl.errors import legible
from minidl.web.problems import Forbidden, NotFound, Refused

HIDDEN = ".minidl"  # below the root: index, trash, uploads
LONGEST = 1024  # characters of a path


def inside(folder: Path, name: str) -> Path:
    """Return the path of what `name` is in a folder; it need not exist.

    folder   resolved
    name     relative, with '/'

    Errors: Forbidden where it leads outside, Refused for what is no name.
    """
    _check(name)
    if name.startswith("/") or "\\" in name or (os.name == "nt" and ":" in name):
        raise Forbidden("is not a relative path with '/'", where=legible(name))
    path = _resolved(folder / name)
    if path != folder and folder not in path.parents:
        raise Forbidden("leads outside the folder", where=legible(name), expected=str(folder))
    return path


def job_folder(root: Path, name: str) -> Path:
    """Return the folder of the job with this id. Errors: NotFound; those of `inside`."""
    path = inside(root, name)
    parts = name.split("/")
    if not name or any(part in ("", ".", "..") for part in parts):
        raise NotFound("there is no such job", where=legible(name))
    if any(part.startswith(".") for part in parts) or not path.is_dir():
        raise NotFound("there is no such job", where=legible(name))
    return path


def file_of(folder: Path, name: str) -> Path:
    """Return the path of a regular file in a folder. Errors: NotFound; those of `inside`."""
    path = inside(folder, name)
    if not path.is_file():
        raise NotFound("there is no such file", where=legible(name))
    return path


def readable(roots: Sequence[Path], name: str, base: Path) -> Path:
    """Return the path of something that a form names: below one of the roots, which are resolved.

    name   absolute, relative to `base`, or beginning with ~

    Errors: Forbidden, with the roots, where it is elsewhere; NotFound where nothing is there.
    """
    _check(name)
    if not name.strip():
        raise Refused("a path is missing")
    path = _resolved(base / os.path.expanduser(name.strip()))
    if not within(roots, path):
        raise Forbidden(
            "is outside the folders that this server may read",
            where=legible(name),
            expected=", ".join(map(str, roots)),
            fix="minidl serve --data-root DIR",
        )
    if not path.exists():
        raise NotFound("there is nothing of this name", where=legible(name))
    return path


def within(roots: Iterable[Path], path: Path) -> bool:
    """Return whether a resolved path is one of the roots, or below one."""
    return any(path == root or root in path.parents for root in roots)


def shown(path: Path, root: Path) -> str:
    """Return a path for a command line that runs in `root`: relative below it, else absolute."""
    path = _resolved(path)
    if path == root:
        return "."
    return path.relative_to(root).as_posix() if root in path.parents else str(path)


def slug(name: str, otherwise: str = "job") -> str:
    """Return a name as that of a folder.

    >>> slug("My pets: déjà vu!")
    'my-pets-deja-vu'
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9_.]+", "-", plain.lower()).strip("-._")
    return words[:60].rstrip("-._") or otherwise


def free(parent: Path, name: str) -> Path:
    """Make a folder in `parent` that nobody has taken, NAME, NAME-2, ..., and return its path."""
    parent.mkdir(parents=True, exist_ok=True)
    for number in range(1, 100_000):
        path = parent / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise Refused(f"{name} and its like are taken", where=str(parent))


def _check(name: str) -> None:
    if len(name) > LONGEST:
        raise Refused(f"is a path of {len(name):,} characters", expected=f"{LONGEST} at most")
    if any(ord(c) < 32 or ord(c) == 127 for c in name):
        raise Refused("holds a control character", where=legible(name))


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a circle of links, a lone surrogate
        raise Refused(f"cannot be resolved: {error}", where=legible(str(path))) from None
