"""The server as a process: what it needs, what it leaves behind, what survives it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from minidl.runs import job, processes
from tests.support import ROOT
from tests.web.conftest import ended
from tests.web.making import display, events, make, until

# minidl serve with the stub in minidl's place, for jobs and for questions.
SERVE = """
import sys
from minidl.cli import main
from minidl.web import site
plain = site.Options
def options(root, program, **more):
    return plain(root, (sys.executable, "-m", "tests.web.stub"), **{**more, "helper": ()})
site.Options = options
sys.exit(main(["serve", *sys.argv[1:]]))
"""


class Server:
    """A server over a root, in a process of its own."""

    def __init__(self, root: Path, *flags: str) -> None:
        words = [sys.executable, "-u", "-c", SERVE, str(root), "--port", "0", "--no-open", *flags]
        self.process = subprocess.Popen(
            words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        line = self.process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert found, line + self.process.stdout.read()
        self.address = found[0]

    def ask(self, path: str, body: object = None, method: str = ""):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, method=method or None)
        request.add_header("content-type", "application/json")
        with urllib.request.urlopen(request, timeout=20) as found:
            return json.load(found)

    def state(self, name: str) -> str:
        return self.ask(f"api/v1/job/{name}")["state"]

    def end(self, number: int = signal.SIGTERM) -> str:
        self.process.send_signal(number)
        text = self.process.stdout.read()
        self.process.wait(20)
        self.process.stdout.close()
        return text


@pytest.fixture
def serve(root):
    servers = []

    def start(*flags: str) -> Server:
        servers.append(Server(root, *flags))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.end(signal.SIGKILL)
    ended(root)


def begin(server: Server, name: str) -> str:
    form = {"source": "digits", "name": name}
    return server.ask("api/v1/jobs", {"kind": "dataset", "form": form})["jobs"][0]["id"]


def at_work(folder: Path) -> bool:
    return job.status(folder).done > 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_job_goes_on_when_its_server_ends_and_the_next_one_knows_it(root, serve, number):
    first = serve()
    name = begin(first, "one")
    folder = root / name
    until(lambda: at_work(folder))
    waiting = begin(first, "two")
    said = first.end(number)
    assert number == signal.SIGKILL or "jobs that run go on" in said
    assert first.process.returncode == (-number if number == signal.SIGKILL else 0)
    done = job.status(folder).done
    until(lambda: job.status(folder).done > done)  # it is still at work
    second = serve()
    assert second.state(name) == "running" and second.state(waiting) == "waiting"
    (folder / "finish").touch()
    until(lambda: second.state(name) == "done")
    until(lambda: second.state(waiting) == "running")


def test_what_waits_begins_though_nobody_looks(root, serve):
    server = serve()
    time.sleep(2.5)  # it has seen that there is nothing to do
    one, two = begin(server, "one"), begin(server, "two")
    until(lambda: at_work(root / one))
    (root / one / "finish").touch()
    until(lambda: at_work(root / two))


def test_a_job_whose_process_dies_with_the_server_is_interrupted_and_resumes(root, serve):
    first = serve()
    name = begin(first, "one")
    until(lambda: at_work(root / name))
    first.end(signal.SIGKILL)
    found = job.status(root / name)
    processes.send(found.pid, found.started, processes.KILL, group=True)
    second = serve()
    assert second.state(name) == "interrupted"
    second.ask(f"api/v1/resume/{name}", {})
    until(lambda: second.state(name) == "running")


def test_the_index_may_be_deleted_while_the_server_runs(root, serve):
    run = make(root / "run")
    events(run, *(display(i, 1.0) for i in range(10)))
    server = serve()
    listed = lambda: server.ask("api/v1/jobs")["jobs"][0]["metrics"]  # noqa: E731
    until(listed)
    for path in (root / ".minidl").iterdir():
        path.unlink()
    events(run, display(10, 0.5))
    until(lambda: listed()["train loss"]["last"] == 0.5)


def test_the_page_is_told_of_what_changes(root, serve):
    """The stream of all jobs, over a socket: a job that comes, one that goes."""
    server = serve()
    with urllib.request.urlopen(server.address + "api/v1/events", timeout=20) as stream:
        make(root / "new")
        seen = []
        while ("event: job" not in seen) or ("event: system" not in seen):
            seen.append(stream.readline().decode().strip())
        os.rename(root / "new", root.parent / "away")
        while "event: gone" not in seen:
            seen.append(stream.readline().decode().strip())
    assert any('"id":"new"' in line for line in seen)


def test_a_stream_resumes_over_a_socket(root, serve):
    run = make(root / "run")
    path = events(run, display(0, 1.0))
    size = path.stat().st_size
    events(run, display(1, 0.5))
    server = serve()
    request = urllib.request.Request(server.address + "api/v1/events/run")
    request.add_header("Last-Event-ID", str(size))
    with urllib.request.urlopen(request, timeout=20) as stream:
        lines = []
        while not (lines and lines[-1].startswith("data: ") and '"display"' in lines[-1]):
            lines.append(stream.readline().decode().strip())
    assert json.loads(lines[-1][6:])["iter"] == 1
    assert f"id: {path.stat().st_size}" in lines


def test_it_ends_while_people_look(root, serve):
    server = serve()
    make(root / "run")
    streams = [
        urllib.request.urlopen(server.address + path, timeout=20)
        for path in ("api/v1/events", "api/v1/events/run")
    ]
    begun = time.monotonic()
    server.end()
    assert time.monotonic() - begun < 10 and server.process.returncode == 0
    for stream in streams:
        stream.close()


def test_the_server_has_no_numpy_and_nothing_to_do_when_nobody_looks(root, serve):
    make(root / "run")
    server = serve()
    server.ask("api/v1/jobs")
    pid = server.process.pid
    maps = Path(f"/proc/{pid}/maps")
    if not maps.exists():
        pytest.skip("this system does not tell what a process holds")
    libraries = maps.read_text()
    assert "numpy" not in libraries and "protobuf" not in libraries
    facts = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    assert int(facts["VmRSS"].split()[0]) < 60_000

    def wakes() -> int:
        total = 0
        for task in Path(f"/proc/{pid}/task").iterdir():
            for line in (task / "status").read_text().splitlines():
                if line.startswith("voluntary_ctxt_switches"):
                    total += int(line.split()[1])
        return total

    time.sleep(2.5)  # the last look has been
    before = wakes()
    time.sleep(3)
    assert wakes() - before <= 2  # uvicorn's own loop would have woken 30 times


def test_a_second_server_gets_the_next_port(root, serve):
    first = serve()
    port = int(first.address.split(":")[2].strip("/"))
    (root / "another").mkdir()
    words = [sys.executable, "-c", SERVE, str(root / "another"), "--port", str(port)]
    found = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert found.returncode == 2 and f"127.0.0.1:{port}" in found.stderr


def test_a_second_server_of_one_root_is_told_where_the_first_is(root, serve):
    first = serve()
    found = run_serve(str(root), "--port", "0")
    assert found.returncode == 2
    assert "another server is at work" in found.stderr and f"open {first.address}" in found.stderr
    first.end(signal.SIGKILL)
    assert serve().ask("api/v1/jobs")["jobs"] == []


def run_serve(*flags: str, **options) -> subprocess.CompletedProcess:
    words = [sys.executable, "-m", "minidl", "serve", *flags]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, **options)


@pytest.mark.parametrize(
    "flags, said",
    [
        (["nowhere"], "nowhere: there is no such folder"),
        (["--data-root", "nowhere"], "--data-root nowhere: there is no such folder"),
        (["--token", "a"], "--token is too simple"),
        (["--host", "203.0.113.1"], "203.0.113.1"),
    ],
)
def test_what_makes_no_sense_is_refused(flags, said):
    found = run_serve(*flags)
    assert found.returncode == 2 and said in found.stderr


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "jinja2", "python_multipart"])
def test_without_the_packages_it_says_what_to_install(tmp_path, package):
    (tmp_path / f"{package}.py").write_text("raise ImportError('no', name=__name__)")
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    found = run_serve(env={**os.environ, "PYTHONPATH": paths})
    assert found.returncode == 2
    assert "pip install 'minidl[web]'" in found.stderr and package in found.stderr


def test_another_host_needs_the_token_that_is_printed(root):
    words = [sys.executable, "-u", "-m", "minidl", "serve", str(root), "--port", "0"]
    process = subprocess.Popen(
        [*words, "--host", "0.0.0.0"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        found = re.search(r":(\d+)/\?token=(\S+)", process.stdout.readline())
        assert found and len(found[2]) > 20
        address = f"http://127.0.0.1:{found[1]}/api/v1/zoo"
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(address, timeout=20)
        request = urllib.request.Request(address, headers={"authorization": f"Bearer {found[2]}"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert answer.status == 200
    finally:
        process.terminate()
        process.stdout.read()
        process.stdout.close()
        process.wait(20)
