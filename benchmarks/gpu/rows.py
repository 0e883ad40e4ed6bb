"""The races against PyTorch on one GPU, and what has to come out: the issue's table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks.entries import Entry
from benchmarks.rows import Race
from benchmarks.verdict import Faster, Goal, Seconds

ITERATIONS = {"alexnet": 20, "lenet": 200}  # in a step of a race
PYTORCH, GRAPHED = "PyTorch", "PyTorch, CUDA graph"
LARGE = 256
# Of the largest loss, in four steps on few images: what the arithmetic and its order can do.
CHECKS = {"float32": 1e-3, "tf32": 2e-2, "bf16": 5e-2}
# Seconds for 20 iterations of AlexNet at a batch of 256 in TF32, on an H200.
H200 = 0.25


class GpuEntry(Entry):
    """An Entry a step of which is many iterations."""

    @property
    def images(self) -> int:
        return int(self.job["batch"] * self.job["iterations"])

    def quick(self) -> Entry:
        return replace(self, job=self.job | {"batch": 2, "iterations": 1}, steps=1)


def ours(net: str, batch: int, math: str) -> Entry:
    options = {"device": "cuda:0", "math": math, "share": True, "tuning": "measure"}
    return GpuEntry("minidl", "minidl", _job("minidl_gpu", net, batch) | {"options": options})


def pytorch(net: str, batch: int, math: str) -> tuple[Entry, ...]:
    """Eager, in both of its memory formats."""
    job = _job("torch_gpu", net, batch) | {"math": math}
    return tuple(
        GpuEntry(PYTORCH, f"{PYTORCH} ({math}, {name})", job | {"channels_last": last})
        for name, last in {"plain": False, "channels last": True}.items()
    )


def graphed(net: str, batch: int, math: str) -> Entry:
    job = _job("torch_gpu", net, batch) | {"math": math, "graph": True}
    return GpuEntry(GRAPHED, f"{GRAPHED} ({math})", job)


def _job(side: str, net: str, batch: int) -> dict[str, Any]:
    found = {"side": side, "task": "train", "net": net, "batch": batch}
    return found | {"iterations": ITERATIONS[net]}


def alexnet(math: str, at_least: float | None, more: tuple[Goal, ...] = ()) -> Race:
    return Race(
        f"alexnet-{math}",
        f"AlexNet training, batch {LARGE}, {math}, steps of {ITERATIONS['alexnet']} iterations",
        ours("alexnet", LARGE, math),
        pytorch("alexnet", LARGE, math),
        (Faster(PYTORCH, at_least=at_least), *more),
        rounds=7,
        steps=1,
        nets=("alexnet",),
        check=CHECKS[math],
    )


def lenet() -> Race:
    """PyTorch as one writes it; and recorded as a graph, to be fair, without a goal."""
    job = ("lenet", 64, "float32")
    return Race(
        "lenet",
        f"LeNet training, batch 64, float32, steps of {ITERATIONS['lenet']} iterations",
        ours(*job),
        (*pytorch(*job), graphed(*job)),
        (Faster(PYTORCH, at_least=5.0), Faster(GRAPHED)),
        rounds=9,
        steps=1,
        nets=("lenet",),
        check=CHECKS["float32"],
    )


RACES = (
    alexnet("tf32", at_least=1.0, more=(Seconds(H200, against="the clock, on an H200"),)),
    lenet(),
    alexnet("float32", at_least=1.0),
    alexnet("bf16", at_least=None),
)
