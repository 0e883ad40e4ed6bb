"""Contenders are processes that work when told to; blocks of steps come in turns."""

from __future__ import annotations

import importlib.util

import pytest

from benchmarks.alternate import Contender, Declined, Ended, alternate

PRODUCTS = {"side": "product", "library": "numpy", "sizes": [16, 32]}


def contender(job: dict, **environment: str) -> Contender:
    return Contender("somebody", job, threads=1, environment=environment)


def test_a_contender_does_what_it_is_told():
    with contender(PRODUCTS) as one:
        times = one.block(3)
        rates = one.check(2)
        facts = one.facts()
    assert len(times) == 3 and min(times) > 0
    assert len(rates) == 4  # two numbers, best rates by size, after each of two steps
    assert rates[2] >= rates[0] > 0
    assert facts["gflops"] >= max(rates) > 0
    assert set(facts["gflops by size"]) == {"16", "32"}


def test_threads_and_variables_reach_the_process():
    check = (
        "import os, sys; e = os.environ;"
        "sys.exit((e['OMP_NUM_THREADS'], e['OPENBLAS_NUM_THREADS'], e['MINE']) != ('1', '1', 'x'))"
    )
    with contender({"side": "start", "words": ["-c", check]}, MINE="x") as one:
        assert one.block(1)


def test_peak_memory_is_the_contenders_own():
    ballast = b"x" * 300_000_000  # what the parent has had must not count
    with contender(PRODUCTS) as one:
        peak = one.facts()["peak_bytes"]
    if peak is None:
        pytest.skip("this system does not tell")
    assert 5_000_000 < peak < len(ballast)


def test_peak_memory_counts_what_was_given_back(tmp_path):
    (tmp_path / "lenet.caffemodel").write_bytes(bytes(60_000_000))
    with contender(
        {"side": "file", "task": "read", "net": "lenet", "folder": str(tmp_path)}
    ) as one:
        before = one.facts()["peak_bytes"]
        one.block(1)  # reads the file into an array, and forgets it
        after = one.facts()["peak_bytes"]
    if None in (before, after):
        pytest.skip("this system does not tell")
    assert after - before > 55_000_000


@pytest.mark.skipif(bool(importlib.util.find_spec("torch")), reason="PyTorch is here")
def test_who_lacks_its_library_declines_and_says_which():
    with pytest.raises(Declined, match="torch is not installed here"):
        contender({"side": "torch", "task": "train", "net": "lenet", "batch": 1})


def test_who_breaks_off_is_named(capfd):
    with pytest.raises(Ended, match="the process of somebody ended with status 1"):
        contender({"side": "product", "library": "no such"})
    assert "KeyError: 'no such'" in capfd.readouterr().err


class Fake:
    """Logs its blocks; its steps take 1, 2, 3, ... seconds."""

    def __init__(self, name: str, log: list) -> None:
        self.name, self.log, self.times = name, log, []

    def block(self, steps: int) -> list[float]:
        self.log.append((self.name, steps))
        return [float(i + 1) for i in range(steps)]


def test_blocks_alternate_and_everybody_begins_in_turn():
    log: list = []
    a, b, c = (Fake(name, log) for name in "abc")
    alternate([a, b, c], rounds=4, steps=[3, 1, 4])
    assert "".join(name for name, _ in log) == "abcbcacababc"
    assert dict(log) == {"a": 3, "b": 1, "c": 4}
    assert (a.times, b.times, c.times) == ([2.0] * 4, [1.0] * 4, [2.5] * 4)  # medians
