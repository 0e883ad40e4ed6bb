"""`python benchmarks/run.py`: from the command line to the table and the JSON file."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.rows import RACES
from tests.support import ROOT

SCRIPT = str(ROOT / "benchmarks" / "run.py")


def run(*words: str, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, SCRIPT, *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def test_list_names_every_race(tmp_path):
    done = run("--list", cwd=tmp_path)
    assert [line.split()[0] for line in done.stdout.splitlines()] == [race.name for race in RACES]


def test_an_unknown_race_is_refused_with_those_there_are(tmp_path):
    done = run("--only", "alexnot", cwd=tmp_path)
    assert done.returncode == 2
    assert "no race 'alexnot'" in done.stderr and "alexnet-float32" in done.stderr


def test_a_quick_run_measures_prints_and_writes(tmp_path):
    words = ["--quick", "--threads", "1", "--only", "lenet-float32", "--only", "start"]
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "QUICK" in done.stdout and "LeNet training, batch 64, float32" in done.stdout
    found = json.loads((tmp_path / "runs" / "bench.json").read_text())
    assert found["quick"] is True
    lenet, *starts = found["races"]
    facts = lenet["contenders"]["minidl"]["facts"]
    assert facts["operations"] == 2 * 2 * (3 * 2_293_000 - 288_000)  # two images
    floor = lenet["rows"][-1]
    assert floor["found"][0] > 1 and floor["goal"] == ""
    assert lenet["weights"] == {"lenet": "random"}
    assert [race["race"] for race in starts] == ["start-import", "start-help"]
    assert starts[1]["rows"][0]["goal"] == "<= 0.3"
    if not importlib.util.find_spec("torch"):
        assert lenet["skipped"] == {"PyTorch": "torch is not installed here"}
        assert "skipped, PyTorch: torch is not installed here" in done.stdout


def test_the_conductor_stays_clear_of_what_it_times():
    """minidl sets variables that the other contenders must not inherit."""
    code = (
        "import os, sys; before = dict(os.environ); sys.path.insert(0, sys.argv[1]);"
        "from benchmarks import run;"
        "assert not {'minidl', 'numpy', 'torch'} & set(sys.modules), sorted(sys.modules);"
        "assert dict(os.environ) == before"
    )
    done = subprocess.run([sys.executable, "-c", code, str(ROOT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["torch_side", "opencv_side", "product_side", "start_side"])
def test_the_others_sides_do_not_import_minidl(name):
    source = (ROOT / "benchmarks" / "contenders" / f"{name}.py").read_text("utf-8")
    assert "minidl" not in [line.split()[1] for line in source.splitlines() if "import" in line][0:]
