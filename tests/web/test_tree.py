"""Which folders are found, and what is noticed of them."""

from __future__ import annotations

import os

import pytest

from minidl.runs import job
from minidl.web import tree
from minidl.web.tree import Tree
from tests.web.making import display, events, make


def ids(found: Tree) -> set[str]:
    found.look()
    return set(found.entries)


def test_jobs_old_runs_logs_of_caffe_and_old_data_sets_are_found(root):
    make(root / "runs" / "a")
    events(root / "deep" / "er" / "run", display(0, 1.0))
    caffe = root / "caffe"
    caffe.mkdir()
    (caffe / "lenet_solver.prototxt").write_text("net: 'x'")
    (caffe / "caffe.host.INFO.20160101-120000.1").write_text("I0101")
    (root / "data" / "old").mkdir(parents=True)
    (root / "data" / "old" / "preprocess.json").write_text("{}")
    (root / "data" / "old" / "train.txt").write_text("")
    found = Tree(root)
    assert ids(found) == {"runs/a", "deep/er/run", "caffe", "data/old"}
    entries = found.entries
    assert [entries[n].adopted for n in ("runs/a", "caffe", "data/old")] == [False, True, True]
    assert entries["caffe"].events.name.startswith("caffe.host")
    assert entries["caffe"].runs and not entries["data/old"].runs


def test_a_log_without_a_solver_is_no_run(root):
    (root / "logs").mkdir()
    (root / "logs" / "server.log").write_text("hello")
    assert ids(Tree(root)) == set()


@pytest.mark.parametrize(
    "name", [".hidden", "node_modules", "__pycache__", "train_lmdb", "samples"]
)
def test_some_folders_are_never_looked_into(root, name):
    make(root / name / "run")
    assert ids(Tree(root)) == set()


def test_links_are_not_followed(root):
    outside = make(root.parent / "outside")
    (root / "link").symlink_to(outside)
    (root / "again").symlink_to(root)
    assert ids(Tree(root)) == set()


def test_folders_too_deep_are_not_found(root):
    make(root.joinpath(*"abcdef"))
    make(root.joinpath(*"ghijklm"))
    assert ids(Tree(root)) == {"a/b/c/d/e/f"}


def test_the_number_of_folders_is_bounded(root, monkeypatch):
    monkeypatch.setattr(tree, "MOST", 5)
    for i in range(10):
        make(root / f"run{i}")
    found = Tree(root)
    assert len(ids(found)) < 6 and found.truncated


def test_a_job_in_a_job_is_one_of_its_own(root):
    make(root / "run")
    make(root / "run" / "evaluations" / "val", "evaluate")
    assert ids(Tree(root)) == {"run", "run/evaluations/val"}


def test_a_change_is_noticed_and_nothing_else(root):
    first, second = make(root / "a"), make(root / "b")
    found = Tree(root)
    assert found.look() == ({"a", "b"}, set())
    assert found.look() == (set(), set())
    job.change(first, notes="new")
    assert found.look() == ({"a"}, set())
    events(second, display(0, 1.0))
    assert found.look() == ({"b"}, set())
    events(second, display(1, 1.0))
    assert found.look() == ({"b"}, set())


def test_what_is_gone_and_what_comes_is_noticed(root):
    run = make(root / "runs" / "a")
    found = Tree(root)
    found.look()
    os.rename(run, root / "elsewhere")
    assert found.look() == ({"elsewhere"}, {"runs/a"})


def test_a_list_that_cannot_have_changed_is_not_read_again(root, monkeypatch):
    make(root / "a")
    for folder in (root, root / "a"):
        os.utime(folder, (1e9, 1e9))
    found = Tree(root)
    found.look()
    monkeypatch.setattr(os, "scandir", None)
    assert found.look() == (set(), set())


def test_a_folder_that_may_not_be_read_is_passed_over(root):
    make(root / "a")
    locked = root / "locked"
    locked.mkdir()
    locked.chmod(0)
    try:
        assert "a" in ids(Tree(root))
    finally:
        locked.chmod(0o700)
