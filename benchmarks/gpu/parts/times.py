"""`minidl time` on a GPU: every layer of AlexNet and LeNet against its floor."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import nets
from benchmarks.gpu.cases import Case, Facts, Settings
from minidl import prototxt

GOAL = 2.0  # times the floor, all of a net's iteration
RUNS = (
    ("alexnet", 256, "tf32"),
    ("alexnet", 256, "float32"),
    ("lenet", 64, "float32"),
    ("alexnet", 256, "bf16"),
)


def cases(settings: Settings) -> Iterator[Case]:
    for net, batch, math in RUNS[2:3] if settings.tiny else RUNS:
        size, passes = (2, 2) if settings.tiny else (batch, 20)
        if settings.tiny:
            _shrink()
        tuning = "heuristic" if settings.tiny else "measure"
        run = functools.partial(timed, net, size, math, passes, tuning)
        yield Case(f"{net}, batch {size}, {math}", run)


def timed(net: str, batch: int, math: str, passes: int, tuning: str) -> Facts:
    """The command's table. Its data is there already: reading it is not what is timed."""
    from minidl.cli import parser_for, time_layers

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{net}.prototxt"
        path.write_text(prototxt.to_text(nets.train_net(net, batch)), encoding="utf-8")
        words = [str(path), "-gpu", "0", "--math", math, "--iterations", str(passes)]
        found = time_layers.measure(parser_for("time").read([*words, "--tuning", tuning]))
    over = found.iteration_x_floor
    verdict = f"{over:.2f} times the floor, at most {GOAL:g} is the goal: "
    verdict += "reached" if over <= GOAL else "NOT reached"
    facts = time_layers.facts(found)
    return {"time": facts, "text": f"{time_layers.text(found, net)}\n-> {verdict}"}


def _shrink() -> None:
    """Measure speeds with next to nothing."""
    from minidl.profile import gpu_clock, gpu_floors

    gpu_floors.PRODUCTS, gpu_floors.SIZES, gpu_clock.ENOUGH = (32,), (1 << 12, 1 << 14), 1e-5
