"""minidl device_query: facts about this machine."""

import json

import google.protobuf
import numpy as np

from minidl.cli import main


def test_facts_are_this_processes(capsys):
    assert main(["device_query", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["numpy"] == np.__version__
    assert facts["protobuf"] == google.protobuf.__version__
    assert facts["device"].startswith("cpu ")
    assert "GiB" in facts["memory"] and "usable of" in facts["cores"]
    assert facts["CuPy"].endswith("this version does not use GPUs yet")


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
