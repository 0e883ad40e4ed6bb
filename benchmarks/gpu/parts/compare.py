"""`minidl time --compare cpu,cuda:0`: seconds on both, beside a course's table for AlexNet."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gpu.cases import Case, Facts, Settings, Wrong
from benchmarks.report import COURSE

ZOO = Path(__file__).resolve().parents[3] / "zoo"
NETS = {"lenet": "lenet/lenet_train_test.prototxt", "alexnet": "alexnet/train_val.prototxt"}
BATCHES = {"lenet": (64,), "alexnet": tuple(COURSE)}


def cases(settings: Settings) -> Iterator[Case]:
    for net in ("lenet",) if settings.tiny else NETS:
        batches, iterations = ((2,), 2) if settings.tiny else (BATCHES[net], 20)
        yield Case(net, functools.partial(compared, net, batches, iterations))


def compared(net: str, batches: tuple[int, ...], iterations: int) -> Facts:
    """Seconds on both devices, the GPU in TF32, the CPU in float32."""
    from minidl.cli import parser_for, time_training

    words = [str(ZOO / NETS[net]), "--compare", "cpu,cuda:0", "--iterations", str(iterations)]
    words += ["--batches", ",".join(map(str, batches)), "--math", "tf32"]
    found = time_training.measure(parser_for("time").read(words))
    text = time_training.text(found, net)
    if net == "alexnet":
        text += "\nCaffe, published in 2015, 20 iterations:"
        for batch, (cpu, k40) in COURSE.items():
            text += f"\n  batch {batch}: two ten-core CPUs {cpu:g} s, K40 {k40:g} s"
            text += f", {cpu / k40:.1f} times"
    facts = {"compare": time_training.facts(found), "text": text}
    failed = [cell.error for row in found.rows for cell in row.cells.values() if cell.error]
    if failed:
        raise Wrong("; ".join(failed), facts)
    return facts
