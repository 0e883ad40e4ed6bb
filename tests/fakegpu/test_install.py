"""Putting the fake in CuPy's place: for a test, for a thread, for another process."""

import functools
import os
import subprocess
import sys
import threading
import types

import pytest

from tests import fakegpu


def test_the_fake_is_there_until_the_patch_is_undone():
    before = sys.modules.get("cupy")
    with pytest.MonkeyPatch.context() as patch:
        gpu = fakegpu.install(patch)
        import cupy
        import cupyx  # noqa: F401
        from cupy.cuda.device import get_cublas_handle  # noqa: F401
        from cupy_backends.cuda.libs import cublas  # noqa: F401

        cupy.zeros(3)
        assert gpu.allocations == 1
        other = fakegpu.install(patch)
        cupy.zeros(3)
        assert (gpu.allocations, other.allocations) == (1, 1), "each starts from zero"
    assert sys.modules.get("cupy") is before


def test_what_minidl_remembers_of_a_gpu_is_forgotten(monkeypatch):
    """Before a test with the fake, and after it."""
    module = types.ModuleType("minidl.engines.made_up")
    calls = []

    @functools.cache
    def found():
        calls.append(1)

    found.__module__ = module.__name__
    module.found = found
    monkeypatch.setitem(sys.modules, module.__name__, module)
    found()
    with pytest.MonkeyPatch.context() as patch:
        fakegpu.install(patch)
        found()
        assert len(calls) == 2
    found()
    assert len(calls) == 3


def test_each_thread_has_its_own_device_and_its_own_prohibitions(monkeypatch):
    gpu = fakegpu.install(monkeypatch, devices=2)
    import cupy as cp

    seen = []

    def other():
        seen.append((cp.cuda.runtime.getDevice(), cp.zeros(3).device.id))

    with cp.cuda.Device(1), gpu.strict():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert seen == [(0, 0)]


def test_a_process_finds_the_fake_from_its_start():
    code = "import cupy; print(cupy.cuda.runtime.getDeviceCount(), cupy.ones(3).sum())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | fakegpu.environment(devices=2),
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("2 3.0\n", "")
