"""Server-sent events: what a file gains, and what changes among the jobs, as it happens.

A file is looked at by one `Tail`, however many people watch it, twice a second at most and only
while somebody does. The id of a message is the byte of the file after it; a browser that lost the
connection sends the last one, and misses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

EVERY_S = 0.5  # between two looks at a file, and so between two messages
HEARTBEAT_S = 15.0
WINDOW = 1 << 20  # last bytes of a file that are kept for all who watch
MOST = 1 << 18  # bytes in a message
REMEMBERED = 8  # messages of a file that are kept for all who watch


def message(event: str, data: Any) -> bytes:
    """Return a message in the form that browsers read; a line "id: ..." may come before it."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return f"event: {event}\ndata: {text}\n\n".encode()


HEARTBEAT = b": still here\n\n"


class Tail:
    """A file that grows, as everybody who watches it sees it."""

    def __init__(self, path: Path, every_s: float = EVERY_S) -> None:
        self.path, self.every_s = path, every_s
        self.size = self.identity = self._written = 0
        self.version = 0  # counted up by every change: a replaced file may have its old inode again
        self.watchers = 0
        self._window, self._window_at = b"", 0
        self._made: dict[tuple[int, int], bytes] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[Tail]:
        """Look at the file while somebody is inside."""
        self.watchers += 1
        if self._task is None:
            self.look()
            self._task = asyncio.create_task(self._run())
        try:
            yield self
        finally:
            self.watchers -= 1
            if not self.watchers and self._task:
                self._task.cancel()
                self._task = None
                self._window, self._window_at = b"", 0

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self.every_s)
            if self.look():
                changed, self._changed = self._changed, asyncio.Event()
                changed.set()

    def look(self) -> bool:
        """Look at the file; return whether it has changed."""
        try:
            facts = os.stat(self.path)
            size, identity, written = facts.st_size, facts.st_ino, facts.st_mtime_ns
        except OSError:
            size, identity, written = 0, 0, 0
        if (size, identity, written) == (self.size, self.identity, self._written):
            return False
        if identity != self.identity or size < self.size:
            self._window, self._window_at = b"", 0
            self._made.clear()
        self.size, self.identity, self._written = size, identity, written
        self.version += 1
        return True

    async def change(self, seconds: float) -> bool:
        """Wait for a change, so long at most; return whether there was one."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)
            return True
        return False

    def read(self, offset: int) -> bytes:
        """Return the whole lines from a byte on: the same bytes from memory for all who are near
        the end, else from the file. b"" where there is no whole line yet."""
        if offset >= self.size:
            return b""
        most = MOST
        end = self._window_at + len(self._window)
        if not self._window_at <= offset < end or end < self.size:
            self._fill(offset)
            end = self._window_at + len(self._window)
        if self._window_at <= offset < end:
            part = self._window[offset - self._window_at :][:most]
        else:
            part = self._bytes(offset, most)
        cut = part.rfind(b"\n") + 1
        return part[:cut] if cut or len(part) < most else part  # a line longer than any of ours

    def made(self, key: tuple[int, int], make: Callable[[], bytes]) -> bytes:
        """Return what `make` returns, made once for all who ask with the same key lately."""
        if key not in self._made:
            while len(self._made) >= REMEMBERED:
                self._made.pop(next(iter(self._made)))
            self._made[key] = make()
        return self._made[key]

    def _fill(self, offset: int) -> None:
        """Read what the window lacks, if `offset` is near the end of the file."""
        if self.size - offset > WINDOW:
            return
        end = self._window_at + len(self._window)
        if self._window_at <= offset <= end:
            more = self._bytes(end, self.size - end)
            self._window = (self._window + more)[-WINDOW:]
            self._window_at = end + len(more) - len(self._window)
        else:
            self._window, self._window_at = self._bytes(offset, self.size - offset), offset

    def _bytes(self, offset: int, count: int) -> bytes:
        try:
            with open(self.path, "rb") as file:
                file.seek(offset)
                return file.read(count)
        except OSError:
            return b""


class Tails:
    """The tails of files that are watched, one each."""

    def __init__(self) -> None:
        self._tails: dict[Path, Tail] = {}

    @contextlib.asynccontextmanager
    async def watching(self, path: Path) -> AsyncIterator[Tail]:
        """Enter the one tail of a file."""
        tail = self._tails.setdefault(path, Tail(path))
        try:
            async with tail.watched():
                yield tail
        finally:
            if not tail.watchers:
                self._tails.pop(path, None)

    def __len__(self) -> int:
        return len(self._tails)


def start(asked: str | None, last: str | None) -> tuple[int | None, int | None]:
    """Return the bytes from which to send the events and the log; None for the end.

    asked   ?offset=, of the events
    last    Last-Event-ID: EVENTS or EVENTS:LOG
    """
    events, _, log = (last or asked or "").partition(":")
    return _offset(events), _offset(log)


def _offset(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


async def of_job(
    tails: Tails,
    events: Path,
    status: Path,
    log: Path | None,
    begin: tuple[int | None, int | None],
    summarize: Callable[[], Any],
) -> AsyncIterator[bytes]:
    """Yield the messages of one job for ever: events, log and status.

    log         a file whose lines are sent, too
    begin       of `start`
    summarize   returns what a "status" message holds, when status.json has changed
    """
    async with contextlib.AsyncExitStack() as stack:
        lines = await stack.enter_async_context(tails.watching(events))
        state = await stack.enter_async_context(tails.watching(status))
        words = await stack.enter_async_context(tails.watching(log)) if log else None
        at, log_at = begin
        at = lines.size if at is None or at > lines.size else at
        if words:
            log_at = words.size if log_at is None or log_at > words.size else log_at
        told = lambda: message("status", summarize())  # noqa: E731
        seen = state.version
        yield state.made((seen, state.size), told)
        while True:
            sent = False
            if lines.size < at:  # the file was made anew
                at = 0
            if part := lines.read(at):
                at += len(part)
                sent = True
                yield _id(at, log_at) + lines.made((at, len(part)), partial(_events, part))
            if words and log_at is not None:
                log_at = 0 if words.size < log_at else log_at
                if part := words.read(log_at):
                    log_at += len(part)
                    sent = True
                    data = {"text": part.decode("utf-8", "replace"), "offset": log_at}
                    yield _id(at, log_at) + message("log", data)
            if state.version != seen:
                seen, sent = state.version, True
                yield state.made((seen, state.size), told)
            if sent:
                await asyncio.sleep(EVERY_S)
            elif not await _any(HEARTBEAT_S, *(t for t in (lines, state, words) if t)):
                yield HEARTBEAT


def _id(at: int, log_at: int | None) -> bytes:
    return (f"id: {at}\n" if log_at is None else f"id: {at}:{log_at}\n").encode()


def _events(part: bytes) -> bytes:
    """Return the message with the lines of a part of events.jsonl."""
    found = list(_parsed(part))
    return message("event", found[0]) if len(found) == 1 else message("batch", found)


def _parsed(part: bytes) -> Iterator[Any]:
    """Yield the lines that are JSON."""
    for text in part.split(b"\n"):
        if text.strip():
            with contextlib.suppress(ValueError, RecursionError):
                yield json.loads(text, parse_constant=lambda name: None)


async def _any(seconds: float, *tails: Tail) -> bool:
    """Wait until one of some files changes, so long at most."""
    tasks = [asyncio.ensure_future(tail.change(seconds)) for tail in tails]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return any(task.result() for task in done)
    finally:
        for task in tasks:
            task.cancel()


class Board:
    """What changes among the jobs, told to all who look: `post` once, and everybody gets it.

    Each viewer has at most one message of a kind and id waiting: a slow one skips what is old.
    """

    def __init__(self) -> None:
        self._viewers: set[_Viewer] = set()
        self.some = asyncio.Event()  # set while somebody looks

    def __len__(self) -> int:
        return len(self._viewers)

    def post(self, event: str, key: str, data: Any) -> None:
        """Give a message to everybody."""
        if self._viewers:
            made = message(event, data)
            for viewer in self._viewers:
                viewer.put(event, key, made)

    async def messages(self, joined: Callable[[], None], left: Callable[[], None]) -> Any:
        """Yield messages for one viewer, twice a second at most, for ever."""
        viewer = _Viewer()
        self._viewers.add(viewer)
        self.some.set()
        joined()
        try:
            yield HEARTBEAT
            while True:
                batch = await viewer.get(HEARTBEAT_S)
                yield b"".join(batch) or HEARTBEAT
                await asyncio.sleep(EVERY_S)
        finally:
            self._viewers.discard(viewer)
            if not self._viewers:
                self.some.clear()
            left()


class _Viewer:
    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], bytes] = {}
        self._some = asyncio.Event()

    def put(self, event: str, key: str, made: bytes) -> None:
        kind = "job" if event == "gone" else event  # the later one of both counts
        self._waiting.pop((kind, key), None)
        self._waiting[kind, key] = made
        self._some.set()

    async def get(self, seconds: float) -> list[bytes]:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._some.wait(), seconds)
        found = list(self._waiting.values())
        self._waiting.clear()
        self._some.clear()
        return found
