"""Files of job folders: sent as they are, their text in parts, their lines searched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.responses import FileResponse, Response

from minidl.web.problems import NotFound
from minidl.web.tree import LOG, Entry

OUTPUT = "output.txt"  # what a job that the server started has printed
PART = 1 << 16  # bytes of a log that are sent at a time
MOST = 1 << 20
MATCHES = 500
SHOWN = 400  # characters of a line that is found

# Types that a browser may show; all others are downloads or plain text. Whatever the type says,
# the policy lets nothing in a file run.
TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".csv": "text/csv; charset=utf-8",
    ".pdf": "application/pdf",
}
TEXTS = {".txt", ".log", ".prototxt", ".jsonl", ".md", ".html", ".py", ".js", ".css", ".yaml", ""}
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


def send(path: Path, download: bool) -> Response:
    """Return a file as a response, shown or to be saved."""
    suffix = path.suffix.lower()
    kind = TYPES.get(suffix)
    if kind is None:
        text = suffix in TEXTS or LOG.fullmatch(path.name)
        kind = "text/plain; charset=utf-8" if text else "application/octet-stream"
    headers = {"content-security-policy": POLICY, "cache-control": "no-cache"}
    headers["content-disposition"] = disposition(path.name, download)
    return FileResponse(path, media_type=kind, headers=headers)


def disposition(name: str, download: bool = True) -> str:
    """Return a Content-Disposition with a file's name."""
    how = "attachment" if download else "inline"
    return f"{how}; filename*=UTF-8''{quote(name, safe='')}"


def logs(entry: Entry) -> list[str]:
    """Return the names of a job's logs: the newest one first, then what it printed."""
    found = []
    try:
        for path in entry.folder.iterdir():
            if LOG.fullmatch(path.name) and path.is_file() and not path.is_symlink():
                found.append((path.stat().st_mtime_ns, path.name))
    except OSError:
        pass
    names = [name for _, name in sorted(found, reverse=True)]
    return [*names, OUTPUT] if (entry.folder / OUTPUT).is_file() else names


def log(entry: Entry, name: str) -> Path:
    """Return the path of one of a job's logs, or of the first. Errors: NotFound."""
    names = logs(entry)
    if not names or (name and name not in names):
        raise NotFound("has no such log", where=entry.id, expected=", ".join(names) or "none yet")
    return entry.folder / (name or names[0])


def part(path: Path, offset: int, limit: int) -> dict[str, Any]:
    """Return text of a file in whole lines: {"text", "offset", "start", "size"}.

    offset   a byte; below 0 it counts from the end. The answer's is the one to go on from
    """
    size = path.stat().st_size
    limit = max(1, min(limit, MOST))
    start = max(0, size + offset) if offset < 0 else min(offset, size)
    with open(path, "rb") as file:
        if offset < 0 and start:
            file.seek(start - 1)
            start = start - 1 + len(file.readline(MOST))
        file.seek(start)
        data = file.read(limit)
        if start + len(data) < size or not data.endswith(b"\n"):
            cut = data.rfind(b"\n") + 1
            if not cut and len(data) == limit:  # one long line
                cut = limit
            data = data[:cut]
    text = data.decode("utf-8", "replace")
    return {"text": text, "offset": start + len(data), "start": start, "size": size}


def search(path: Path, words: str, limit: int = MATCHES) -> list[dict[str, Any]]:
    """Return the lines that hold some words, in any case: {"offset", "line", "text"}."""
    wanted, found, offset = words.casefold(), [], 0
    with open(path, "rb") as file:
        number = 0
        while line := file.readline(MOST):
            number += 1
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            if wanted in text.casefold():
                found.append({"offset": offset, "line": number, "text": text[:SHOWN]})
                if len(found) == limit:
                    break
            offset += len(line)
    return found


def histograms(folder: Path, places: list[tuple[int, int, int]], name: str) -> dict[str, Any]:
    """Return the histograms of one blob over time, or the names of all.

    places   iteration, byte and size of lines in histograms.jsonl
    """
    path = folder / "histograms.jsonl"
    found: dict[str, Any] = {"iters": [], "rows": []} if name else {"names": [], "blobs": []}
    try:
        with open(path, "rb") as file:
            for iteration, at, size in places if name else places[-1:]:
                file.seek(at)
                blobs = _blobs(file.read(min(size, 1 << 24)))
                if not name:
                    found["names"] = [blob.get("name") for blob in blobs]
                    facts = ("name", "kind", "layer", "shape")
                    found["blobs"] = [{f: blob.get(f) for f in facts} for blob in blobs]
                for blob in blobs if name else ():
                    if blob.get("name") == name:
                        found["iters"].append(iteration)
                        found["rows"].append(blob)
    except OSError:
        pass
    return found


def _blobs(text: bytes) -> list[dict[str, Any]]:
    try:
        found = json.loads(text).get("blobs")
        return [blob for blob in found if isinstance(blob, dict)]
    except (ValueError, AttributeError, TypeError, RecursionError):
        return []
