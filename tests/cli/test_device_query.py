"""minidl device_query: facts about this machine."""

import json
import re
import sys
from types import SimpleNamespace

import google.protobuf
import numpy as np
import pytest

from minidl.arrays.device import INSTALL, Device
from minidl.arrays.threads import VARIABLES, threads
from minidl.cli import main
from minidl.engines.cudnn import library
from minidl.engines.math import BF16
from minidl.engines.onednn import OneDNN
from minidl.engines.request import Declined
from tests import fakegpu
from tests.fakegpu import cudnn as fake_cudnn
from tests.support import need_onednn


def test_facts_are_this_processes(capsys):
    assert main(["device_query", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["numpy"] == np.__version__
    assert facts["protobuf"] == google.protobuf.__version__
    assert facts["device"] == "cpu"
    assert "GiB" in facts["memory"] and "usable of" in facts["cores"]


def queried(capsys):
    assert main(["device_query", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_engine_is_described_with_what_it_can_do(capsys):
    need_onednn()
    engine = OneDNN.load(Device("cpu"))
    facts = queried(capsys)
    number, rest = facts["oneDNN"].split(", ", 1)
    assert number == engine.version
    assert rest.startswith(
        f"{engine.isa}: bfloat16 {'yes' if BF16 in engine.maths else 'no'}, AMX "
    )
    assert "/" not in facts["oneDNN"]


@pytest.mark.parametrize(
    "isa, bf16, expected",
    [
        ("avx2", False, "9.9.9, avx2: bfloat16 no, AMX no"),
        ("avx512_core_amx", True, "9.9.9, avx512_core_amx: bfloat16 yes, AMX yes"),
    ],
)
def test_units_of_other_machines(isa, bf16, expected, capsys, monkeypatch):
    engine = SimpleNamespace(version="9.9.9", isa=isa, maths=[BF16] if bf16 else [])
    monkeypatch.setattr(OneDNN, "load", lambda device: engine)
    assert queried(capsys)["oneDNN"] == expected


def test_an_engine_that_is_missing_says_how_to_get_it(capsys, monkeypatch):
    reason = "onednn-cpu-gomp is not installed: pip install onednn-cpu-gomp"
    monkeypatch.setattr(OneDNN, "load", lambda device: Declined(reason))
    assert queried(capsys)["oneDNN"] == f"array code computes instead: {reason}"


def test_threads_are_said_with_who_set_them(capsys, monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert queried(capsys)["threads"] == f"{threads()} (all usable cores; --threads N changes it)"
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    expected = "3 (OPENBLAS_NUM_THREADS=3; --threads N changes it)"
    assert queried(capsys)["threads"] == expected


def test_what_is_missing_says_how_to_install_it(capsys, monkeypatch):
    from minidl.cli import device_query

    monkeypatch.setattr(device_query, "_version", lambda package: None)
    assert main(["device_query"]) == 0
    out = capsys.readouterr().out
    assert "not installed (for Data layers): pip install lmdb" in out


# ------------------------------------------------------------------ GPUs


def test_every_gpu_is_described(capsys, monkeypatch):
    machine = fakegpu.install(monkeypatch, devices=2, memory=8 << 30)
    Device("cuda:1").zeros((1 << 28,), np.float32)  # and freed: the pool's is available
    facts = queried(capsys)
    expected = "Fake GPU, compute capability 9.0, 4 multiprocessors, 8 GiB, 8 GiB available"
    assert (facts["cuda:0"], facts["cuda:1"]) == (expected, expected)
    assert facts["driver"].startswith("for CUDA ") and "GPU" not in facts
    assert re.fullmatch(r"14\.\d+\.\d+, CUDA 1\d\.\d", facts["CuPy"])
    assert (facts["NVRTC"], facts["cuBLAS"]) == ("13.0", "loaded")
    assert facts["device"] == "cpu"
    machine.check()


def test_the_gpu_that_is_asked_for_is_the_device(capsys, monkeypatch):
    fakegpu.install(monkeypatch, devices=2)
    assert main(["device_query", "-gpu", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["device"] == "cuda:1"
    assert main(["device_query", "-gpu", "all", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["device"] == "cpu"
    assert main(["device_query", "-gpu", "2"]) == 2
    assert "there is no device cuda:2" in capsys.readouterr().err


def test_a_machine_without_a_gpu(capsys, monkeypatch):
    fakegpu.install(monkeypatch, devices=0)
    found = "no GPU can be used: the NVIDIA driver answers cudaErrorNoDevice"
    assert queried(capsys)["GPU"] == found
    assert main(["device_query", "-gpu", "0"]) == 2
    assert found in capsys.readouterr().err


def test_a_machine_without_a_driver(capsys, monkeypatch):
    fakegpu.install(monkeypatch)

    def insufficient():
        raise runtime.CUDARuntimeError("cudaErrorInsufficientDriver", "too old, or none")

    runtime = sys.modules["cupy"].cuda.runtime
    monkeypatch.setattr(runtime, "getDeviceCount", insufficient)
    monkeypatch.setattr(runtime, "driverGetVersion", lambda: 0)
    facts = queried(capsys)
    assert facts["GPU"].endswith("the NVIDIA driver answers cudaErrorInsufficientDriver")
    assert facts["driver"] == "none: install NVIDIA's driver"


def test_a_machine_without_cupy(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)  # importing it fails
    fakegpu.forget()
    facts = queried(capsys)
    assert facts["CuPy"] == f"for computing on a GPU: {INSTALL}"
    assert facts["GPU"] == "no GPU can be used: CuPy is not installed"
    assert "driver" not in facts


def test_a_cupy_that_does_not_load(capsys, monkeypatch):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "cupy":
                raise ImportError("libnvrtc.so.13: no such file", name="cupy_backends")

    for name in [n for n in sys.modules if n.partition(".")[0] == "cupy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    fakegpu.forget()
    facts = queried(capsys)
    expected = "no GPU can be used: CuPy cannot be loaded: libnvrtc.so.13: no such file"
    assert facts["GPU"] == expected
    assert facts["CuPy"] == f"for computing on a GPU: {INSTALL}"


def test_a_cupy_without_cudas_libraries_says_how_to_get_them(capsys, monkeypatch):
    """`pip install cupy-cuda13x` alone brings none of them."""
    fakegpu.install(monkeypatch)

    def not_found():
        raise RuntimeError("CuPy failed to load libnvrtc.so.13: no such file\nand more")

    monkeypatch.setattr(sys.modules["cupy"].cuda.nvrtc, "getVersion", not_found)
    monkeypatch.setitem(sys.modules, "cupy_backends.cuda.libs.cublas", None)
    monkeypatch.setitem(sys.modules, "cupy_backends.cuda.libs", None)
    facts = queried(capsys)
    assert "libnvrtc.so.13: no such file)" in facts["NVRTC"] and INSTALL in facts["NVRTC"]
    assert facts["cuBLAS"].startswith("cuBLAS cannot be loaded") and INSTALL in facts["cuBLAS"]


def test_cudnn_is_described(capsys, monkeypatch):
    fake = fake_cudnn.install(monkeypatch, fakegpu.install(monkeypatch))
    assert queried(capsys)["cuDNN"] == f"9.28.0, {fake.path}"
    fake.close()


def test_a_cudnn_that_is_missing_says_how_to_get_it(capsys, monkeypatch):
    reason = "there is no libcudnn.so.9 (or .8) here: pip install nvidia-cudnn-cu13"
    monkeypatch.setattr(library, "opened", lambda: Declined(reason))
    assert queried(capsys)["cuDNN"] == f"minidl's own kernels compute instead: {reason}"
