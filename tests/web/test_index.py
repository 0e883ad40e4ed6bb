"""The cache: it may be deleted, broken or locked at any time, and nothing stops."""

from __future__ import annotations

import sqlite3

import pytest

from minidl.web import index
from minidl.web.index import SUFFIXES, Index


@pytest.fixture
def made(tmp_path):
    found = Index(tmp_path / "deep" / "index.sqlite")
    yield found
    found.close()


def test_what_was_kept_is_found_by_its_mark(made):
    made.keep_facts("runs/a", "1", {"best": 0.5})
    made.keep_figures("runs/a", "{}", b"\0\1")
    assert made.facts("runs/a", "1") == {"best": 0.5}
    assert made.facts("runs/a", "2") is None and made.facts("runs/b", "1") is None
    assert made.figures("runs/a") == ("{}", b"\0\1") and made.figures("runs/b") is None


def test_it_is_there_for_the_next_server(made):
    made.keep_facts("a", "1", {"x": 1})
    made.close()
    second = Index(made.path)
    assert second.facts("a", "1") == {"x": 1}
    second.close()


@pytest.mark.parametrize("suffixes", [SUFFIXES, ("",), ("-wal",), ("-shm",)])
def test_it_may_be_deleted_while_it_is_open(made, suffixes):
    made.keep_facts("a", "1", {"x": 1})
    for suffix in suffixes:
        made.path.with_name(made.path.name + suffix).unlink(missing_ok=True)
    made.facts("a", "1")  # whatever it says
    made.keep_facts("a", "2", {"x": 2})
    assert made.facts("a", "2") == {"x": 2}


def test_a_deleted_folder_comes_back(made):
    import shutil

    made.keep_facts("a", "1", {})
    shutil.rmtree(made.path.parent)
    assert made.facts("a", "1") is None
    made.keep_facts("a", "1", {})
    assert made.facts("a", "1") == {} and made.path.is_file()


@pytest.mark.parametrize(
    "text", [b"", b"no database at all" * 100, b"SQLite format 3\0" + b"x" * 999]
)
def test_a_broken_file_is_made_anew(tmp_path, text):
    path = tmp_path / "index.sqlite"
    path.write_bytes(text)
    found = Index(path)
    found.keep_facts("a", "1", {"x": 1})
    assert found.facts("a", "1") == {"x": 1}
    found.close()


def test_one_of_another_version_is_thrown_away(made):
    made.keep_facts("a", "1", {"x": 1})
    made.close()
    base = sqlite3.connect(made.path)
    base.execute(f"PRAGMA user_version = {index.VERSION + 1}")
    base.close()
    assert made.facts("a", "1") is None
    made.keep_facts("a", "1", {"x": 2})
    assert made.facts("a", "1") == {"x": 2}


def test_without_a_place_to_write_there_is_no_cache(tmp_path):
    (tmp_path / "file").write_text("")
    found = Index(tmp_path / "file" / "index.sqlite")
    found.keep_facts("a", "1", {})
    assert found.facts("a", "1") is None
