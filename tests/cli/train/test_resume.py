"""minidl train --resume RUN: the run's own words, and the same bits."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from minidl.cli import main
from minidl.runs import events, job


@pytest.fixture
def stopped(run_folder, monkeypatch):
    """A function that trains and is stopped in iteration 5; the folder is the current one."""
    from minidl.solver.caffe_log import CaffeLog

    original = CaffeLog.on_display

    def pressed(self, solver, info):
        original(self, solver, info)
        if solver.iter == 5:
            signal.raise_signal(signal.SIGINT)

    def train(*words):
        with monkeypatch.context() as patch:
            patch.setattr(CaffeLog, "on_display", pressed)
            assert main(["train", *words]) == 130

    return train


WORDS = ["solver.prototxt", "--set", "base_lr=0.02", "--seed", "3", "--set", "weight_decay=0.01"]


def last():
    """The bytes of the last snapshot."""
    paths = [Path(f"run/tiny_iter_20.{end}") for end in ("caffemodel", "solverstate")]
    return [path.read_bytes() for path in paths]


def test_a_resumed_run_is_the_run_that_was_never_stopped(stopped, run_folder, capsys, monkeypatch):
    assert main(["train", *WORDS]) == 0
    whole = last()
    shutil.rmtree("run")
    stopped(*WORDS)
    words = job.read("run").argv
    os.mkdir("elsewhere")
    monkeypatch.chdir("elsewhere")
    assert main(["train", "--resume", "../run"]) == 0
    assert os.getcwd() == str(run_folder / "elsewhere")
    monkeypatch.chdir(run_folder)
    assert last() == whole
    assert job.read("run").argv == words == ("train", *WORDS)
    assert [s for s, _ in job.status("run").history] == ["running", "stopped", "running", "done"]
    resumed = [e for e in events.read(run_folder / "run/events.jsonl") if type(e) is events.Resume]
    assert [e.state for e in resumed] == ["run/tiny_iter_6.solverstate"]
    assert f"minidl train {' '.join(WORDS)}  (in {run_folder})" in capsys.readouterr().out


def test_words_that_are_added_count_too_and_are_kept(stopped, capsys):
    stopped("solver.prototxt")
    assert main(["train", "-resume=run", "--set", "max_iter=8"]) == 0
    assert os.path.exists("run/tiny_iter_8.solverstate")
    assert job.read("run").argv == ("train", "solver.prototxt", "--set", "max_iter=8")


def test_a_run_that_began_with_weights_goes_on_with_its_own(stopped, capsys):
    assert main(["train", "solver.prototxt", "--set", "snapshot_prefix=first/t"]) == 0
    stopped("solver.prototxt", "-weights", "first/t_iter_20.caffemodel")
    os.remove("first/t_iter_20.caffemodel")
    assert main(["train", "--resume", "run"]) == 0
    assert job.read("run").needs == {"weights": "../first"}


def refusal(capsys, *words):
    capsys.readouterr()
    assert main(["train", "--resume", *words]) == 2
    return capsys.readouterr().err


def test_what_cannot_be_resumed_is_refused_in_words(stopped, run_folder, capsys):
    assert "there is no such folder" in refusal(capsys, "nowhere")
    assert "holds no job.json" in refusal(capsys, "train_lmdb")
    os.mkdir("data")
    job.write("data", job.Job("dataset", ("dataset", "folder", "x")))
    assert "is the folder of minidl dataset" in refusal(capsys, "data")
    stopped("solver.prototxt", "--set", "snapshot_after_train=false")
    err = refusal(capsys, "run")
    assert "has no snapshot yet" in err
    assert "begin again: minidl train solver.prototxt --set snapshot_after_train=false" in err
    assert main(["train", "solver.prototxt"]) == 0
    err = refusal(capsys, "run")
    assert "is complete: its snapshot is of iteration 20 of 20" in err and "max_iter=N" in err


def test_a_run_that_was_moved_says_how_to_go_on(stopped, run_folder, capsys):
    stopped("solver.prototxt")
    os.rename("run", "moved")
    err = refusal(capsys, "moved")
    assert "was moved: its command writes to run" in err
    assert main(["train", "--resume", "moved", "--set", "snapshot_prefix=moved/tiny"]) == 0
    assert os.path.exists("moved/tiny_iter_20.caffemodel") and not os.path.exists("run")


def test_a_run_whose_folder_of_work_is_gone_says_so(stopped, run_folder, tmp_path, capsys):
    stopped("solver.prototxt")
    made = job.read("run")
    job.write("run", job.Job("train", made.argv, cwd="../was/here"))
    assert f"its command ran in {run_folder / 'was/here'}" in refusal(capsys, "run")


def test_a_tree_that_was_moved_as_a_whole_goes_on(stopped, run_folder, monkeypatch, capsys):
    stopped("solver.prototxt")
    os.mkdir("deeper")
    for name in ("run", "solver.prototxt", "net.prototxt", "train_lmdb", "test_lmdb"):
        shutil.move(name, "deeper")
    assert main(["train", "--resume", "deeper/run"]) == 0
    assert os.path.exists("deeper/run/tiny_iter_20.caffemodel")
