"""The server: a socket, uvicorn without its clock, and an end that leaves the jobs alone."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from minidl.errors import UsageError
from minidl.web.paths import HIDDEN

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows: people have to take care themselves
    fcntl = None

TRIES = 50  # ports after the first one
GRACE_S = 1  # for answers under way when the server ends


def bound(host: str, port: int, exactly: bool) -> socket.socket:
    """Return a socket that listens at a port, or at the next free one unless `exactly`.

    Errors: UsageError where the address is not this machine's, or the port is taken.
    """
    for number in range(port, port + (1 if exactly or not port else TRIES)):
        try:
            family = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0][0]
            made = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            raise UsageError(f"--host {host}: {error.strerror or error}") from None
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((host, number))
            made.listen(128)
            return made
        except OSError as error:
            made.close()
            reason = error.strerror or str(error)
        except OverflowError:
            made.close()
            raise UsageError(f"--port is {port}", expected="0 to 65535") from None
    raise UsageError(f"cannot listen at {host}:{port}: {reason}", fix="--port with another number")


@contextlib.contextmanager
def alone(root: Path, address: str) -> Iterator[None]:
    """Be the only server of a root while the block runs: two would start each job twice.

    Errors: UsageError with the address of the other one.
    """
    place = root / HIDDEN
    place.mkdir(exist_ok=True)
    with open(place / "server", "a+", encoding="utf-8") as file:
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise UsageError(
                "another server is at work in this folder",
                where=str(root),
                fix=f"open {file.read().strip() or 'that one'}",
            ) from None
        file.seek(0)
        file.truncate()
        file.write(address)
        file.flush()
        yield


class Server(uvicorn.Server):
    """uvicorn, which sleeps until something happens: its own loop wakes ten times a second."""

    async def main_loop(self) -> None:
        self._end = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        await self.on_tick(0)  # the headers of every answer
        if not self.should_exit:
            await self._end.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._captured_signals.clear()  # an end that was asked for is no failure
        if hasattr(self, "_end"):
            self._loop.call_soon_threadsafe(self._end.set)


def serve(app: Any, listening: socket.socket) -> None:
    """Serve until Ctrl-C or SIGTERM."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        lifespan="on",
        http="h11",
        ws="none",
        loop="asyncio",
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=75,
    )
    Server(config).run(sockets=[listening])
