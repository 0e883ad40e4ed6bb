"""The table of times, and the file it is kept in."""

import json
import os

import pytest

from minidl.engines import times
from minidl.engines.times import Table


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "tuning.json"


def test_what_was_added_is_there_in_memory_and_in_the_file(path):
    table = Table(path)
    assert table.get("conv") == {}
    table.add("conv", {"jit": 1.5})
    table.add("conv", {"gemm": 2.5})
    table.add("pool", {"jit": 0.5})
    assert table.get("conv") == Table(path).get("conv") == {"jit": 1.5, "gemm": 2.5}
    assert json.loads(path.read_text()) == {
        "format": 1,
        "milliseconds": {"conv": {"jit": 1.5, "gemm": 2.5}, "pool": {"jit": 0.5}},
    }
    assert os.listdir(path.parent) == ["tuning.json"]


def test_a_table_without_a_file_lives_in_memory():
    table = Table(None)
    table.add("conv", {"jit": 1.5})
    assert table.get("conv") == {"jit": 1.5}
    assert Table(None).get("conv") == {}


def test_what_another_process_wrote_meanwhile_stays(path):
    ours, theirs = Table(path), Table(path)
    theirs.add("pool", {"jit": 0.5})
    theirs.add("conv", {"jit": 9.5})
    ours.add("conv", {"jit": 1.5})
    assert Table(path).get("pool") == {"jit": 0.5}
    assert Table(path).get("conv") == {"jit": 1.5}


DAMAGED = {
    "cut off": ('{"format": 1, "millise', "is damaged: Unterminated string"),
    "no text": (b"\xff\xfe\x00", "is damaged"),
    "a list": ("[1, 2]", "is of format None, this version of minidl writes 1"),
    "of the future": ('{"format": 2}', "is of format 2, this version of minidl writes 1"),
    "empty": ('{"format": 1}', "is damaged: it holds no times"),
    "words": ('{"format": 1, "milliseconds": {"conv": {"jit": "1"}}}', "is damaged: it holds no"),
}


@pytest.mark.parametrize("content, why", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_file_that_cannot_be_used_is_said_to_be_so_once_and_replaced(content, why, path, caplog):
    path.parent.mkdir()
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    table = Table(path)
    assert table.get("conv") == {}
    table.add("conv", {"jit": 1.5})
    (said,) = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert said.startswith(f"plans are measured again: {path} {why}")
    assert Table(path).get("conv") == {"jit": 1.5}


def test_a_folder_that_cannot_be_written_is_said_to_be_so_once(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    table = Table(tmp_path / "file" / "tuning.json")
    table.add("conv", {"jit": 1.5})
    table.add("pool", {"jit": 0.5})
    assert table.get("conv") == {"jit": 1.5}
    said = [line for line in caplog.messages if line.startswith("times of plans are not kept")]
    assert len(said) == 1 and "tuning.json" in said[0]


def test_the_environment_names_the_file(monkeypatch, tmp_path):
    monkeypatch.delenv("MINIDL_TUNING", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert times.file() == tmp_path / "home" / ".cache" / "minidl" / "tuning.json"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert times.file() == tmp_path / "home" / ".cache" / "minidl" / "tuning.json"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert times.file() == tmp_path / "caches" / "minidl" / "tuning.json"
    monkeypatch.setenv("MINIDL_TUNING", "here.json")
    assert str(times.file()) == "here.json"


def test_without_a_home_nothing_is_kept(monkeypatch, caplog):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("MINIDL_TUNING", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(times.Path, "home", homeless)
    assert times.file() is None
    assert "there is no home folder; set MINIDL_TUNING" in caplog.text
