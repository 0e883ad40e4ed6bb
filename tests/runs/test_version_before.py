"""A run that the version before this one wrote: it goes on, and its figures are read.

The files are those of `minidl train solver.prototxt` at commit 0aa4a20, after 20 iterations.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest

from minidl.cli import main
from minidl.cli.plot import panels
from minidl.runs import store
from minidl.storage import weight_files

FILES = Path(__file__).with_name("version_before")
INPUTS = ("net.prototxt", "solver.prototxt", "digits_lmdb")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The run in a folder of its own, which is the current one."""
    inputs = shutil.ignore_patterns(*INPUTS)
    shutil.copytree(FILES, tmp_path / "run", ignore=inputs)
    for name in INPUTS:
        copy = shutil.copytree if (FILES / name).is_dir() else shutil.copy
        copy(FILES / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "run"


def figures(record, since=0):
    """All that a record holds of the iterations from `since` on, without its times."""
    return (
        [(r.iteration, r.rate, r.outputs) for r in record.train if r.iteration >= since],
        [(r.iteration, r.rate, r.outputs) for r in record.tests[0] if r.iteration >= since],
        [(iteration, loss) for iteration, _, loss in record.loss if iteration >= since],
    )


def test_its_snapshot_goes_on_to_the_same_numbers(run):
    before = store.record(run)
    (run / "events.jsonl").unlink()
    assert main(["train", "solver.prototxt", "-snapshot", "run/lenet_iter_10.solverstate"]) == 0
    for ours, theirs in zip(figures(store.record(run)), figures(before, 10), strict=True):
        assert len(ours) == len(theirs) >= 2
        for mine, its in zip(ours, theirs, strict=True):
            assert mine[:-1] == its[:-1]
            assert mine[-1] == pytest.approx(its[-1], rel=1e-4)  # other processors round otherwise
    for mine, its in zip(
        *(weight_files.read(f / "lenet_iter_20.caffemodel").layers for f in (run, FILES)),
        strict=True,
    ):
        for ours, theirs in zip(mine.blobs, its.blobs, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


def test_a_run_goes_on_in_its_event_file(run):
    assert main(["train", "solver.prototxt", "-snapshot", "run/lenet_iter_10.solverstate"]) == 0
    record = store.record(run)
    assert [row.iteration for row in record.train] == [0, 5, 10, 15, 10, 15]
    (curve,) = (c for c in panels([record], ["run"], "iterations")["loss"] if not c.tested)
    assert [iteration for iteration, _ in curve.points] == [0, 5, 10, 15, 20]


def test_its_events_and_its_log_are_read_to_the_same_curves():
    events, log = (store.record(FILES / name) for name in ("events.jsonl", "lenet.log"))
    assert figures(events)[2] == [
        (0, 2.415358781814575),
        (5, 2.28710401058197),
        (10, 2.1007381478945417),
        (15, 2.1981020768483486),
        (20, 2.073757966359457),
    ]
    assert [(r.iteration, round(r.outputs["accuracy"], 6)) for r in events.tests[0]] == [
        (0, 0.075),
        (10, 0.2),
        (20, 0.35),
    ]
    assert [rate for *_, rate in events.rates] == pytest.approx(
        [0.05 * (1 + 0.01 * i) ** -0.75 for i in (0, 5, 10, 15)], rel=1e-6
    )
    drawn, of_log = (panels([r], ["run"], "iterations") for r in (events, log))
    for panel, curves in drawn.items():
        for mine, its in zip(curves, of_log[panel], strict=True):
            assert mine.label == its.label
            assert np.allclose(mine.points, its.points, rtol=1e-5)  # six digits in a log


def test_it_is_drawn(run):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    assert main(["plot", "run", "-o", "run.svg"]) == 0
    assert "test accuracy" in Path("run.svg").read_text()
