"""Early stopping: a run ends when its tests do not get better any more."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import schema
from minidl.solver import EventsFile
from minidl.solver.early_stop import after_tests, reason
from minidl.solver.monitor import Best
from tests.places import on
from tests.solver.support import Diary, make, weights


def param(patience, mode="MAX", min_delta=0.0):
    p = schema.SolverParameter(early_stop_patience=patience)
    p.early_stop_monitor.output, p.early_stop_monitor.min_delta = "acc", min_delta
    p.early_stop_monitor.mode = schema.Monitor.Mode.Value(mode)
    return p


def ended_at(p, figures):
    """The number of the test with which a run ends, or None."""
    best = Best()
    for i, figure in enumerate(figures):
        best, ending = after_tests(best, p, i, [{"outputs": {"acc": figure}}])
        if ending:
            return i
    return None


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.integers(1, 4))
def test_a_run_ends_with_the_first_test_after_so_many_that_are_no_better(figures, patience):
    def ends(i):  # none of the last `patience` is above all before them
        last = i + 1 - patience
        return max(figures[last : i + 1]) <= max(figures[:last])

    expected = next((i for i in range(patience, len(figures)) if ends(i)), None)
    assert ended_at(param(patience), figures) == expected
    assert ended_at(param(patience, "MIN"), [-f for f in figures]) == expected


def test_without_a_monitor_nothing_ends():
    after = after_tests(Best(), schema.SolverParameter(), 5, [{"outputs": {}}])
    assert after == (Best(), None)


def test_the_reason_has_the_figures():
    best, _ = after_tests(Best(), param(1), 100, [{"outputs": {"acc": 0.75}}])
    after, info = after_tests(best, param(1), 200, [{"outputs": {"acc": 0.5}}])
    assert info == {
        "iter": 200,
        "net": 0,
        "output": "acc",
        "value": 0.5,
        "best": 0.75,
        "best_iter": 100,
        "tests": 1,
    }
    assert reason(info) == (
        "acc of test net #0 is 0.5; in the test since iteration 100 it got no better than the 0.75 "
        "of then"
    )
    assert after == best == Best(0.75, 100, 0)  # the test that ends the run is to be done again


STOPS = (
    'max_iter: 20 test_iter: 1 test_interval: 2 early_stop_patience: {} snapshot_prefix: "{}/s" '
    'snapshot_after_train: true early_stop_monitor {{ output: "loss" mode: MIN min_delta: 1e6 }}'
)


@on("cpu", "cuda:0")
def test_a_run_that_ends_says_why_and_leaves_a_snapshot(tmp_path, caplog):
    """No test is better than the first by a million, so the second after it ends the run."""
    caplog.set_level("INFO", "minidl")
    path, notes = tmp_path / "e.jsonl", Diary()
    solver = make(STOPS.format(2, tmp_path), hooks=[EventsFile(path), notes])
    solver.solve()
    assert solver.iter == 4
    assert notes.names()[-4:] == ["test", "early_stop", "snapshot", "end"]
    assert notes.events[-1] == ("end", 4, "stopped")
    said = [r.getMessage() for r in caplog.records]
    at = next(i for i, line in enumerate(said) if line.startswith("Early stopping: Iteration 4, "))
    assert "loss of test net #0 is " in said[at] and "in 2 tests since iteration 0" in said[at]
    assert said[-1] == "Optimization stopped early."
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert [e["event"] for e in events[-3:]] == ["early_stop", "snapshot", "stop"]
    assert (events[-3]["iter"], events[-3]["best_iter"], events[-3]["tests"]) == (4, 0, 2)
    assert events[-3]["value"] == notes.tests[-1][2]["loss"]


@on("cpu", "cuda:0")
def test_going_on_repeats_the_test_and_ends_unless_there_is_more_patience(tmp_path, place):
    first = make(STOPS.format(2, tmp_path))
    first.solve()
    state = tmp_path / "s_iter_4.solverstate"

    again, notes = make(STOPS.format(2, tmp_path / "again")), Diary()
    (tmp_path / "again").mkdir()
    again.hooks.append(notes)
    again.solve(state)
    assert again.iter == 4 and "early_stop" in notes.names()

    whole, patient = (make(STOPS.format(4, tmp_path)) for _ in range(2))
    diaries = Diary(), Diary()
    for solver, diary in zip((whole, patient), diaries, strict=True):
        solver.hooks.append(diary)
    whole.solve()
    patient.solve(state)
    assert whole.iter == patient.iter == 8
    assert diaries[1].tests == diaries[0].tests[2:]  # of iterations 4, 6 and 8
    for mine, theirs in zip(weights(whole), weights(patient), strict=True):
        assert (mine == theirs).all()


def test_a_test_by_hand_and_the_one_at_the_end_do_not_count(tmp_path):
    solver = make(STOPS.format(2, tmp_path).replace("max_iter: 20", "max_iter: 2"))
    for _ in range(3):
        solver.test_all()
    solver.solve()
    assert (solver.iter, solver.early_stop.count) == (2, 0)


def test_all_test_nets_are_tested_before_the_run_ends(tmp_path):
    fields = STOPS.format(1, tmp_path).replace("test_iter: 1", "test_iter: 1 test_iter: 1")
    notes = Diary()
    make(fields, hooks=[notes]).solve()
    assert [(i, net) for i, net, _ in notes.tests] == [(0, 0), (0, 1), (2, 0), (2, 1)]


@pytest.mark.parametrize("patience", [1, 3])
def test_step_ends_with_it_too(tmp_path, patience):
    solver = make(STOPS.format(patience, tmp_path))
    solver.step(20)
    assert solver.iter == 2 * patience
