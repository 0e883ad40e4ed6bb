"""Short questions to commands, such as what a net looks like: asked of a warm helper process.

The helper (minidl.cli.answers) is started when somebody asks, forks for each question, and ends
when nobody has asked for a minute. Where a system cannot fork, each question starts a process.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from minidl.errors import MinidlError
from minidl.web.problems import Refused

LIMIT_S = 60.0
AT_ONCE = 4
LONGEST_LINE = 160 << 20  # of an answer: what a command may print, written as JSON
ERROR = re.compile(r"^(?:minidl: )?error: ", re.MULTILINE)
PLACE = re.compile(r"^(?P<file>.*?):(?P<line>\d+)(?::(?P<column>\d+))?: (?P<text>.*)$", re.DOTALL)


class Answer(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


class Failed(Refused):
    """A command refused a question; its words."""

    status = 422


class Asker:
    """The helper, and who waits for its answers.

    program   words that begin a command line
    helper    words that start the helper; () for a process each question
    cwd       where commands run
    """

    def __init__(
        self, program: Sequence[str], helper: Sequence[str], cwd: Path, allow_python: bool = False
    ) -> None:
        self.program, self.cwd = program, cwd
        self.helper = helper if hasattr(os, "fork") else ()
        self.environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        if not allow_python:
            self.environment.pop("MINIDL_ALLOW_PYTHON", None)
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Answer]] = {}
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    async def ask(self, *argv: str, limit_s: float = LIMIT_S) -> Answer:
        """Return what `minidl ARGV` prints. Errors: Failed where it takes too long."""
        async with self._turns:
            work = self._of_helper(argv, limit_s) if self.helper else self._apart(argv)
            try:
                return await asyncio.wait_for(work, limit_s + 15)
            except asyncio.TimeoutError:
                raise Failed(f"minidl {argv[0]} took longer than {limit_s:g} s") from None

    async def facts(self, *argv: str, limit_s: float = LIMIT_S) -> Any:
        """Return the JSON that a command prints. Errors: Failed with the command's own words."""
        answer = await self.ask(*argv, limit_s=limit_s)
        if answer.code:
            raise failure(answer)
        try:
            return json.loads(answer.out)
        except ValueError:
            raise Failed(f"minidl {argv[0]} printed no JSON", where=answer.out[:200]) from None

    async def close(self) -> None:
        """End the helper."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    async def _of_helper(self, argv: Sequence[str], limit_s: float) -> Answer:
        for attempt in (1, 2):  # it may have just ended
            process = await self._running()
            number = next(self._numbers)
            future = self._asked[number] = asyncio.get_running_loop().create_future()
            line = json.dumps({"n": number, "argv": list(argv), "limit_s": limit_s}) + "\n"
            try:
                assert process.stdin is not None
                process.stdin.write(line.encode())
                await process.stdin.drain()
                return await future
            except ConnectionError:
                if attempt == 2:
                    raise Failed("the helper process has ended", fix="ask again") from None
            finally:
                self._asked.pop(number, None)
        raise AssertionError

    async def _running(self) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                self._process = await asyncio.create_subprocess_exec(
                    *self.helper,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    cwd=self.cwd,
                    env=self.environment,
                    limit=LONGEST_LINE,
                    start_new_session=True,
                )
                self._reader = asyncio.create_task(self._read(self._process))
            return self._process

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        with contextlib.suppress(ValueError, OSError):
            while line := await process.stdout.readline():
                found = json.loads(line)
                future = self._asked.get(found["n"])
                if future is not None and not future.done():
                    future.set_result(Answer(found["code"], found["out"], found["err"]))
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if self._process is process:
            self._process = None
            for future in self._asked.values():
                if not future.done():
                    future.set_exception(ConnectionError())

    async def _apart(self, argv: Sequence[str]) -> Answer:
        process = await asyncio.create_subprocess_exec(
            *self.program,
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self.cwd,
            env=self.environment,
        )
        try:
            out, err = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        code = process.returncode or 0
        return Answer(code, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))


def failure(answer: Answer) -> MinidlError:
    """Return the error that a command has printed, in its parts."""
    found = errors(answer)
    first = found[0]
    where = first["file"]
    if first["line"]:
        where += f":{first['line']}" + (f":{first['column']}" if first["column"] else "")
    more = {"errors": found} if len(found) > 1 else None
    return Failed(
        first["text"], where=where, expected=first["expected"], fix=first["fix"], more=more
    )


def errors(answer: Answer) -> list[dict[str, Any]]:
    """Return the errors in what a command has printed: {"file", "line", "column", "text",
    "expected", "fix"}, line and column None where they are not known."""
    _, said, text = answer.err.rpartition("minidl: error: ")
    text = text if said else answer.err.strip() or f"it ended with code {answer.code}"
    found: list[dict[str, Any]] = []
    for line in text.strip().splitlines():
        head = line.strip()
        if found and line.startswith("  "):
            for part in ("expected", "fix"):
                if head.startswith(f"{part}: "):
                    found[-1][part] = head.removeprefix(f"{part}: ")
                    break
            else:
                found[-1]["text"] += f"\n{head}"
            continue
        place = PLACE.match(line)
        number, column = (place["line"], place["column"]) if place else (None, None)
        found.append(
            {
                "file": place["file"] if place else "",
                "line": int(number) if number else None,
                "column": int(column) if column else None,
                "text": place["text"] if place else line,
                "expected": "",
                "fix": "",
            }
        )
    return found or [dict(file="", line=None, column=None, text="failed", expected="", fix="")]
