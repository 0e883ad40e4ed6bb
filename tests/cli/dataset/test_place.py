"""A data set is made as a job: what its folder says while it is made, when it fails, is killed."""

import itertools
import json
import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from minidl.cli import main
from minidl.data import described
from minidl.data.sources.lmdb import Lmdb
from minidl.runs import job

image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
pytest.importorskip("lmdb", reason="lmdb is not installed")

RNG = np.random.default_rng(1)
WORDS = ["dataset", "folder", "pictures", "--out", "out"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i in range(12):
        Path("pictures", str(i % 2)).mkdir(parents=True, exist_ok=True)
        image.fromarray(RNG.integers(0, 256, (4, 5), np.uint8)).save(f"pictures/{i % 2}/{i}.png")
    return tmp_path


def test_the_folder_says_how_the_job_went():
    assert main(WORDS) == 0
    asked, status = job.read("out"), job.status("out")
    assert (asked.kind, asked.argv) == ("dataset", tuple(WORDS))
    assert [state for state, _ in status.history] == [job.RUNNING, job.DONE]
    assert (status.done, status.total, status.unit) == (12, 12, "pictures")
    assert "Writing out/train_lmdb: 10 pictures" in Path("out/dataset.log").read_text()


def test_progress_goes_from_nothing_to_all_of_the_pictures(monkeypatch):
    seen = []
    monkeypatch.setattr(
        job.Report, "progress", lambda self, *words, force=False: seen.append(words)
    )
    assert main([*WORDS, "--val", "0"]) == 0
    assert seen == sorted(seen) and seen[-1] == (12, 12, "pictures") and len(seen) == 37


def test_a_job_that_a_page_made_fails_where_it_stands():
    Path("out").mkdir()
    job.write("out", job.Job("dataset", name="mine"))
    assert main([*WORDS, "--min", "50"]) == 2
    assert job.status("out").state == job.FAILED and "at least two" in str(job.status("out").error)
    assert main(WORDS) == 0
    assert job.status("out").state == job.DONE and job.read("out").name == "mine"


def test_a_refusal_leaves_nothing_where_there_was_nothing():
    assert main([*WORDS, "--min", "50"]) == 2
    assert not Path("out").exists()
    Path("out").mkdir()
    Path("out/mine").touch()
    assert main([*WORDS, "--min", "50"]) == 2
    assert os.listdir("out") == ["mine"]


def contents(out="out"):
    """Everything that a data set is, but for times."""
    found = {p: (Path(out) / p).read_bytes() for p in ("train.txt", "train.labels", "mean.png")}
    for part in ("train", "val"):
        store = Lmdb(Path(out, f"{part}_lmdb"))
        found[part] = [
            (r.key, r.image.tobytes(), r.label) for r in map(store.__getitem__, range(len(store)))
        ]
        store.close()
    return found


def killed_at(number, words):
    """Run a command in a process that ends at once before the `number`-th file takes its place;
    return whether it came so far."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
        child = os.fork()
    if not child:
        count = itertools.count(1)
        before = os.replace, Path.rename

        def replace(*names):
            return os._exit(9) if next(count) == number else before[0](*names)

        def rename(*names):
            return os._exit(9) if next(count) == number else before[1](*names)

        os.replace, Path.rename = replace, rename
        os._exit(main(words))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("there", [False, True], ids=["new", "replaced"])
def test_killed_anywhere_it_looks_complete_only_if_it_is(there, capfd):
    assert main([*WORDS, "--seed", "1"]) == 0
    shutil.move("out", "whole")
    (Path("whole/dataset.json")).rename("whole/other")
    for number in itertools.count(1, 2):
        shutil.rmtree("out", ignore_errors=True)
        words = [*WORDS, "--seed", "1"]
        if there:
            assert main([*WORDS, "--seed", "2", "--val", "50"]) == 0
            words.append("--force")
        old = contents() if there else None
        if not killed_at(number, words):
            break
        if described.is_one("out"):
            assert contents() in (contents("whole"), old)
        assert main([*WORDS, "--seed", "1", "--force"]) == 0, capfd.readouterr().err
        assert contents() == contents("whole")
        assert not [name for name in os.listdir("out") if name.endswith((".new", ".old"))]
    assert number > 10


def test_a_page_that_looks_meanwhile_sees_a_file_whole():
    assert main(WORDS) == 0
    found = json.loads(Path("out/dataset.json").read_text())
    assert found["format"] == described.FORMAT and found["task"] == "classification"
