"""The table of races: consistent in itself, and with the goals that were set."""

from __future__ import annotations

import json

import pytest

from benchmarks.rows import RACES, Race
from benchmarks.verdict import Floor, Goal, MemoryRecorded, Seconds

BY_NAME = {race.name: race for race in RACES}
each_race = pytest.mark.parametrize("race", RACES, ids=lambda race: race.name)


def goal(race: str, kind: str, against: str = "") -> Goal:
    found = [
        goal
        for goal in BY_NAME[race].goals
        if type(goal).__name__ == kind and goal.against.startswith(against)
    ]
    assert len(found) == 1
    return found[0]


def test_names_are_unique():
    assert len(BY_NAME) == len(RACES)


@each_race
def test_every_goal_names_a_group_that_runs(race: Race):
    groups = {entry.group for entry in race.rivals}
    for goal in race.goals:
        if isinstance(goal, Floor):
            assert any(group.startswith(goal.products) for group in groups)
        elif not isinstance(goal, Seconds | MemoryRecorded) and goal.against != "the clock":
            assert goal.against in groups


@each_race
def test_contenders_can_be_told_apart_and_their_jobs_sent(race: Race):
    everybody = (race.ours, *race.rivals)
    assert len({entry.name for entry in everybody}) == len(everybody)
    assert race.ours.group not in {entry.group for entry in race.rivals}
    for entry in everybody:
        assert json.loads(json.dumps(entry.job)) == entry.job


@each_race
def test_what_a_race_computes_on_is_written_before(race: Race):
    jobs = [entry.job for entry in (race.ours, *race.rivals)]
    assert {job["net"] for job in jobs if "net" in job} == set(race.nets)
    records = {job["records"] for job in jobs if "records" in job}
    assert records == {f"{kind}_lmdb" for kind in race.records}


@each_race
def test_a_quick_race_is_the_same_with_less_to_do(race: Race):
    quick = race.quick()
    assert [e.name for e in quick.rivals] == [e.name for e in race.rivals]
    assert (quick.goals, quick.rounds, quick.steps) == (race.goals, 2, 1)
    assert all(entry.images <= 2 for entry in (quick.ours, *quick.rivals))


def test_both_sides_train_the_same_batch():
    for race in RACES:
        if not race.name.startswith(("alexnet-batch", "data")):
            batches = {e.job["batch"] for e in (race.ours, *race.rivals) if "batch" in e.job}
            assert len(batches) <= 1


def test_the_goals_are_those_that_were_set():
    assert goal("alexnet-float32", "Faster", "PyTorch as installed").at_least == 2.5
    assert goal("alexnet-float32", "Faster", "PyTorch, allocator").at_least == 1.7
    assert goal("alexnet-float32", "Floor").at_most == 1.4
    assert goal("alexnet-bf16", "Faster", "PyTorch").at_least == 3.5
    assert goal("alexnet-batch-128", "Throughput").at_least == 0.95
    assert goal("alexnet-batch-256", "Throughput").at_least == 0.95
    assert goal("lenet-float32", "Faster").at_least == 2.2
    assert goal("lenet-bf16", "Faster", "PyTorch").at_least == 4.0
    assert goal("alexnet-memory", "Memory", "PyTorch").at_most == 0.7
    assert goal("start-help", "Seconds").at_most == 0.3
    for net in ("alexnet", "squeezenet"):
        for batch in (1, 64):
            for rival in ("PyTorch", "OpenCV"):
                assert goal(f"{net}-inference-{batch}", "Faster", rival).at_least == 1.0
