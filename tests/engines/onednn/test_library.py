"""The shared library: found and opened, or refused with a reason; threads; forks."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from minidl.engines.onednn import api, library
from minidl.engines.onednn.library import DnnlError, dnnl
from minidl.engines.request import Declined
from tests.support import ROOT

find_anew = library.opened.__wrapped__  # past the cache that holds what other tests use


def python(code: str, **environment: str) -> str:
    """What a new process prints, within a time that a hanging one does not keep."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


# ------------------------------------------------------------------ found and opened


def test_nothing_is_opened_by_an_import():
    modules = sorted(p.stem for p in (ROOT / "minidl/engines/onednn").glob("[!_]*.py"))
    lines = [f"import minidl.engines.onednn.{name}" for name in modules]
    lines.append("print('libdnnl' in open('/proc/self/maps').read())")
    if Path("/proc/self/maps").exists():
        assert python("\n".join(lines)) == "False"


def test_the_engine_says_what_it_is(engine):
    assert engine.name == "onednn"
    assert engine.version.startswith("3.")
    assert engine.isa in api.ISA_NAMES.values()
    assert dnnl().path.name.startswith("libdnnl")


def test_the_environment_names_the_library(engine, monkeypatch):
    monkeypatch.setenv(library.VARIABLE, str(dnnl().path))
    assert library._find() == dnnl().path


@pytest.mark.parametrize("isa", ["AVX512_CORE", "AVX2"])
def test_older_machines_have_a_smaller_engine(engine, isa):
    """The library is told to do without; what it is asked for then runs, or is declined."""
    if not engine.isa.startswith("avx512"):
        pytest.skip(f"{engine.isa} is as old")
    code = """
from minidl.engines.request import Declined
from minidl.arrays.device import Device
from minidl.engines.onednn import OneDNN
from tests.engines.onednn.parity import truth
engine = OneDNN.load(Device("cpu"))
conv = truth("Convolution", (2, 6, 9, 7), num_output=20, kernel_size=[3])
for plan in conv.plans(engine):
    conv.check(plan)
declined = engine.plans(conv.op, conv.request(math="bf16"))
print(engine.isa, plan.passes["forward"], declined.reason)
"""
    found = python(code, ONEDNN_MAX_CPU_ISA=isa)
    assert found.startswith(isa.lower())
    assert f"{isa.lower()} does not multiply bfloat16" in found


# ------------------------------------------------------------------ refused


def refusal() -> str:
    found = find_anew()
    assert isinstance(found, Declined)
    return found.reason


def test_a_path_that_is_not_there(monkeypatch):
    monkeypatch.setenv(library.VARIABLE, "/nowhere/libdnnl.so.3")
    assert "MINIDL_DNNL_LIB is /nowhere/libdnnl.so.3, not a file: set it to" in refusal()


def test_a_file_that_is_no_library(monkeypatch, tmp_path):
    (tmp_path / "libdnnl.so.3").write_text("not a library")
    monkeypatch.setenv(library.VARIABLE, str(tmp_path / "libdnnl.so.3"))
    assert "libdnnl.so.3 cannot be loaded: " in refusal()


def test_a_library_that_is_another_one(monkeypatch):
    monkeypatch.setenv(library.VARIABLE, sys.executable)
    monkeypatch.setattr(ctypes, "CDLL", lambda path: object())
    assert "is not a oneDNN 3.x built for OpenMP" in refusal()


def test_a_library_of_another_time(monkeypatch):
    monkeypatch.setenv(library.VARIABLE, sys.executable)
    monkeypatch.setattr(ctypes, "CDLL", lambda path: object())
    monkeypatch.setattr(library, "_version", lambda dll: (2, 6, 3))
    assert "is oneDNN 2.6.3; minidl needs 3.x: pip install onednn-cpu-gomp" in refusal()


def test_libgomp_is_missing(monkeypatch):
    def no_libgomp(path):
        raise OSError("libgomp.so.1: cannot open shared object file: No such file or directory")

    monkeypatch.setenv(library.VARIABLE, sys.executable)
    monkeypatch.setattr(ctypes, "CDLL", no_libgomp)
    assert refusal().endswith("needs libgomp.so.1: install the system's libgomp (libgomp1)")


@pytest.fixture
def no_variable(monkeypatch):
    monkeypatch.delenv(library.VARIABLE, raising=False)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")


def test_the_wheel_is_not_installed(monkeypatch, no_variable):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "files", absent)
    assert refusal() == "onednn-cpu-gomp is not installed: pip install onednn-cpu-gomp"


@pytest.mark.parametrize("files", [[], None], ids=str)
def test_the_wheel_was_installed_without_its_library(monkeypatch, no_variable, files):
    monkeypatch.setattr(importlib.metadata, "files", lambda name: files)
    assert "without its library, as pip install --target does" in refusal()


def test_there_is_no_wheel_for_this_machine(monkeypatch, no_variable):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert "no oneDNN wheel for aarch64: set MINIDL_DNNL_LIB" in refusal()


# ------------------------------------------------------------------ calls


def test_a_refused_call_names_the_function_and_the_reason(engine):
    with pytest.raises(DnnlError, match="dnnl_engine_create failed with status 2: invalid arg"):
        dnnl().make("memory", "engine_create", 99, 0)


def test_threads_are_what_was_set(engine):
    before = dnnl().threads()
    try:
        dnnl().set_threads(3)
        assert dnnl().threads() == 3
    finally:
        dnnl().set_threads(before)


# ------------------------------------------------------------------ forks

FORK = """
import os, sys, numpy as np
from minidl.arrays.device import Device
from minidl.engines.onednn import OneDNN, library
from minidl.errors import RunError
from tests.engines.harness import Bound
from tests.engines.onednn.parity import truth

engine = OneDNN.load(Device("cpu"))
case = truth("Convolution", (4, 32, 17, 17), num_output=32, kernel_size=[3])

def bound():
    plan = case.plans(engine, most=1)[0]
    return plan, Bound(plan, [case.x], [case.y.shape], case.params, [True])

_, mine = bound()
mine.run([case.dy])
child = os.fork()
if not child:
    try:
        mine.run([case.dy])
    except RunError as error:
        print(error.found, flush=True)
    plan, anew = bound()
    case.check(plan)
    print(library.generation, library.dnnl().threads(), flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
case.check(*case.plans(engine, most=1))
print(library.generation, library.dnnl().threads())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_computes_with_one_thread_and_new_plans(engine):
    """The parent's worker threads do not exist in it: waiting for them would never end."""
    refused, child, parent = python(FORK, OMP_NUM_THREADS="2").splitlines()
    assert "bound before a fork was run in the child, where it would hang" in refused
    assert (child, parent) == ("1 1", "0 2")
