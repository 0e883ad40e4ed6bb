"""Download files whose size and checksum are known, resuming where an earlier try ended."""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from minidl.errors import DataError
from minidl.storage.files import sha256

log = logging.getLogger("minidl")
CHUNK = 1 << 16
TIMEOUT_S = 30


class Remote(NamedTuple):
    """A file to download: its name, its size in bytes, the SHA-256 of its contents."""

    name: str
    size: int
    sha256: str


def fetch(file: Remote, bases: Sequence[str], folder: Path, progress: bool = True) -> Path:
    """Return the file below `folder`, from the first mirror that delivers it complete.

    bases     URL prefixes of the file's name, one for each mirror
    progress  show a bar

    A partial file is kept as NAME.part; the next try, here or in another run, asks for the rest
    only. A file with another checksum is deleted. Errors: DataError listing what each mirror
    answered.
    """
    path, part = folder / file.name, folder / f"{file.name}.part"
    if path.is_file() and sha256(path) == file.sha256:
        return path
    failures = []
    for base in bases:
        url = base + file.name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _continue(url, part, file, progress)
            os.replace(part, path)
        except (OSError, http.client.HTTPException, DataError) as error:
            failures.append(f"{url}: {error}")
            log.info("%s", failures[-1])
            continue
        log.info("Downloaded %s", url)
        return path
    raise DataError(
        f"{file.name} could not be downloaded\n    " + "\n    ".join(failures),
        where=str(folder),
        fix="try again (it resumes where it stopped), or get the files elsewhere and use --from",
    )


def _continue(url: str, part: Path, file: Remote, progress: bool) -> None:
    """Bring `part` to its full size and check it."""
    have = part.stat().st_size if part.exists() else 0
    if have > file.size:
        part.unlink()
        have = 0
    if have < file.size:
        _transfer(url, part, have, file, progress)
    found = sha256(part)
    if found != file.sha256:
        part.unlink()
        raise DataError(f"has the SHA-256 {found}, expected {file.sha256}")


def _transfer(url: str, part: Path, have: int, file: Remote, progress: bool) -> None:
    headers = {"User-Agent": "minidl"} | ({"Range": f"bytes={have}-"} if have else {})
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
        if have and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            have = 0  # a server without support for ranges sends all of it
        with open(part, "ab" if have else "wb") as target, _bar(file, have, progress) as advance:
            while block := answer.read(CHUNK):
                have += len(block)
                if have > file.size:
                    break
                target.write(block)
                advance(len(block))
    if have > file.size:
        part.unlink()
        raise DataError(f"sends more than the {file.size} bytes expected")
    if have < file.size:
        raise DataError(f"ended after {have} of {file.size} bytes")


@contextlib.contextmanager
def _bar(file: Remote, have: int, progress: bool) -> Iterator[Callable[[int], object]]:
    """Show a progress bar; yield the function that advances it."""
    if not progress:
        yield lambda count: None
        return
    from tqdm import tqdm

    with tqdm(
        total=file.size, initial=have, unit="B", unit_scale=True, desc=file.name, leave=False
    ) as bar:
        yield bar.update
