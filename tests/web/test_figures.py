"""events.jsonl as the page reads it, against the plain reader of minidl.runs, and against files
that are cut, replaced, half-written or broken."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.runs import events as plain
from minidl.web import figures, series
from minidl.web.figures import Figures
from tests.web.making import display, events, test_of

ALL = (None, 10**6, -math.inf, math.inf)


def curve(found: Figures, name: str) -> list[tuple[int, float | None]]:
    columns = found.curves([name], 10**6, -math.inf, math.inf).get(name)
    return list(zip(columns["iter"], columns["value"], strict=True)) if columns else []


def read(path) -> Figures:
    found = Figures(path)
    while found.look():
        pass
    return found


@pytest.fixture
def run(tmp_path):
    return tmp_path / "run"


def test_a_run_of_minidl_is_read_as_the_plain_reader_reads_it(run):
    path = events(run)
    for event in (
        plain.Start(0, net="LeNet", max_iter=20, time=100.0),
        plain.Test(0, 0, {"accuracy": 0.1, "loss": 2.5}, time=101.0),
        plain.Display(0, 2.5, 0.1, {"loss": 2.4, "both": [1.0, 2.0]}, time=102.0),
        plain.Display(10, 1.5, 0.01, {"loss": math.nan}, 2.0, 10, 640, time=103.0),
        plain.Test(10, 1, {"accuracy": 0.7}, loss=0.3, time=104.0),
        plain.Display(20, 1.0, 0.01, {}, final=True, time=105.0),
        plain.End(20, time=106.0),
    ):
        plain.append(path, event)
    found, expected = read(path), plain.record(path)
    assert curve(found, "train loss") == [(i, v) for i, _, v in expected.loss]
    assert curve(found, "lr") == [(i, v) for i, _, v in expected.rates]
    for row in expected.train:
        for name, value in row.outputs.items():
            name = "train loss (batch)" if name == "loss" else f"train {name}"
            assert (row.iteration, None if value != value else value) in curve(found, name)
    assert curve(found, "test accuracy") == [(0, 0.1)]
    assert curve(found, "test#1 accuracy") == [(10, 0.7)]
    assert curve(found, "test#1 loss") == [(10, 0.3)]
    assert curve(found, "images/s") == [(10, 320.0)]
    assert found.facts()["last_event"] == "end"


@given(st.data())
def test_any_growth_of_a_file_gives_the_same_figures(tmp_path_factory, data):
    """Whatever bytes have been written at each look: nothing is lost, nothing comes twice."""
    losses = data.draw(st.lists(st.floats(0, 10), min_size=1, max_size=30))
    text = "".join(json.dumps(display(i, x, outputs={"é": x})) + "\n" for i, x in enumerate(losses))
    whole = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    path = tmp_path_factory.mktemp("grow") / "events.jsonl"
    path.touch()
    found, at = Figures(path), 0
    for cut in [*cuts, len(whole)]:
        with open(path, "ab") as file:
            file.write(whole[at:cut])
        at = cut
        found.look(data.draw(st.sampled_from([50, 1 << 20])))
    while found.look():
        pass
    assert curve(found, "train loss") == list(enumerate(losses))
    assert curve(found, "train é") == list(enumerate(losses))
    assert found.offset == len(whole)


def test_a_line_that_is_half_written_waits(run):
    line = json.dumps(display(1, 0.5))
    path = events(run, display(0, 1.0), line[:30])
    found = read(path)
    assert curve(found, "train loss") == [(0, 1.0)]
    events(run, line[30:] + "\n")
    found.look()
    assert curve(found, "train loss") == [(0, 1.0), (1, 0.5)]


BROKEN = [
    "no json",
    "[]",
    "1",
    "{}",
    '{"event": 3}',
    '{"event": "display", "iter": "x", "time": 1}',
]
BROKEN += [
    '{"event": "display", "iter": -1, "time": 1}',
    "[" * 5000,
    "\x00\x00",
    '{"a": NaN}',
    "{}}",
]
BROKEN += ['{"event": "display", "iter": 1, "time": 1, "loss": "a"}']
BROKEN += ['{"event": "display", "iter": 1e400, "time": 1}', '{"event": "alarm", "iter": 1}']


@pytest.mark.parametrize("line", BROKEN)
def test_a_broken_line_is_passed_over(run, line):
    found = read(events(run, display(0, 1.0), line + "\n", display(2, 0.5)))
    assert curve(found, "train loss") == [(0, 1.0), (2, 0.5)]
    assert found.broken == 1


def test_a_line_of_megabytes_is_passed_over(run, monkeypatch):
    monkeypatch.setattr(figures, "CHUNK", 1000)
    monkeypatch.setattr(figures, "LONGEST_LINE", 5000)
    found = read(events(run, display(0, 1.0), "x" * 20_000 + "\n", display(2, 0.5)))
    assert curve(found, "train loss") == [(0, 1.0), (2, 0.5)]


def test_a_file_that_was_cut_or_replaced_is_read_again(run):
    path = events(run, *(display(i, 1.0) for i in range(10)))
    found = read(path)
    path.write_text(json.dumps(display(3, 0.25)) + "\n")
    found.look()
    assert curve(found, "train loss") == [(3, 0.25)]
    path.unlink()
    assert found.look() is False
    events(run, *(display(i, 2.0) for i in range(20)))
    found.look()
    assert len(curve(found, "train loss")) == 20


def test_a_run_that_goes_on_from_a_snapshot_forgets_what_came_after_it(run):
    start = {"event": "start", "time": 0.0, "iter": 0}
    alarm = {"event": "alarm", "time": 0.0, "iter": 9, "kind": "nan", "layer": "", "text": "!"}
    resume = {"event": "resume", "time": 0.0, "iter": 5, "state": "", "weights": ""}
    before = [display(i, 1.0) for i in range(10)]
    path = events(run, start, *before, alarm, {**start, "iter": 5}, resume, display(6, 0.5))
    found = read(path)
    assert curve(found, "train loss") == [(i, 1.0) for i in range(6)] + [(6, 0.5)]
    assert found.alarms == []


def test_a_run_that_begins_again_in_the_same_folder_begins_again(run):
    start = {"event": "start", "time": 0.0, "iter": 0}
    found = read(events(run, start, display(0, 1.0), display(9, 1.0), start, display(0, 0.5)))
    assert curve(found, "train loss") == [(0, 0.5)]


def test_alarms_histograms_samples_and_epochs_are_listed(run):
    more = {"time": 1.0, "iter": 7}
    found = read(
        events(
            run,
            {"event": "start", "time": 0.0, "iter": 0, "epoch_iters": 4.0, "max_iter": 8},
            display(2, 1.0),
            {"event": "alarm", "kind": "dead", "layer": "relu1", "text": "half is dead", **more},
            {"event": "histograms", "file": "histograms.jsonl", "at": 10, "size": 20, **more},
            {"event": "samples", "folder": "samples/000007", **more},
            {"event": "something new", **more},
        )
    )
    assert [one["layer"] for one in found.alarms] == ["relu1"]
    assert found.histograms == [(7, 10, 20)] and found.samples == [7]
    facts = found.facts()
    assert (facts["alarms"], facts["iter"], facts["max_iter"], facts["epoch"]) == (1, 7, 8, 1.75)
    columns = found.curves(["train loss"], 100, -math.inf, math.inf)["train loss"]
    assert columns["epoch"] == [0.5]


def test_the_best_figure_goes_by_its_name(run):
    path = events(
        run,
        *(display(i, x) for i, x in enumerate([3.0, 1.0, 2.0])),
        *(test_of(i, accuracy=x) for i, x in enumerate([0.1, 0.9, 0.8])),
    )
    metrics = read(path).facts()["metrics"]
    loss, accuracy = metrics["train loss"], metrics["test accuracy"]
    assert (loss["best"], loss["best_iter"], loss["last"]) == (1.0, 1, 2.0)
    assert (accuracy["best"], accuracy["best_iter"], accuracy["min"]) == (0.9, 1, 0.1)


def long_run(run, monkeypatch, count=500):
    monkeypatch.setattr(series, "LIMIT", 16)
    numbers = random.Random(3)
    lines = [display(i, numbers.random()) for i in range(count)]
    lines[count // 2]["loss"] = None
    return events(run, *lines), lines


def test_a_zoom_reads_again_what_memory_does_not_hold(run, monkeypatch):
    path, lines = long_run(run, monkeypatch)
    found = read(path)
    assert found.series["train loss"].every > 1
    columns = found.curves(["train loss"], 1000, 100, 130)["train loss"]
    assert columns["iter"] == list(range(100, 131))
    assert columns["value"] == [line["loss"] for line in lines[100:131]]


def test_a_first_picture_is_made_of_points_of_the_run(run, monkeypatch):
    path, lines = long_run(run, monkeypatch, 3000)
    monkeypatch.setattr(figures, "CHUNK", 8 << 10)
    columns = Figures(path).sample(["train loss"], 50)["train loss"]
    values = {line["iter"]: line["loss"] for line in lines}
    assert all(values[i] == v for i, v in zip(columns["iter"], columns["value"], strict=True))
    assert columns["iter"] == sorted(set(columns["iter"]))
    assert columns["iter"][-1] == 2999 and len(columns["iter"]) >= 40


def test_what_was_read_can_be_kept_and_goes_on(run, monkeypatch):
    path, _ = long_run(run, monkeypatch)
    first = read(path)
    second = Figures(path)
    assert second.restore(*first.dump())
    assert second.offset == first.offset
    events(run, display(500, 99.0), display(501, -99.0))
    first.look()
    second.look()
    assert second.curves(*ALL) == first.curves(*ALL)
    assert second.facts() == first.facts()
    assert second.facts()["metrics"]["train loss"]["max"] == 99.0


def test_what_was_kept_of_another_file_is_thrown_away(run, monkeypatch):
    path, _ = long_run(run, monkeypatch)
    kept = read(path).dump()
    text = path.read_text()
    path.write_text(text.replace('"iter": 7,', '"iter": 8,', 1)[: len(text) - 40])
    assert not Figures(path).restore(*kept)


LOG = """I1231 23:59:58.000000 7 solver.cpp:1] Solving LeNet
I1231 23:59:58.500000 7 solver.cpp:2] Iteration 0, loss = 2.5
I1231 23:59:58.500000 7 solver.cpp:2]     Train net output #0: loss = 2.4 (* 1 = 2.4 loss)
I1231 23:59:58.500000 7 solver.cpp:3] Iteration 0, lr = 0.1
I0101 00:00:01.000000 7 solver.cpp:4] Iteration 5, Testing net (#0)
I0101 00:00:02.000000 7 solver.cpp:5]     Test net output #0: accuracy = 0.75
"""


def test_a_log_of_caffe_is_read_too(run):
    run.mkdir()
    path = run / "caffe.log"
    path.write_text(LOG)
    found = read(path)
    assert curve(found, "train loss") == [(0, 2.5)]
    assert curve(found, "test accuracy") == [(5, 0.75)]
    assert curve(found, "train loss (batch)") == [(0, 2.4)]
    with open(path, "a") as file:
        file.write("I0101 00:00:03.000000 7 solver.cpp:2] Iteration 10, loss = 1.5\n")
    found.look()
    assert curve(found, "train loss") == [(0, 2.5), (10, 1.5)]
    ended, began = found.facts()["ended"], found.facts()["began"]
    assert ended - began == pytest.approx(5.0, abs=0.1)
