"""The event file, and hooks in general."""

import inspect
import json

import pytest

from minidl.errors import DivergedError, UsageError
from minidl.solver import EventsFile, Hook
from minidl.solver.caffe_log import CaffeLog
from tests.places import on
from tests.solver.support import make

pytestmark = on("cpu", "cuda:0")

RUN = 'max_iter: 4 display: 2 test_iter: 1 test_interval: 2 snapshot: 2 snapshot_prefix: "{}/s"'


def events(path):
    return [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]


def test_a_run_leaves_its_events(tmp_path):
    path = tmp_path / "events.jsonl"
    make(RUN.format(tmp_path), hooks=[EventsFile(path)]).solve()
    found = events(path)
    assert [e["event"] for e in found] == [
        "start",
        "test",
        "display",
        "snapshot",
        "test",
        "display",
        "snapshot",
        "display",
        "test",
        "end",
    ]
    assert [e["iter"] for e in found] == [0, 0, 0, 2, 2, 2, 4, 4, 4, 4]
    assert all(e["time"] > 1.6e9 for e in found)
    start, test, _, snapshot, _, display = found[:6]
    assert (start["net"], start["max_iter"], start["seed"]) == ("tiny", 4, 7)
    assert (start["type"], start["batch_size"], start["iter_size"]) == ("SGD", 6, 1)
    assert (test["net"], set(test["outputs"])) == (0, {"loss"})
    assert snapshot["state"] == f"{tmp_path}/s_iter_2.solverstate"
    assert snapshot["weights"] == f"{tmp_path}/s_iter_2.caffemodel"
    assert {"loss", "lr", "outputs", "seconds", "images"} <= set(display)
    assert found[7]["final"] is True


def test_a_resumed_run_goes_on_in_the_same_file(tmp_path):
    path = tmp_path / "events.jsonl"
    make(RUN.format(tmp_path), hooks=[EventsFile(path)]).solve()
    before = len(events(path))
    again = make(RUN.format(tmp_path), hooks=[EventsFile(path)])
    again.solve(tmp_path / "s_iter_2.solverstate")
    found = events(path)[before:]
    assert [e["event"] for e in found[:3]] == ["start", "resume", "test"]
    assert (found[1]["iter"], found[1]["state"]) == (2, f"{tmp_path}/s_iter_2.solverstate")


def test_a_stop_and_an_error_are_events(tmp_path):
    path = tmp_path / "events.jsonl"
    solver = make("", hooks=[EventsFile(path)])
    solver.request_stop()
    solver.solve()
    assert events(path)[-1]["event"] == "stop"
    solver = make("base_lr: 1e30", hooks=[EventsFile(path)])
    with pytest.raises(DivergedError):
        solver.solve()
    last = events(path)[-1]
    assert (last["event"], last["kind"]) == ("error", "DivergedError")
    assert "the loss is" in last["message"]


def test_an_error_that_is_not_ours_is_an_event_too(tmp_path):
    path = tmp_path / "events.jsonl"
    solver = make("", hooks=[EventsFile(path)])
    solver.add_callback(lambda: 1 / 0, lambda: None)
    with pytest.raises(ZeroDivisionError):
        solver.solve()
    assert events(path)[-1]["kind"] == "ZeroDivisionError"


def test_an_event_file_that_fails_does_not_hide_the_first_error(tmp_path):
    solver = make("base_lr: 1e30", hooks=[EventsFile(tmp_path / "e.jsonl")])

    def gone():
        solver.hooks[-2].path = str(tmp_path / "absent" / "e.jsonl")

    solver.add_callback(gone, lambda: None)
    with pytest.raises(DivergedError):
        solver.solve()


def test_each_event_is_in_the_file_as_soon_as_it_happened(tmp_path):
    path = tmp_path / "events.jsonl"
    solver = make("display: 1", hooks=[EventsFile(path)])
    seen = []
    solver.add_callback(lambda: None, lambda: seen.append(len(events(path))))
    solver.step(3)
    assert seen == [1, 2, 3]


def test_every_point_of_a_hook_does_nothing_by_default_and_is_in_its_docstring():
    points = [name for name in dir(Hook) if name.startswith("on_")]
    assert len(points) == 17
    for name in points:
        count = len(inspect.signature(getattr(Hook, name)).parameters)
        assert getattr(Hook(), name)(*[None] * (count - 1)) is None
        assert f"{name}(solver" in (Hook.__doc__ or "")
    assert {n for n in vars(CaffeLog) if n.startswith("on_")} <= set(points)


def test_events_are_not_added_to_another_file_nor_through_a_link(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    for name, found in (
        ("mine", "is not a file that minidl wrote"),
        ("link", "is a link to .*mine"),
    ):
        with pytest.raises(UsageError, match=found):
            make(RUN.format(tmp_path), hooks=[EventsFile(tmp_path / name)]).solve()
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_file_with_the_name_of_a_snapshot_stops_the_run_before_it_begins(tmp_path):
    (tmp_path / "s_iter_2.caffemodel").write_text("mine")
    with pytest.raises(UsageError, match="s_iter_2.caffemodel: is not a file that minidl wrote"):
        make(RUN.format(tmp_path)).solve()
    assert (tmp_path / "s_iter_2.caffemodel").read_text() == "mine"
