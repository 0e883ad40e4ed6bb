"""A race: everybody computes the same, heats decide who goes on, then all in turns."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from benchmarks import entries
from benchmarks.alternate import Declined
from benchmarks.entries import Entry
from benchmarks.race import Differ, Runner, comparable, differences
from benchmarks.rows import Race
from benchmarks.verdict import Faster

EMPTY = ("-c", "pass")
SLOW = ("-c", "import time; time.sleep(0.1)")


def race(ours: Entry, *rivals: Entry) -> Race:
    return Race("name", "title", ours, rivals, (Faster("others"),), rounds=2, steps=1)


def runner(folder: Path) -> Runner:
    return Runner(folder, threads=1, say=lambda text: None)


def named(group: str, name: str, words: tuple[str, ...]) -> Entry:
    return Entry(group, name, {"side": "start", "words": list(words)})


@pytest.mark.parametrize("order", [("slow", "fast"), ("fast", "slow")])
def test_the_fastest_of_a_group_goes_on_and_the_heats_are_kept(order, tmp_path):
    words = {"slow": SLOW, "fast": EMPTY}
    others = [named("others", name, words[name]) for name in order]
    found = runner(tmp_path).run(race(entries.start("us", *EMPTY), *others))
    assert found.ours.name == "us"
    assert found.rivals["others"].name == "fast"
    assert len(found.rivals["others"].times) == len(found.ours.times) == 2
    assert set(found.heats) == {"slow", "fast"}
    assert len(found.heats["slow"]["seconds"]) == 2
    assert min(found.heats["slow"]["seconds"]) > 0.1


def test_a_group_that_declines_is_absent_for_its_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "cv2.py").write_text("raise ModuleNotFoundError('gone', name='cv2')\n")
    found = runner(tmp_path).run(race(entries.start("us", *EMPTY), entries.opencv("lenet", 1)))
    assert found.absent == {"OpenCV": "cv2 is not installed here"}
    assert not found.rivals


def test_without_our_own_contender_there_is_no_race(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "cv2.py").write_text("raise ModuleNotFoundError('gone', name='cv2')\n")
    with pytest.raises(Declined, match="cv2 is not installed here"):
        runner(tmp_path).run(race(entries.opencv("lenet", 1), entries.start("others", *EMPTY)))


def test_training_is_checked_on_a_few_images_without_dropout():
    entry = comparable(entries.minidl("train", "alexnet", 64))
    assert (entry.job["batch"], entry.job["dropout"]) == (8, False)
    entry = comparable(entries.minidl("infer", "alexnet", 64))
    assert entry.job["batch"] == 64 and "dropout" not in entry.job


def test_what_reads_random_crops_or_computes_no_net_is_not_compared():
    assert comparable(entries.minidl("train", "alexnet", 64, records="raw_lmdb")) is None
    assert comparable(entries.start("us", *EMPTY)) is None
    assert comparable(entries.products()[0]) is None


def test_differences_are_relative_to_the_largest_number():
    found = differences({"us": [1.0, -4.0], "them": [1.001, -4.0]}, allowed=1e-3)
    assert found == {"them": pytest.approx(0.001 / 4)}


@pytest.mark.parametrize("theirs", [[1.0, -4.1], [math.nan, -4.0], [1.0, 4.0]])
def test_who_computes_something_else_ends_the_race(theirs):
    with pytest.raises(Differ, match="us and them differ by"):
        differences({"us": [1.0, -4.0], "them": theirs}, allowed=1e-3)
