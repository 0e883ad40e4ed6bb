"""minidl device_query: facts about this machine."""

import json
from types import SimpleNamespace

import google.protobuf
import numpy as np
import pytest

from minidl.cli import main
from minidl.engines import Declined, onednn
from minidl.threads import VARIABLES, threads
from tests.support import need_onednn


def test_facts_are_this_processes(capsys):
    assert main(["device_query", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["numpy"] == np.__version__
    assert facts["protobuf"] == google.protobuf.__version__
    assert facts["device"].startswith("cpu ")
    assert "GiB" in facts["memory"] and "usable of" in facts["cores"]
    assert facts["CuPy"].endswith("this version does not use GPUs yet")


def queried(capsys):
    assert main(["device_query", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_engine_is_described_with_what_it_can_do(capsys):
    need_onednn()
    engine = onednn.load()
    facts = queried(capsys)
    number, rest = facts["oneDNN"].split(", ", 1)
    assert number == engine.version
    assert rest.startswith(f"{engine.isa}: bfloat16 {'yes' if engine.bf16 else 'no'}, AMX ")
    assert "/" not in facts["oneDNN"]


@pytest.mark.parametrize(
    "isa, bf16, expected",
    [
        ("avx2", False, "9.9.9, avx2: bfloat16 no, AMX no"),
        ("avx512_core_amx", True, "9.9.9, avx512_core_amx: bfloat16 yes, AMX yes"),
    ],
)
def test_units_of_other_machines(isa, bf16, expected, capsys, monkeypatch):
    engine = SimpleNamespace(version="9.9.9", isa=isa, bf16=bf16)
    monkeypatch.setattr(onednn, "load", lambda: engine)
    assert queried(capsys)["oneDNN"] == expected


def test_an_engine_that_is_missing_says_how_to_get_it(capsys, monkeypatch):
    reason = "onednn-cpu-gomp is not installed: pip install onednn-cpu-gomp"
    monkeypatch.setattr(onednn, "load", lambda: Declined(reason))
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
    assert "not installed (pip install cupy-cuda12x would)" in out


def test_gpu_is_refused(capsys):
    assert main(["device_query", "-gpu", "0"]) == 2
    assert "computes on the CPU only" in capsys.readouterr().err
