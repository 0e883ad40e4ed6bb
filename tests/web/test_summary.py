"""What the page says of a job in each of its states, from its files alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from minidl.runs import job, processes
from minidl.web import summary
from minidl.web.figures import Figures
from minidl.web.tree import Tree
from tests.web.making import display, events, make, test_of


def summed(root, name="run", curves=True):
    found = Tree(root)
    found.look()
    entry = found.entries[name]
    facts = None
    if curves and entry.events:
        figures = Figures(entry.events)
        figures.look()
        facts = figures.facts()
    return summary.of(root, entry, facts)


@pytest.mark.parametrize("state", [job.DONE, job.STOPPED, job.ABORTED, job.FAILED, job.PAUSED])
def test_a_job_that_is_over(root, state):
    error = {"type": "DataError", "message": "no pictures"} if state == job.FAILED else {}
    make(root / "run", state=state, status={"error": error, "done": 5, "total": 10, "rate": 2.0})
    one = summed(root)
    assert one["state"] == state and one["ended"] is not None and one["eta"] is None
    assert (one["done"], one["total"], one["error"]) == (5, 10, error)


def test_a_job_that_waits(root):
    make(root / "run", state=job.WAITING, status={"place": 3})
    one = summed(root)
    assert (one["state"], one["place"], one["started"], one["ended"]) == ("waiting", 3, None, None)
    assert one["elapsed"] == 0


def test_a_job_that_runs_says_when_it_will_be_done(root):
    status = {"done": 20, "total": 100, "rate": 4.0, "unit": "iterations"}
    make(root / "run", state=job.RUNNING, status=status)
    one = summed(root)
    assert (one["state"], one["eta"], one["ended"]) == ("running", 20.0, None)
    assert one["unit"] == "iterations"


def test_a_job_whose_process_is_gone_is_interrupted(root):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    status = {"pid": process.pid, "started": processes.token(process.pid), "at": time.time()}
    make(root / "run", state=job.RUNNING, status=status)
    assert summed(root)["state"] == "running"
    process.communicate(b"\n")
    one = summed(root)
    assert one["state"] == "interrupted" and one["ended"] == pytest.approx(status["at"], abs=5)


def test_the_time_that_a_job_ran_leaves_out_its_pauses(root):
    history = (("waiting", 0.0), ("running", 10.0), ("stopped", 15.0), ("waiting", 20.0))
    history += (("running", 100.0), ("done", 107.0))
    make(root / "run")
    job.write_status(root / "run", job.Status(state="done", history=history))
    one = summed(root)
    assert (one["started"], one["ended"], one["elapsed"]) == (10.0, 107.0, 12.0)


@pytest.mark.parametrize("text", ["", "{}", "[]", "no", '{"format": "minidl job 2"}', "[" * 9999])
def test_a_job_that_cannot_be_read_says_so(root, text):
    run = make(root / "run")
    (run / "job.json").write_text(text)
    one = summed(root)
    assert one["state"] == "failed" and "job.json" in one["error"]["message"]


@pytest.mark.parametrize("text", ["", "{}", '{"format": "minidl status 1", "done": "x"}'])
def test_a_status_that_cannot_be_read_says_so(root, text):
    run = make(root / "run", name="mine")
    (run / "status.json").write_text(text)
    one = summed(root)
    assert one["state"] == "failed" and "status.json" in one["error"]["message"]
    assert one["name"] == "mine"


def test_a_job_without_a_status_is_not_running(root):
    run = make(root / "run")
    (run / "status.json").unlink()
    assert summed(root)["state"] == "stopped"


ENDS = {"end": "done", "stop": "stopped", "error": "failed", "display": "running"}


@pytest.mark.parametrize("event, state", ENDS.items())
def test_a_run_without_a_job_is_judged_by_its_events(root, event, state):
    last = display(9, 1.0) if event == "display" else {"event": event, "time": 1009.0, "iter": 9}
    start = {"event": "start", "time": 1000.0, "iter": 0, "max_iter": 20}
    path = events(root / "run", start, display(0, 2.0), last)
    one = summed(root)
    assert (one["state"], one["adopted"], one["kind"]) == (state, True, "train")
    assert (one["done"], one["total"], one["created"]) == (9, 20, 1000.0)
    os.utime(path, (1e9, 1e9))
    assert summed(root)["state"] == ("interrupted" if state == "running" else state)


def test_figures_are_summed_up(root):
    run = make(root / "run")
    events(run, *(display(i, 1.0 / (i + 1)) for i in range(200)), test_of(10, accuracy=0.5))
    one = summed(root)
    assert one["metrics"]["train loss"]["min"] == 1 / 200
    assert one["metrics"]["test accuracy"]["best"] == 0.5
    assert 2 < len(one["spark"]) <= 60


def test_an_evaluation_has_its_figures(root):
    run = make(root / "run", "evaluate")
    facts = {"format": "minidl evaluation 1", "top1": 0.75, "loss": 0.5, "iter": 7, "map": True}
    (run / "evaluation.json").write_text(json.dumps(facts))
    metrics = summed(root)["metrics"]
    assert set(metrics) == {"top1", "loss"} and metrics["top1"]["best"] == 0.75


def test_parents_are_named_by_their_ids(root):
    make(root / "data" / "pets", "dataset")
    needs = {"data": "../../data/pets", "weights": "../../../elsewhere"}
    make(root / "runs" / "a", needs=needs)
    one = summed(root, "runs/a")
    assert one["parents"] == {"data": "data/pets", "weights": str(root.parent / "elsewhere")}


def test_all_of_a_job_is_said_at_once(root):
    run = make(root / "run", argv=("train", "a b.prototxt"), notes="hm", form={"rate": "0.1"})
    for name in ("net_iter_5.caffemodel", "net_iter_5.solverstate", "net_iter_10.caffemodel.h5"):
        (run / name).write_bytes(b"12345")
    found = Tree(root)
    found.look()
    facts = summary.details(root, found.entries["run"], {"epoch_iters": 4})
    assert facts["command"] == "minidl train 'a b.prototxt'"
    assert [(s["iter"], s["epoch"], s["bytes"]) for s in facts["snapshots"]] == [
        (5, 1.25, 10),
        (10, 2.5, 5),
    ]
    assert facts["snapshots"][1]["state"] is None
    assert facts["notes"] == "hm" and facts["form"] == {"rate": "0.1"}
    assert [step[0] for step in facts["history"]] == ["waiting", "running", "done"]
    assert {"job.json", "status.json"} <= {file["name"] for file in facts["files"]}
