"""The table that people read, and what programs find in the JSON file."""

from __future__ import annotations

import json

from benchmarks import entries, report
from benchmarks.rows import Race
from benchmarks.verdict import Faster, Memory, Outcome, Timed

RACE = Race(
    "alexnet-float32",
    "AlexNet training",
    entries.minidl("train", "alexnet", 64),
    (entries.opencv("alexnet", 64),),
    (Faster("OpenCV", at_least=2.0), Faster("PyTorch", at_least=9.0), Memory("OpenCV")),
    rounds=3,
    steps=1,
)
OURS = Timed("minidl", [1.0, 1.1, 0.9], 64, {"threads": 2})
OUTCOME = Outcome(
    OURS,
    {"OpenCV": Timed("OpenCV", [1.5, 2.2, 1.8], 64, {"opencv": "4"})},
    absent={"PyTorch": "torch is not installed here"},
    differences={"OpenCV": 2.5e-7},
)


def recorded() -> dict:
    return {"race": RACE.name, "title": RACE.title} | report.record(RACE, OUTCOME)


def test_json_holds_every_round_and_every_reason():
    found = json.loads(json.dumps(recorded()))
    ours = found["contenders"]["minidl"]
    assert (ours["ms"], ours["best_ms"], ours["images_per_second"]) == (1000.0, 900.0, 64.0)
    assert ours["rounds_ms"] == [1000.0, 1100.0, 900.0]
    assert ours["facts"] == {"threads": 2}
    (row,) = found["rows"]
    assert (row["against"], row["found"][0], row["reached"]) == ("OpenCV", 1.8, False)
    assert found["skipped"]["PyTorch"] == "torch is not installed here"
    assert "does not say how much memory" in found["skipped"]["OpenCV"]


def test_the_table_says_what_was_found_wanted_and_left_out():
    text = "\n".join(report.lines(recorded()))
    assert "minidl" in text and "1000 ms" in text and "64 images/s" in text
    assert "1.80 x" in text and ">= 2" in text and "NOT reached" in text
    assert "skipped, PyTorch: torch is not installed here" in text
    assert "all compute the same to 2e-07" in text or "to 3e-07" in text


def test_a_disturbed_race_says_so():
    assert "other programs" not in "\n".join(report.lines(recorded() | {"used by others": 0.01}))
    text = "\n".join(report.lines(recorded() | {"used by others": 0.31}))
    assert "other programs used 31% of the machine" in text


def test_races_that_did_not_run_say_why():
    assert report.lines({"title": "t", "declined": "no AMX"}) == ["t", "   skipped: no AMX"]
    assert report.lines({"title": "t", "failed": "status 1"}) == ["t", "   FAILED: status 1"]


def test_the_courses_table_has_20_iterations_of_ours():
    text = report.course([recorded()])
    assert text[2].split() == ["64", "64", "20.0"]
    assert text[3].split() == ["128", "124", "-"]
    assert report.course([]) == []


def test_the_summary_counts():
    races = [recorded(), {"declined": "x"}, {"failed": "y"}]
    assert report.summary(races) == "0 goals reached, 1 not, 1 races skipped, 1 FAILED"
