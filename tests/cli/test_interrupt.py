"""A run that is stopped or killed and goes on equals one that never was, bit for bit."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minidl.storage import caffemodel, snapshot
from tests.cli.conftest import write_run
from tests.support import ROOT

ITERATIONS = 300
# Every loss is an event, and an iteration long enough for a signal to fall into it.
SETTINGS = [f"max_iter={ITERATIONS}", "display=1", "snapshot=70", "test_interval=25", "iter_size=6"]
COMMAND = [sys.executable, "-m", "minidl", "train", "solver.prototxt"]
COMMAND += [word for setting in SETTINGS for word in ("--set", setting)]
PATIENCE_S = 60


class Run:
    """`minidl train` as a process of its own; what it says goes to files, which never fill up."""

    def __init__(self, folder, *words):
        self.folder = folder
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        with open(folder / "out", "w") as out, open(folder / "err", "w") as err:
            self.process = subprocess.Popen(
                [*COMMAND, *words],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
                stdout=out,
                stderr=err,
            )

    def finish(self):
        """Its exit code, stdout and stderr."""
        try:
            code = self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()
        return code, (self.folder / "out").read_text(), (self.folder / "err").read_text()

    def signal_at(self, iteration, number):
        """Send a signal as soon as the events show `iteration`, then as `finish`."""
        events, limit = self.folder / "run" / "events.jsonl", time.monotonic() + PATIENCE_S
        while not (events.exists() and f'"iter": {iteration}, "loss"' in events.read_text()):
            if self.process.poll() is not None or time.monotonic() > limit:
                pytest.fail(f"no iteration {iteration}: {self.finish()[2]}")
            time.sleep(0.002)
        self.process.send_signal(number)
        return self.finish()


def story(folder):
    """All losses, rates and test figures by iteration; of what was done twice, the later one."""
    displays, tests = {}, {}
    for line in (folder / "run" / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["event"] == "display":
            figures = event["loss"], event["lr"], event["outputs"]
            displays[event["iter"], event["final"]] = figures
        elif event["event"] == "test":
            tests[event["iter"]] = event["outputs"]
    return displays, tests


def last_files(folder):
    stem = folder / "run" / f"tiny_iter_{ITERATIONS}"
    return [stem.with_suffix(s).read_bytes() for s in (".caffemodel", ".solverstate")]


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The folder of a run from start to end."""
    folder = tmp_path_factory.mktemp("unbroken")
    write_run(folder)
    code, _, err = Run(folder).finish()
    assert code == 0, err
    displays, tests = story(folder)
    assert len(displays) == ITERATIONS + 1 and sorted(tests) == [*range(0, ITERATIONS + 1, 25)]
    return folder


def assert_all_files_whole(folder):
    """Read every file of a run through; a killed process may leave a partial one under its name."""
    files = [p for p in (folder / "run").iterdir() if ".partial-" not in p.name]
    states = [p for p in files if p.suffix == ".solverstate"]
    for path in files:
        if path.suffix == ".caffemodel":
            assert [la.name for la in caffemodel.read(path).layers][-3:]
        elif path.suffix == ".solverstate":
            caffemodel.read(snapshot.weights_path(snapshot.read(path), path))
        elif path.suffix == ".jsonl":
            [json.loads(line) for line in path.read_text().splitlines()]
    return states


@pytest.mark.parametrize("sent, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_by_a_signal_at_a_random_moment_and_resumed(unbroken, tmp_path, sent, status):
    write_run(tmp_path)
    moment = random.SystemRandom().randrange(1, ITERATIONS - 60)
    code, out, err = Run(tmp_path).signal_at(moment, sent)
    assert code == status, (moment, err)
    assert f"minidl: {sent.name}: stopping after this step" in err
    assert "Optimization stopped early." in err
    assert_all_files_whole(tmp_path)
    resume = next(line for line in out.splitlines() if line.startswith("resume with: "))
    words = resume.removeprefix("resume with: ").split()
    assert words[:3] == ["minidl", "train", "solver.prototxt"]
    state = words[words.index("-snapshot") + 1]
    stopped = int(Path(state).stem.rpartition("_")[2])
    assert moment <= stopped < ITERATIONS, moment
    assert f"stopped by {sent.name} after {stopped} of {ITERATIONS} iterations" in out
    assert [w for w in words if "=" in w] == SETTINGS

    code, _, err = Run(tmp_path, "-snapshot", state).finish()
    assert code == 0, (moment, err)
    assert story(tmp_path) == story(unbroken), (moment, stopped)
    assert last_files(tmp_path) == last_files(unbroken), (moment, stopped)


def test_killed_and_gone_on_from_the_last_snapshot(unbroken, tmp_path):
    write_run(tmp_path)
    moment = random.SystemRandom().randrange(80, ITERATIONS - 60)
    code, _, err = Run(tmp_path).signal_at(moment, signal.SIGKILL)
    assert code == -signal.SIGKILL, (moment, err)
    states = assert_all_files_whole(tmp_path)
    newest = max(int(p.stem.rpartition("_")[2]) for p in states)
    assert newest % 70 == 0

    code, _, err = Run(tmp_path, "-snapshot", "latest").finish()
    assert code == 0, (moment, err)
    assert f"Resuming from run/tiny_iter_{newest}.solverstate" in err
    assert story(tmp_path) == story(unbroken), (moment, newest)
    assert last_files(tmp_path) == last_files(unbroken), (moment, newest)


def test_hang_up_snapshots_and_the_run_goes_on(unbroken, tmp_path):
    write_run(tmp_path)
    code, _, err = Run(tmp_path).signal_at(20, signal.SIGHUP)
    assert code == 0, err
    taken = {int(p.stem.rpartition("_")[2]) for p in assert_all_files_whole(tmp_path)}
    (extra,) = taken - {70, 140, 210, 280, 300}
    assert 20 < extra < 70
    assert story(tmp_path) == story(unbroken)
    assert last_files(tmp_path) == last_files(unbroken)
