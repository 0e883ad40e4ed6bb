"""Uploads and files that last for one question, below ROOT/.minidl."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from minidl.web import paths

UPLOADS = f"{paths.HIDDEN}/uploads"
KEPT_S = 7 * 86400.0  # for uploads


def folder(root: Path) -> Path:
    """Make a new folder for uploads; nobody can guess its name."""
    forget(root, time.time() - KEPT_S)
    path = root / UPLOADS / secrets.token_hex(8)
    path.mkdir(parents=True)
    return path


@contextlib.contextmanager
def passing(root: Path) -> Iterator[Path]:
    """Enter a new folder, which is removed at the end of the block."""
    path = folder(root)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def forget(root: Path, before: float) -> None:
    """Remove uploads that are older than a moment."""
    with contextlib.suppress(OSError):
        for path in (root / UPLOADS).iterdir():
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < before and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
