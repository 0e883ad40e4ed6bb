"""The whole of `make gpu-check` on the fake GPU: what it would do on a real one, in small.

The figures mean nothing here. What this proves: every part runs to its end, finds nothing wrong
with what the fake computes, sees what is wrong, and writes its report.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from benchmarks.gpu.plan import BENCH, CHECK
from tests import fakegpu
from tests.support import ROOT

# What needs a few seconds; all of it is run by the slow test.
QUICK = ("device", "leak", "precision")


def run(out, *words, script="check.py", **variables):
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "gpu" / script),
        "--tiny",
        "--out",
        str(out),
    ]
    environment = os.environ | fakegpu.environment(cudnn=True) | variables
    done = subprocess.run([*command, *words], env=environment, capture_output=True, text=True)
    name = "gpu-check" if script == "check.py" else "gpu-bench"
    path = out / f"{name}.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    return done, {part["part"]: part for part in found.get("parts", ())}


def only(*names):
    return [word for name in names for word in ("--only", name)]


def cases(part):
    return {case["name"]: case for case in part["cases"]}


def failures(parts):
    return [
        (name, case["name"], case.get("error"), case.get("traceback"))
        for name, part in parts.items()
        for case in part["cases"]
        if case["status"] == "failed"
    ]


def test_some_parts_run_and_write_their_report(tmp_path):
    done, parts = run(tmp_path, *only(*QUICK))
    assert failures(parts) == [] and done.returncode == 0, done.stdout + done.stderr
    assert list(parts) == list(QUICK)
    text = (tmp_path / "gpu-check.txt").read_text()
    assert text.strip().splitlines()[:-1] == done.stdout.strip().splitlines()[:-1]
    assert "Fake GPU" in text and "TINY" in text and " 0 failed" in text
    assert cases(parts["device"])["versions"]["facts"]["gpu"] == "Fake GPU"
    assert cases(parts["precision"])["lenet, bf16"]["facts"]["errors"]["loss"] < 0.01


@pytest.mark.slow
def test_all_parts_run(tmp_path):
    done, parts = run(tmp_path)
    assert failures(parts) == [] and done.returncode == 0, done.stdout + done.stderr
    assert list(parts) == [part.name for part in (*CHECK, *BENCH)]
    for name, part in parts.items():
        assert any(case["status"] == "passed" for case in part["cases"]) or name == "golden", name
    compared = cases(parts["compare"])["lenet"]["facts"]["compare"]
    assert compared["rows"][0]["devices"]["cuda:0"]["seconds"] > 0
    race = cases(parts["races"])["lenet"]["facts"]["race"]
    assert race["contenders"]["minidl"]["facts"]["no graph"] == ""


@pytest.mark.slow
def test_the_benchmarks_alone(tmp_path):
    done, parts = run(tmp_path, *only("device", "compare"), script="bench.py")
    assert done.returncode == 0 and list(parts) == ["device", "compare"], done.stdout


def test_without_a_gpu_it_says_so_and_goes_no_further(tmp_path):
    variables = {"MINIDL_TEST_FAKEGPU": f"0,{1 << 30}"}
    done, parts = run(tmp_path, *only("device", "leak"), **variables)
    assert done.returncode == 1 and "no GPU can be used" in done.stdout
    (case,) = parts["leak"]["cases"]
    assert (case["status"], case["error"]) == ("left out", "there is no GPU that answers")


def test_a_wrong_result_fails(tmp_path):
    """A device that computes something else: half its argument for a hyperbolic tangent."""
    fake = ROOT / "tests" / "fakegpu" / "site" / "sitecustomize.py"
    (tmp_path / "sitecustomize.py").write_text(
        f"import runpy, sys; runpy.run_path({str(fake)!r})\n"
        "cupy = sys.modules['cupy']\n"
        "cupy.tanh = lambda x, out: cupy.multiply(x, 0.5, out=out)\n"
    )
    path = os.pathsep.join([str(tmp_path), fakegpu.environment()["PYTHONPATH"]])
    done, parts = run(tmp_path / "out", *only("layers"), PYTHONPATH=path)
    assert "TanH" in [case for _, case, *_ in failures(parts)]
    assert done.returncode == 1 and "FAILED TanH" in done.stdout


def test_a_part_that_there_is_not_is_refused(tmp_path):
    done, _ = run(tmp_path, "--only", "plums")
    assert done.returncode == 2 and "plans:cudnn" in done.stderr


def test_without_time_parts_are_left_out(tmp_path):
    done, parts = run(tmp_path, *only("device"), "--minutes", "0.01")
    (case,) = parts["device"]["cases"]
    assert case["status"] == "left out" and done.returncode == 0


def test_nothing_of_it_needs_what_only_tests_need():
    """A machine with a GPU may have CuPy, NumPy and protobuf, and no more."""
    code = (
        "import sys\n"
        "for name in ('pytest', 'hypothesis', 'lmdb', 'tqdm', 'torch', 'sklearn', 'h5py'):\n"
        "    sys.modules[name] = None\n"
        "import importlib, pkgutil\n"
        "import benchmarks.gpu.check, benchmarks.gpu.bench\n"
        "assert not {'minidl', 'numpy'} & set(sys.modules)\n"
        "from benchmarks.gpu import parts\n"
        "for module in pkgutil.iter_modules(parts.__path__):\n"
        "    importlib.import_module(f'benchmarks.gpu.parts.{module.name}')\n"
        "import tests.layers.examples, benchmarks.contenders.minidl_gpu_side\n"
    )
    plain = {k: v for k, v in os.environ.items() if not k.startswith("MINIDL_TEST")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=plain, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
