"""A warm process that answers questions: `python -m minidl.cli.answers`, for the page alone.

Each line on stdin is one, {"n", "argv", "limit_s"}, carried out in a fork of this process by
`minidl.cli.main`: with NumPy and protobuf loaded already, so that a short command takes tens of
milliseconds. Each line on stdout is an answer, {"n", "code", "out", "err"}. It ends with stdin, or
when nobody has asked for a minute.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import selectors
import signal
import sys
import time
import traceback
from dataclasses import dataclass, field
from typing import Any

IDLE_S = 60.0
LARGEST = 64 << 20  # bytes that a command may print
KILLED = 137

# What most questions need; imported once, before the forks.
WARM = (
    "numpy",
    "minidl.schema",
    "minidl.prototxt",
    "minidl.net",
    "minidl.net.schedule",
    "minidl.net.report",
    "minidl.layers.base",
    "minidl.storage.weight_files",
    "minidl.preprocess",
    "minidl.data.browsing",
    "minidl.data.scanning",
    "minidl.draw.picture",
    "minidl.draw.svg",
    "minidl.cli.arguments",
    "minidl.cli.check",
    "minidl.cli.draw",
    "minidl.cli.dataset",
    "minidl.cli.train",
    "PIL.Image",
    "PIL.BmpImagePlugin",
    "PIL.GifImagePlugin",
    "PIL.JpegImagePlugin",
    "PIL.PngImagePlugin",
    "PIL.PpmImagePlugin",
    "lmdb",
)


@dataclass
class Question:
    """A command under way in a child."""

    n: Any
    pid: int
    until: float
    open: int = 2  # of its streams
    texts: dict[str, bytearray] = field(default_factory=dict)


def main() -> None:
    """Answer until stdin ends, or nobody asks."""
    for name in WARM:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    answers = os.dup(1)
    os.dup2(2, 1)
    Answering(answers).run()


class Answering:
    """The questions under way, and the loop over their streams."""

    def __init__(self, answers: int) -> None:
        self.answers = answers
        self.under_way: dict[int, Question] = {}
        self.selector = selectors.DefaultSelector()
        self.selector.register(0, selectors.EVENT_READ, None)
        self.asked = time.monotonic()
        self.rest = b""

    def run(self) -> None:
        while True:
            now = time.monotonic()
            ends = [question.until for question in self.under_way.values()]
            for key, _ in self.selector.select(max(0.0, min([*ends, self.asked + IDLE_S]) - now)):
                if key.data is None:
                    if not self._read():
                        return
                else:
                    self._gather(key.fd, *key.data)
            now = time.monotonic()
            for question in list(self.under_way.values()):
                if now > question.until:
                    self._kill(question)
            if not self.under_way and now - self.asked >= IDLE_S:
                return

    def _read(self) -> bool:
        """Take in questions; return False at the end of stdin."""
        data = os.read(0, 1 << 16)
        if not data:
            for question in list(self.under_way.values()):
                self._kill(question)
            return False
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self._ask(json.loads(line))
        self.asked = time.monotonic()
        return True

    def _ask(self, asked: dict[str, Any]) -> None:
        ours, theirs = zip(os.pipe(), os.pipe(), strict=True)
        pid = os.fork()
        if not pid:
            _answer(asked["argv"], theirs[0], theirs[1])
        for end in theirs:
            os.close(end)
        question = Question(asked["n"], pid, time.monotonic() + float(asked["limit_s"]))
        self.under_way[pid] = question
        for name, end in zip(("out", "err"), ours, strict=True):
            question.texts[name] = bytearray()
            self.selector.register(end, selectors.EVENT_READ, (question, name))

    def _gather(self, end: int, question: Question, name: str) -> None:
        """Take in what a child has printed; answer when it has closed both streams."""
        data = os.read(end, 1 << 18)
        text = question.texts[name]
        text += data
        if len(text) > LARGEST:
            self._kill(question)
        elif not data:
            self._close(end)
            question.open -= 1
            if not question.open:
                self._say(question, os.waitstatus_to_exitcode(os.waitpid(question.pid, 0)[1]))

    def _kill(self, question: Question) -> None:
        """End a question that takes too long or prints too much."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(question.pid, signal.SIGKILL)
        for key in list(self.selector.get_map().values()):
            if key.data and key.data[0] is question:
                self._close(key.fd)
        os.waitpid(question.pid, 0)
        question.texts["out"] = bytearray()
        question.texts["err"] += b"\nminidl: error: the answer took too long, or was too large\n"
        self._say(question, KILLED)

    def _close(self, end: int) -> None:
        self.selector.unregister(end)
        os.close(end)

    def _say(self, question: Question, code: int) -> None:
        del self.under_way[question.pid]
        texts = {name: text.decode("utf-8", "replace") for name, text in question.texts.items()}
        line = json.dumps({"n": question.n, "code": code, **texts}).encode() + b"\n"
        view = memoryview(line)
        while view:
            view = view[os.write(self.answers, view) :]
        self.asked = time.monotonic()


def _answer(argv: list[str], out: int, err: int) -> None:
    """Carry out a command in the child, and end it."""
    code = 1
    try:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for end, number in ((nothing, 0), (out, 1), (err, 2)):
            os.dup2(end, number)
        os.closerange(3, 1024)
        # Made anew: those of the parent may know their descriptor as a file, which a pipe is not.
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        from minidl import cli

        code = cli.main(argv)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
