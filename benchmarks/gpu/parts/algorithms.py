"""`minidl time --algorithms` on AlexNet: every algorithm's time, workspace and error."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gpu.cases import Case, Facts, LeftOut, Settings, Wrong

ZOO = Path(__file__).resolve().parents[3] / "zoo"
# The largest error over the results' root mean square that an algorithm may make.
ALLOWED = {"float32": 1e-3, "tf32": 5e-2, "fp16": 5e-2, "bf16": 2e-1}


def cases(settings: Settings) -> Iterator[Case]:
    for math in ("float32", "tf32", "fp16"):
        yield Case(math, functools.partial(survey, math, settings.tiny))


def survey(math: str, tiny: bool) -> Facts:
    """Run the command. Errors: Wrong where an algorithm computes something else."""
    from minidl.cli import parser_for, time_algorithms
    from minidl.errors import EngineError

    net = "lenet/lenet_train_test.prototxt" if tiny else "alexnet/train_val.prototxt"
    words = [str(ZOO / net), "--algorithms", "--math", math]
    words += ["--batches", "1" if tiny else "64", "--iterations", "1" if tiny else "5"]
    try:
        found = time_algorithms.measure(parser_for("time").read(words))
    except EngineError as error:
        raise LeftOut(" ".join(str(error).split())) from error
    facts = {"survey": time_algorithms.facts(found), "text": time_algorithms.text(found, net)}
    wrong = [
        f"{', '.join(each.layers)}, {name}, {one.algorithm.name}: {one.error:.1e}"
        for each in found.convolutions
        for name, results in each.passes.items()
        for one in results
        if one.error is not None and not one.error <= ALLOWED[math]
    ]
    if wrong:
        raise Wrong(f"errors above {ALLOWED[math]:g}: {'; '.join(wrong)}", facts)
    return facts
