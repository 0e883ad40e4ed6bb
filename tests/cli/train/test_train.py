"""minidl train: what it leaves, what it prints, what it refuses."""

import json
import os
import re
import shutil
from datetime import datetime

import pytest

from minidl.cli import main
from minidl.runs import job
from minidl.storage import caffemodel
from tests.support import ROOT, shared

FILES = ["tiny.log", "events.jsonl", "tiny_iter_10.caffemodel", "tiny_iter_10.solverstate"]
FILES += ["tiny_iter_20.caffemodel", "tiny_iter_20.solverstate"]
FILES += ["trained_net.prototxt", "preprocess.json", "job.json", "status.json"]


@pytest.fixture(params=[(), ("-gpu", "0")], ids=["cpu", "gpu"])
def train(request):
    """`minidl train` on the CPU, and on a fake GPU."""
    if request.param:
        request.getfixturevalue("gpu")
    return lambda *words: main(["train", *words, *request.param])


def events(path="run/events.jsonl"):
    with open(path) as file:
        return [json.loads(line) for line in file]


def parse_log(lines):
    """What Caffe's parse_log.py and extract_seconds.py take from a log, by their rules.

    Rows (kind, iteration, seconds since "Solving", name, value): from the first line that says
    "Iteration <n>" on, every line begins with a date that can be read, or is passed over.
    """
    start, iteration, rows = None, None, []
    for line in lines:
        words = line.split()
        match = re.search(r"Iteration (\d+)", line)
        if match:
            iteration = int(match.group(1))
        if start is None and "Solving" not in line:
            continue
        stamp = datetime.strptime(f"2026{words[0][1:]} {words[1]}", "%Y%m%d %H:%M:%S.%f")
        if start is None:
            start = stamp
        if iteration is None:
            continue
        for kind in ("Train", "Test"):
            found = re.search(kind + r" net output #(\d+): (\S+) = ([\.\deE+-]+)", line)
            if found:
                seconds = (stamp - start).total_seconds()
                rows.append((kind, iteration, seconds, found.group(2), float(found.group(3))))
        found = re.search(r"lr = ([-+]?[0-9]*\.?[0-9]+([eE]?[-+]?[0-9]+)?)", line)
        if found:
            rows.append(("lr", iteration, 0.0, "lr", float(found.group(1))))
    return rows


def test_a_run_leaves_snapshots_log_and_events_and_says_where(run_folder, capsys, train):
    assert train("solver.prototxt") == 0
    assert sorted(p.name for p in (run_folder / "run").iterdir()) == sorted(FILES)
    out = capsys.readouterr().out.splitlines()
    last = events()[-2]
    assert (last["event"], last["iter"]) == ("test", 20)
    accuracy, loss = last["outputs"]["accuracy"], last["outputs"]["loss"]
    assert out == [
        f"test accuracy = {accuracy:.4g}, loss = {loss:.4g}",
        "weights  run/tiny_iter_20.caffemodel",
        "state    run/tiny_iter_20.solverstate",
        "log      run/tiny.log",
        "events   run/events.jsonl",
    ]


def test_the_log_is_what_caffes_parsers_read(run_folder, capsys, train):
    assert train("-solver", "solver.prototxt") == 0
    lines = capsys.readouterr().err.splitlines()
    assert (run_folder / "run" / "tiny.log").read_text().splitlines() == lines
    first = next(i for i, line in enumerate(lines) if "Solving tiny" in line)
    rows = parse_log(lines[first:])
    shown = [(kind, i, name, value) for kind, i, _, name, value in rows]
    by_event = []
    for event in events():
        if event["event"] == "test":
            by_event += [("Test", event["iter"], n, v) for n, v in event["outputs"].items()]
        elif event["event"] == "display" and not event["final"]:
            by_event += [("Train", event["iter"], n, v) for n, v in event["outputs"].items()]
            by_event += [("lr", event["iter"], "lr", event["lr"])]
    assert [row[:3] for row in shown] == [row[:3] for row in by_event]
    for row, event in zip(shown, by_event, strict=True):
        assert row[3] == pytest.approx(event[3], rel=1e-5)
    assert [i for kind, i, _, _ in shown if kind == "lr"] == [0, 5, 10, 15]
    assert all(0 <= row[2] < 60 for row in rows)


def bare(lines):
    """Lines from the start of a run on, without their heads and numbers."""
    texts = [line.partition("] ")[2] for line in lines]
    texts = texts[texts.index("Starting Optimization") :]
    number = r"(?<![\w#])[-+]?\d+(\.\d+)?(e[+-]?\d+)?"
    return [re.sub(number, "N", re.sub(r"\S+(caffemodel|state)$", "F", t)) for t in texts]


def test_line_by_line_the_log_is_caffes(tmp_path, monkeypatch, capsys, train):
    monkeypatch.chdir(tmp_path)
    for name in ("cli_net.prototxt", "cli_solver.prototxt"):
        (tmp_path / name).write_bytes((shared("golden/cli") / name).read_bytes())
    assert train("-solver", "cli_solver.prototxt") == 0
    recorded = (shared("golden/cli") / "cli_train.log").read_text().splitlines()
    assert bare(capsys.readouterr().err.splitlines()) == bare(recorded)


def test_the_log_shows_the_solver_that_ran_settings_included(run_folder, capsys):
    words = ["--set", "max_iter=3", "--set", "snapshot=0", "--seed", "11", "-stage", "x,y"]
    assert main(["train", "solver.prototxt", *words, "-level", "2"]) == 0
    text = (run_folder / "run" / "tiny.log").read_text()
    head = text[: text.index("Solver scaffolding done.")]
    for line in ["max_iter: 3", "random_seed: 11", '  stage: "x"', '  stage: "y"', "  level: 2"]:
        assert f"\n{line}\n" in head
    assert events()[0]["max_iter"] == 3 and events()[0]["seed"] == 11


def weights(path):
    return {la.name: [b.tolist() for b in la.blobs] for la in caffemodel.read(path).layers}


def test_going_on_from_a_snapshot_gives_the_same_end(run_folder, capsys, train):
    assert train("solver.prototxt") == 0
    end = run_folder / "run" / "tiny_iter_20.solverstate"
    model = end.with_suffix(".caffemodel")
    before = end.read_bytes(), model.read_bytes()
    end.unlink()
    model.unlink()
    for snapshot in ("run/tiny_iter_10.solverstate", "latest"):
        assert train("solver.prototxt", "-snapshot", snapshot) == 0
        assert (end.read_bytes(), model.read_bytes()) == before
        if snapshot != "latest":
            end.unlink()
    resumed = [e["state"] for e in events() if e["event"] == "resume"]
    assert resumed == ["run/tiny_iter_10.solverstate"] * 2
    assert "Resuming from run/tiny_iter_10.solverstate" in capsys.readouterr().err


def test_fine_tuning_starts_from_weights(run_folder, capsys, train):
    assert train("solver.prototxt") == 0
    start = "run/tiny_iter_20.caffemodel"
    words = ["--set", "max_iter=0", "--set", "snapshot_prefix=tuned/t", "-weights", start]
    assert train("solver.prototxt", *words) == 0
    assert weights("tuned/t_iter_0.caffemodel") == weights(start)


def test_weights_by_comma_are_loaded_in_order(run_folder, capsys):
    for seed in ("1", "2"):
        words = ["--seed", seed, "--set", "max_iter=0", "--set", f"snapshot_prefix=s{seed}/t"]
        assert main(["train", "solver.prototxt", *words]) == 0
    both = "s1/t_iter_0.caffemodel,s2/t_iter_0.caffemodel"
    words = ["--set", "max_iter=0", "--set", "snapshot_prefix=run/t", "-weights", both]
    assert main(["train", "solver.prototxt", *words]) == 0
    assert weights("run/t_iter_0.caffemodel") == weights("s2/t_iter_0.caffemodel")
    assert weights("s1/t_iter_0.caffemodel") != weights("s2/t_iter_0.caffemodel")


def test_weights_on_the_command_line_replace_those_of_the_file(run_folder, capsys):
    assert main(["train", "solver.prototxt", "--set", "max_iter=0"]) == 0
    there = ["--set", "weights=gone.caffemodel", "--set", "max_iter=0"]
    assert main(["train", "solver.prototxt", *there]) == 2
    assert main(["train", "solver.prototxt", *there, "-weights", "run/tiny_iter_0.caffemodel"]) == 0


def test_log_dir_takes_log_and_events(run_folder, capsys):
    words = ["--set", "max_iter=1", "--set", "snapshot=0", "-log_dir", "logs/deep"]
    assert main(["train", "solver.prototxt", *words]) == 0
    assert sorted(p.name for p in (run_folder / "logs/deep").iterdir()) == [
        "events.jsonl",
        "tiny.log",
    ]
    assert "log      logs/deep/tiny.log\nevents   logs/deep/events.jsonl" in capsys.readouterr().out


REFUSALS = {
    "weights and snapshot": (["-weights", "a", "-snapshot", "b"], "exclude each other"),
    "no such snapshot": (["-snapshot", "run/x.solverstate"], "there is no folder 'run'"),
    "no such weights": (["-weights", "nets.prototxt"], "did you mean 'net.prototxt'?"),
    "a bad setting": (["--set", "max_itre=3"], "did you mean 'max_iter'?"),
    "a bad value": (["--set", "max_iter=-3"], "max_iter is -3"),
    "no latest": (["-snapshot", "latest"], "no complete snapshot run/tiny_iter_N.solverstate"),
    "gpu": (["-gpu", "all"], "-gpu all: minidl trains on one GPU at a time"),
    "effect": (["-sigint_effect", "die"], "'die'"),
    "prefix folder": (["--set", "snapshot_prefix=net.prototxt/a/b"], "folder cannot be made"),
    "log folder": (["-log_dir", "net.prototxt"], "log file net.prototxt/tiny.log: cannot be"),
}


@pytest.mark.parametrize("words, text", REFUSALS.values(), ids=REFUSALS.keys())
def test_bad_input_ends_with_2_and_a_reason(words, text, run_folder, capsys):
    assert main(["train", "solver.prototxt", *words]) == 2
    err = capsys.readouterr().err
    assert err.count("minidl: error: ") == 1 and text in err and "Traceback" not in err


def test_a_solver_that_is_refused_leaves_nothing_behind(run_folder, capsys):
    before = sorted(run_folder.iterdir())
    assert main(["train", "solver.prototxt", "--set", "momentum=7"]) == 2
    assert "momentum is 7" in capsys.readouterr().err
    assert sorted(run_folder.iterdir()) == before


def stop_at(monkeypatch, place, iteration):
    """Let Ctrl-C be pressed when the solver calls `place` of its log in that iteration."""
    import signal

    from minidl.solver.caffe_log import CaffeLog

    original = getattr(CaffeLog, place)

    def pressed(self, solver, *values):
        original(self, solver, *values)
        if solver.iter == iteration:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(CaffeLog, place, pressed)


def test_a_stop_ends_with_130_and_says_how_to_go_on(run_folder, capsys, monkeypatch):
    stop_at(monkeypatch, "on_display", 5)
    words = ["--set", "test_iter=2", "-stage", "a,b", "-level", "1"]
    assert main(["train", "solver.prototxt", *words]) == 130
    out = capsys.readouterr().out.splitlines()
    assert out[-2:] == [
        "stopped by SIGINT after 6 of 20 iterations",
        "resume with: minidl train solver.prototxt -snapshot run/tiny_iter_6.solverstate "
        "--set test_iter=2 -level 1 -stage a,b",
    ]
    assert "(after 0 iterations)" in out[0] and events()[-1]["event"] == "stop"


def test_a_stop_without_a_snapshot_says_so(run_folder, capsys, monkeypatch):
    stop_at(monkeypatch, "on_display", 5)
    assert main(["train", "solver.prototxt", "--set", "snapshot_after_train=false"]) == 130
    assert "no snapshot of it was written" in capsys.readouterr().out.splitlines()[-1]


def test_a_stop_in_a_test_leaves_the_test_for_the_run_that_goes_on(run_folder, capsys, monkeypatch):
    stop_at(monkeypatch, "on_test_start", 10)
    assert main(["train", "solver.prototxt"]) == 130
    assert "Test interrupted." in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.chdir(run_folder)
    assert main(["train", "solver.prototxt", "-snapshot", "latest"]) == 0
    assert [e["iter"] for e in events() if e["event"] == "test"] == [0, 10, 20]


def test_ctrl_c_in_the_last_test_breaks_that_off_but_the_training_is_done(
    run_folder, capsys, monkeypatch
):
    stop_at(monkeypatch, "on_test_start", 20)
    assert main(["train", "solver.prototxt"]) == 0
    assert "stopped by" not in capsys.readouterr().out


def test_a_run_that_diverges_ends_with_1_and_the_log_has_the_reason(run_folder, capsys):
    words = ["--set", "base_lr=1e30", "--set", "snapshot=0"]
    assert main(["train", "solver.prototxt", *words]) == 1
    err = capsys.readouterr().err
    assert "minidl: error: net 'tiny', iteration " in err and "layer '" in err
    reason = events()[-1]["message"]
    assert events()[-1]["event"] == "error" and reason in err
    assert reason in (run_folder / "run" / "tiny.log").read_text()


def test_a_bug_leaves_its_traceback_in_the_log(run_folder, capsys, monkeypatch):
    from minidl.solver import Solver

    def broken(self):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(Solver, "apply_update", broken)
    assert main(["train", "solver.prototxt"]) == 1
    assert "this is a bug in minidl (ZeroDivisionError" in capsys.readouterr().err
    log = (run_folder / "run" / "tiny.log").read_text()
    assert "Traceback" in log and "in broken" in log


FAULTS = {
    "net.prototxt is gone": lambda folder: (folder / "net.prototxt").unlink(),
    "net.prototxt is no net": lambda folder: (folder / "net.prototxt").write_text("layer {"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_net_that_cannot_be_read_is_said_before_anything_is_written(fault, run_folder, capsys):
    fault(run_folder)
    before = sorted(run_folder.rglob("*"))
    assert main(["train", "solver.prototxt"]) == 2
    assert "net.prototxt" in capsys.readouterr().err
    assert sorted(run_folder.rglob("*")) == before


def test_weights_of_the_file_that_are_absent_are_said_before_anything_is_written(
    run_folder, capsys
):
    text = (run_folder / "solver.prototxt").read_text()
    (run_folder / "solver.prototxt").write_text(text + 'weights: "no.caffemodel"\n')
    before = sorted(run_folder.rglob("*"))
    assert main(["train", "solver.prototxt"]) == 2
    assert "no.caffemodel" in capsys.readouterr().err
    assert sorted(run_folder.rglob("*")) == before


@pytest.mark.parametrize(
    "solver", sorted(ROOT.glob("zoo/*/*solver.prototxt")), ids=lambda p: f"{p.parent.name}-{p.stem}"
)
def test_the_zoos_solvers_find_their_nets_from_any_folder(solver, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    copy = tmp_path / "installed" / solver.parent.name
    shutil.copytree(solver.parent, copy)  # away from the checkout, as in site-packages
    words = ["-shape", "3,256,256"] if solver.parent.name == "alexnet" else []
    assert main(["check", str(copy / solver.name), *words]) == 0
    assert capsys.readouterr().out.count(", phase T") == 2


# ---------------------------------------------------------------------- as a job


def test_a_run_is_a_job_that_is_done(run_folder, capsys):
    words = ["train", "solver.prototxt", "--seed", "3"]
    assert main(words) == 0
    made, found = job.read("run"), job.status("run")
    assert (made.kind, made.argv, made.cwd, made.name) == ("train", tuple(words), "..", "run")
    assert set(made.versions) == {"minidl", "python"}
    assert (found.state, found.done, found.total, found.unit) == ("done", 20, 20, "iterations")
    assert found.memory > 1 << 20 and found.error == {}


def test_a_stopped_run_is_stopped_and_done_when_it_has_gone_on(run_folder, capsys, monkeypatch):
    stop_at(monkeypatch, "on_display", 5)
    assert main(["train", "solver.prototxt"]) == 130
    found = job.status("run")
    assert (found.state, found.done) == ("stopped", 6)
    monkeypatch.undo()
    monkeypatch.chdir(run_folder)
    assert main(["train", "solver.prototxt", "-snapshot", "latest"]) == 0
    assert [s for s, _ in job.status("run").history] == ["running", "stopped", "running", "done"]


def test_a_run_that_fails_says_why_in_its_status(run_folder, capsys):
    assert main(["train", "solver.prototxt", "--set", "base_lr=1e30", "--set", "snapshot=0"]) == 1
    found = job.status("run")
    assert found.state == "failed" and found.error["type"] == "DivergedError"
    assert "layer '" in found.error["message"]


def test_a_run_knows_whose_weights_it_began_with(run_folder, capsys):
    assert main(["train", "solver.prototxt"]) == 0
    words = ["--set", "max_iter=0", "--set", "snapshot_prefix=tuned/t"]
    assert (
        main(["train", "solver.prototxt", *words, "-weights", "run/tiny_iter_20.caffemodel"]) == 0
    )
    assert job.read("tuned").needs == {"weights": "../run"}


def test_two_runs_do_not_train_in_one_folder_at_a_time(run_folder, capsys):
    """But one after the other they may, with a prefix each."""
    assert main(["train", "solver.prototxt", "--set", "snapshot_prefix=run/a"]) == 0
    assert main(["train", "solver.prototxt", "--set", "snapshot_prefix=run/b"]) == 0
    from minidl.runs import processes

    parent = os.getppid()
    at_work = job.Status("running", pid=parent, started=processes.token(parent))
    job.write_status("run", at_work)
    before = {p: p.read_bytes() for p in (run_folder / "run").iterdir()}
    assert main(["train", "solver.prototxt", "--set", "snapshot_prefix=run/c"]) == 2
    err = capsys.readouterr().err
    assert f"run: process {parent} is at work in this folder" in err and "minidl stop run" in err
    assert {p: p.read_bytes() for p in (run_folder / "run").iterdir()} == before


def test_a_run_whose_process_was_killed_does_not_hold_the_folder(run_folder, capsys):
    os.makedirs("run")
    job.write_status("run", job.Status("running", pid=os.getppid(), started="of another"))
    assert main(["train", "solver.prototxt"]) == 0


# ---------------------------------------------------------------------- and its epochs


def press(monkeypatch, number, iteration):
    """Let a signal come in the display of that iteration."""
    import signal

    from minidl.solver.caffe_log import CaffeLog

    original = CaffeLog.on_display

    def pressed(self, solver, info):
        original(self, solver, info)
        if solver.iter == iteration:
            signal.raise_signal(number)

    monkeypatch.setattr(CaffeLog, "on_display", pressed)


def test_the_end_of_every_epoch_is_an_event(run_folder, capsys):
    assert main(["train", "solver.prototxt"]) == 0
    assert (events()[0]["data"], events()[0]["epoch_iters"]) == (50, 6.25)
    ends = [(e["iter"], e["epoch"]) for e in events() if e["event"] == "epoch"]
    assert ends == [(7, 1), (13, 2), (19, 3)]  # 50 records in batches of 8


def test_a_run_stops_with_its_epoch(run_folder, capfd, monkeypatch):
    import signal

    press(monkeypatch, signal.SIGUSR1, 10)
    assert main(["train", "solver.prototxt", "--set", "iter_size=1"]) == 128 + signal.SIGUSR1
    out, err = capfd.readouterr()
    assert "stopped by SIGUSR1 after 13 of 20 iterations" in out
    assert "-snapshot run/tiny_iter_13.solverstate" in out
    assert "minidl: SIGUSR1: stopping when this epoch ends" in err
    assert job.status("run").state == "stopped" and events()[-1]["event"] == "stop"


def test_a_run_in_its_last_epoch_is_complete(run_folder, capsys, monkeypatch):
    import signal

    press(monkeypatch, signal.SIGUSR1, 15)
    assert main(["train", "solver.prototxt", "--set", "max_iter=19"]) == 0
    assert job.status("run").state == "done" and events()[-1]["event"] == "end"


def test_where_no_epoch_is_known_the_run_stops_after_the_step(run_folder, capsys, monkeypatch):
    import signal

    text = (run_folder / "net.prototxt").read_text()
    start = text.index('layer {\n  name: "digits"')
    end = text.index('layer {\n  name: "digits"', start + 1)
    dummy = """layer { name: "d" type: "DummyData" top: "data" top: "label" include { phase: TRAIN }
      dummy_data_param { shape { dim: 8 dim: 1 dim: 7 dim: 7 } shape { dim: 8 } } }
    """
    (run_folder / "net.prototxt").write_text(text[:start] + dummy + text[end:])
    press(monkeypatch, signal.SIGUSR1, 5)
    assert main(["train", "solver.prototxt"]) == 128 + signal.SIGUSR1
    out, err = capsys.readouterr()
    assert "after 6 of 20 iterations" in out
    assert "does not say where an epoch ends: stopping after this step" in err
    assert events()[0]["data"] == 0
