"""The races of the GPU: a step is many iterations, and images count accordingly."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.gpu.cases import LeftOut, Wrong
from benchmarks.gpu.parts import races
from benchmarks.gpu.rows import ITERATIONS, RACES, lenet, ours, pytorch
from benchmarks.race import comparable
from benchmarks.verdict import Faster, Seconds
from tests.support import ROOT


def test_images_of_a_step_are_those_of_all_its_iterations():
    assert ours("alexnet", 256, "tf32").images == 20 * 256
    assert ours("alexnet", 256, "tf32").quick().images == 2


def test_both_sides_do_the_same_iterations_of_the_same_batch():
    for race in RACES:
        jobs = [entry.job for entry in (race.ours, *race.rivals)]
        assert len({(job["net"], job["batch"], job["iterations"]) for job in jobs}) == 1


def test_comparing_takes_single_iterations_without_dropout():
    from benchmarks.contenders.minidl_gpu_side import iterations

    entry = ours("alexnet", 256, "tf32")
    assert iterations(entry.job) == 20 and iterations(comparable(entry).job) == 1


def test_the_goals_of_the_issue():
    goals = {race.name: race.goals for race in RACES}
    assert goals["alexnet-tf32"] == (
        Faster("PyTorch", at_least=1.0), Seconds(0.25, against="the clock, on an H200"),
    )  # fmt: skip
    assert goals["alexnet-float32"] == (Faster("PyTorch", at_least=1.0),)
    assert Faster("PyTorch", at_least=5.0) in goals["lenet"]
    assert ITERATIONS["alexnet"] == 20  # the Seconds are those of 20 iterations


@pytest.mark.parametrize(
    "found, error, said",
    [
        ({"failed": "they differ"}, Wrong, "they differ"),
        ({"declined": "no torch"}, LeftOut, "no torch"),
        ({}, None, ""),
    ],
)
def test_what_became_of_a_race_is_what_becomes_of_its_case(monkeypatch, found, error, said):
    rows = {"rows": [], "skipped": {}, "differences": {}, "contenders": {}}
    monkeypatch.setattr(races.run, "measure", lambda *args: {"title": "a race", **rows, **found})
    take_part = functools.partial(races.raced, lenet(), Path(), [], lambda: 60.0)
    if error is None:
        assert take_part()["text"] == "a race"
    else:
        with pytest.raises(error, match=said):
            take_part()


def test_a_race_that_would_be_cut_off_is_not_begun(monkeypatch):
    monkeypatch.setattr(races.run, "measure", lambda *args: pytest.fail("it was begun"))
    with pytest.raises(LeftOut, match="too little time"):
        races.raced(lenet(), Path(), [40.0], lambda: 39.0)


def test_pytorch_trains_as_minidl_does(tmp_path):
    """On the CPU, in the process in which it would train on a GPU; where PyTorch is installed."""
    pytest.importorskip("torch")
    from benchmarks.contenders import torch_gpu_side

    script = ROOT / "benchmarks" / "models.py"
    subprocess.run([sys.executable, str(script), str(tmp_path), "weights", "lenet"], check=True)
    job = pytorch("lenet", 4, "float32")[1].job | {"folder": str(tmp_path), "threads": 1}
    work = torch_gpu_side.work(job | {"device": "cpu", "dropout": False})
    losses = []
    for _ in range(3):
        work.step()
        losses += work.result()
    net = minidl_losses(tmp_path, 3)
    np.testing.assert_allclose(losses, net, rtol=1e-5)
    assert json.dumps(work.facts())


def minidl_losses(folder: Path, steps: int) -> list[float]:
    from benchmarks.contenders import minidl_gpu_side

    job = lenet().ours.job | {"folder": str(folder), "threads": 1, "batch": 4, "dropout": False}
    work = minidl_gpu_side.work(job | {"options": {"device": "cpu", "share": True}})
    found = []
    for _ in range(steps):
        work.step()
        found += work.result()
    return found
