"""A real browser and a real server: the page as people use it.

Chromium comes from the distribution's packages, Playwright drives it. Where either is absent these
tests skip, and say which.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-dev-shm-usage"
    " --disable-background-networking --disable-component-update --disable-sync"
).split()
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
PATIENCE_MS = 30_000  # how long a page may take on a busy machine


@pytest.fixture(scope="module")
def browser():
    """Chromium, for a module: while Playwright runs, its loop is that of the whole thread."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here: install the distribution's package chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="the package playwright is absent")
    with sync_api.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


class Server:
    """`minidl serve` over a folder, as a process of its own."""

    def __init__(self, root: Path, *words: str) -> None:
        self.root, self.words = root, words
        self.process: subprocess.Popen[bytes] | None = None
        self.url, self.log = "", root / ".minidl" / "serve.log"

    def start(self, port: int = 0) -> Server:
        """Start it and wait until it says where it listens; `port` as of a server before."""
        command = [sys.executable, "-m", "minidl", "serve", ".", "--no-open", "--port", str(port)]
        # Its own group, so that a kill takes its helpers along; jobs have groups of their own.
        self.log.parent.mkdir(exist_ok=True)
        with open(self.log, "ab") as output:
            before = output.tell()
            self.process = subprocess.Popen(
                [*command, *self.words],
                cwd=self.root,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
            )
        while self.process.poll() is None:
            if found := re.search(r"http://\S+", self.said(before)):
                self.url = found[0].rstrip("/")
                return self
            time.sleep(0.02)
        raise AssertionError("minidl serve ended: " + self.said(before))

    def said(self, start: int = 0) -> str:
        """What it has printed, from a byte on."""
        return self.log.read_bytes()[start:].decode("utf-8", "replace")

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2].partition("/")[0])

    def stop(self, kill: bool = False) -> None:
        """End it, as Ctrl-C or as a crash does."""
        if self.process is not None:
            (self.process.kill if kill else self.process.terminate)()
            self.process.wait(30)
            self.process = None


@pytest.fixture
def serve(tmp_path) -> Iterator[object]:
    """Start a server over a folder: `serve(root)`; all of them end with the test."""
    started: list[Server] = []

    def begin(root: Path = tmp_path, *words: str, port: int = 0) -> Server:
        started.append(Server(root, *words))
        return started[-1].start(port)

    yield begin
    for server in started:
        server.stop(kill=True)
        print(server.said())  # shown where the test fails


@pytest.fixture
def tab(browser) -> Iterator[object]:
    """Open pages whose console must stay clean: `tab(url)`, `tab(url, dark=True, size=NARROW)`."""
    contexts, complaints = [], []

    def begin(url: str, dark: bool = False, size: dict[str, int] = WIDE, context=None):
        if context is None:
            context = browser.new_context(
                viewport=size,
                color_scheme="dark" if dark else "light",
                reduced_motion="reduce",
                accept_downloads=True,
            )
            context.set_default_timeout(PATIENCE_MS)
            contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        page.on(
            "console",
            lambda said: (
                complaints.append(f"{page.url}: {said.text}")
                if said.type in ("error", "warning")
                else None
            ),
        )
        page.goto(url)
        return page

    begin.complaints = complaints
    yield begin
    for context in contexts:
        context.close()
    assert not complaints, "\n".join(complaints)
