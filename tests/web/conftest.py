"""A root with jobs, and the application over it; commands are those of stub.py."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

if any(find_spec(name) is None for name in ("starlette", "httpx")):
    collect_ignore_glob = ["test_*.py"]  # they need minidl[web], and Starlette's test client

STUB = (sys.executable, "-m", "tests.web.stub")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty root; processes find the package and the tests."""
    from tests.support import ROOT

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    place = (tmp_path / "root").resolve()
    place.mkdir()
    return place


@pytest.fixture
def site(root, monkeypatch):
    from minidl.web.site import Options, Site

    # On a busy machine an answer would else be "not yet complete" here and there.
    monkeypatch.setattr("minidl.web.site.PATIENCE_S", 30.0)
    found = Site(Options(root, STUB, version="1.2"))
    found.fresh_s = 0.0  # a test asks right after it has made something
    return found


@pytest.fixture
def client(site):
    """A browser on the same machine."""
    from minidl.web import app
    from minidl.web.safety import Rules
    from tests.web.browser import TestClient

    with TestClient(app.make(site, Rules()), base_url="http://127.0.0.1:8080") as found:
        yield found
    ended(site.root)


def ended(root: Path) -> None:
    """Kill what a test has left running below a root."""
    from minidl.errors import MinidlError
    from minidl.runs import job, processes

    for path in root.rglob("status.json"):
        try:
            found = job.status(path.parent)
        except MinidlError:
            continue
        if found.pid != os.getpid():
            processes.send(found.pid, found.started, processes.KILL, group=True)
