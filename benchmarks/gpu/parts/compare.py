"""`minidl time --compare cpu,cuda:0`: the course's table with this machine in it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gpu.cases import Case, Facts, Settings, Wrong

ZOO = Path(__file__).resolve().parents[3] / "zoo"
NETS = {"lenet": "lenet/lenet_train_test.prototxt", "alexnet": "alexnet/train_val.prototxt"}
BATCHES = {"lenet": "64", "alexnet": "64,128,256"}


def cases(settings: Settings) -> Iterator[Case]:
    for net in ("lenet",) if settings.tiny else NETS:
        batches, iterations = ("2", 2) if settings.tiny else (BATCHES[net], 20)
        yield Case(net, functools.partial(compared, net, batches, iterations))


def compared(net: str, batches: str, iterations: int) -> Facts:
    """Seconds on both devices, the GPU in TF32, the CPU in float32."""
    from minidl.cli import compare, parser_for

    words = [str(ZOO / NETS[net]), "--compare", "cpu,cuda:0", "--batches", batches]
    words += ["--iterations", str(iterations), "--math", "tf32"]
    found = compare.measure(parser_for("time").read(words))
    facts = {"compare": found, "text": compare.report(found)}
    failed = [
        cell["error"]
        for row in found["rows"]
        for cell in row["devices"].values()
        if "error" in cell
    ]
    if failed:
        raise Wrong("; ".join(failed), facts)
    return facts
