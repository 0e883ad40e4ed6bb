"""Files appear whole or not at all, and paths that cannot be used are refused with a reason."""

import errno
import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from minidl.errors import RunError, UsageError
from minidl.storage import files
from tests.support import ROOT


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_what_was_written_is_read(tmp_path):
    path = tmp_path / "a.bin"
    files.write_all(path, [b"abc", np.arange(3, dtype=np.uint8), b""])
    assert bytes(files.read(path)) == b"abc\x00\x01\x02"
    assert names(tmp_path) == ["a.bin"]


def test_an_empty_file_is_read_as_no_bytes(tmp_path):
    (tmp_path / "empty").touch()
    assert files.read(tmp_path / "empty").size == 0


def test_an_error_half_way_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(KeyError), files.replacing(path) as file:
        file.write(b"new")
        raise KeyError
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_a_full_disk_is_a_run_error_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))  # files may not grow beyond this
    try:
        with pytest.raises(RunError, match=r"a\.bin: cannot be written: File too large(.|\n)*free"):
            files.write_all(path, [bytes(50_000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_failing_sync_is_a_run_error(tmp_path, monkeypatch, code):
    def fsync(_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(RunError, match=os.strerror(code)):
        files.write_all(tmp_path / "a.bin", [b"x"])
    assert names(tmp_path) == []


def test_the_bytes_are_on_disk_before_the_name_is(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("sync"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda *a: (calls.append("rename"), replace(*a)))
    files.write_all(tmp_path / "a.bin", [b"x"])
    assert calls == ["sync", "rename", "sync"]  # file, name, folder


HOPELESS = {
    "no folder": ("absent/a.bin", r"there is no such folder(.|\n)*mkdir -p .*absent"),
    "a file as a folder": ("plain/a.bin", "a part of the path is not a folder"),
    "a folder": ("folder", "there is a folder of this name"),
    "a long name": ("n" * 300, "the name is too long"),
}


@pytest.mark.parametrize("name, message", HOPELESS.values(), ids=HOPELESS.keys())
def test_a_path_that_cannot_be_written_is_refused(tmp_path, name, message):
    (tmp_path / "plain").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match=message):
        files.write_all(tmp_path / name, [b"x"])
    assert names(tmp_path) == ["folder", "plain"]


def test_check_writable_finds_out_beforehand_and_leaves_nothing(tmp_path):
    files.check_writable(tmp_path / "lenet")
    assert names(tmp_path) == []
    with pytest.raises(UsageError, match="there is no such folder"):
        files.check_writable(tmp_path / "absent" / "lenet")


def test_check_writable_names_a_lack_of_permission(tmp_path, monkeypatch):
    def touch(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.touch", touch)
    with pytest.raises(UsageError, match="lenet: cannot be written: permission denied"):
        files.check_writable(tmp_path / "lenet")


def test_a_killed_writer_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    code = (
        "import os, sys; from minidl.storage import files\n"
        "with files.replacing(sys.argv[1]) as f:\n"
        "    f.write(b'n' * 100_000); f.flush(); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], cwd=ROOT)
    assert done.returncode == -9
    assert path.read_bytes() == b"old"
    (partial,) = [name for name in names(tmp_path) if name != "a.bin"]
    assert partial.startswith("a.bin.partial-")


UNREADABLE = {
    "absent": ("weigths.bin", r"there is no such weights file\n  fix: did you mean 'weights.bin'"),
    "a folder": (".", "is a folder"),
    "a pipe": ("pipe", "is not a regular file"),
    "a NUL in the name": ("a\0b", "cannot be read"),
}


@pytest.mark.parametrize("name, message", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_path_that_cannot_be_read_is_refused(tmp_path, name, message):
    (tmp_path / "weights.bin").touch()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match=message):
        files.read(os.path.join(tmp_path, name), "weights")


def test_a_file_too_large_for_memory_is_a_run_error(tmp_path, monkeypatch):
    (tmp_path / "weights.bin").write_bytes(b"12345")

    def empty(*_):
        raise MemoryError

    monkeypatch.setattr(np, "empty", empty)
    with pytest.raises(RunError, match="not enough memory for its 5 bytes"):
        files.read(tmp_path / "weights.bin", "weights")


def test_a_file_larger_than_the_memory_or_its_limit_is_refused_unread(tmp_path):
    with open(tmp_path / "w", "wb") as file:
        file.truncate(1 << 40)  # a hole: it takes no space
    with pytest.raises(UsageError, match=r"w: has 1,099,511,627,776 bytes\n.*weights of at most"):
        files.read(tmp_path / "w", "weights")
    with pytest.raises(UsageError, match=r"has 1,099,511,627,776 bytes\n.*text of at most 1,000$"):
        files.read(tmp_path / "w", "text", limit=1000)
    assert files.read(tmp_path / "w", "weights", most=3).tobytes() == bytes(3)


@pytest.mark.parametrize("path", ["", ".", "..", "a/..", "/", "a\0b"])
def test_what_names_no_new_file_is_refused_in_words(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for write in (files.check_writable, lambda p: files.write_all(p, [b"x"])):
        with pytest.raises(UsageError, match="is not a valid file name"):
            write(path)
    assert names(tmp_path) == []
