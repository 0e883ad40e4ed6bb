"""The files of the pages' own: scripts, styles, drawings.

A page has some twenty of them, each of a few kilobytes. They are read in the event loop: that takes
less time than handing the work to a thread, by far on a busy machine.
"""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from minidl.web.paths import file_of

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class Assets:
    """The files below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    async def send(self, request: Request) -> Response:
        """Return a file, or 304 if the browser has it. Errors: NotFound, Forbidden."""
        path = file_of(self.folder, request.path_params["name"])
        facts = path.stat()
        mark = f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"'
        headers = {"etag": mark}
        if request.headers.get("if-none-match") == mark:
            return Response(status_code=304, headers=headers)
        kind = TYPES.get(path.suffix, "text/plain; charset=utf-8")
        return Response(path.read_bytes(), media_type=kind, headers=headers)
