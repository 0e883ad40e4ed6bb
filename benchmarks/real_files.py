"""What becomes of real nets and solvers: `python benchmarks/real_files.py > docs/real-files.md`

Every net is read, upgraded and built in both phases, and runs on one random record: forward, and in
phase TRAIN backward. Nets of more than --multiply-adds or --numbers are built only. Every solver
is read, and takes a step on its net where that is among the files.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import posixpath
import re
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np  # noqa: E402

from benchmarks import real_nets  # noqa: E402
from minidl import prototxt, schema  # noqa: E402
from minidl.errors import MinidlError  # noqa: E402
from minidl.solver import Solver  # noqa: E402

MULTIPLY_ADDS = 3e9  # of one record, forward: ResNet-50 has 3.9e9, GoogLeNet 1.6e9
NUMBERS = 500e6  # in all blobs and parameters: 2 GB, with gradients 4 GB
# A refusal's words, and why it is one.
REASONS = {
    r"there is no module": "the code of a Python layer is not among the files",
    r"is given twice": "gives a field twice, which protobuf refuses as well",
    r"engine is (FFT|LOOP|NAIVE|SPATIAL)": "an engine of a development branch",
    r"did you mean 'SOFTMAX'|is the string|both 'layer'|both `layer` and `layers`|`layers`": (
        "mixes the forms V1 and V2"
    ),
    r"image_data_param has no field|data_param has no field 'transform_param'": (
        "a data layer's fields of a development branch or fork"
    ),
    r"has no field": "a field of a fork or of a development branch",
    r"is no layer type|type is": "a layer type of none of the forks that minidl follows",
    r"is unknown|has \d bottoms?|has input_param": (
        "an owner's slip, or a development branch: a bottom that is missing or too many"
    ),
    r"kernel_size is \d+, pad \d+, and the bottom|which layer '.*' already makes": (
        "an owner's slip: two layers of one name, or filters larger than what they slide over"
    ),
}


class Result(NamedTuple):
    """What became of a file: `reached` is "trained", "ran", "built", "read" or "refused"."""

    file: str
    kind: str
    reached: str
    reason: str = ""
    words: str = ""


def because(words: str) -> str:
    """Why a file is refused, in the words of the table; as it stands where nobody thought of it."""
    for pattern, reason in REASONS.items():
        if re.search(pattern, words):
            return reason
    return words


def survey_net(entry: dict[str, Any], multiply_adds: float, numbers: float) -> Result:
    """Read, build and run a net."""
    file, types = entry["file"], real_nets.unknown_types(entry)
    kind = "net"
    if entry["format"] == "labelmap":
        return Result(file, "net", "refused", "a map of labels, no net")
    if types:
        kinds = "types" if len(types) > 1 else "type"
        words = f"layer {kinds} {', '.join(types)}"
        return Result(file, kind, "refused", because("is no layer type"), words)
    try:
        net = real_nets.read(file)
    except MinidlError as error:
        return refused(file, kind, error)
    reached, words = set(), ""
    for phase in (schema.TRAIN, schema.TEST):
        try:
            trial = real_nets.possible(net, phase, file)
        except MinidlError as error:
            first = refused(file, kind, error)
            continue
        if trial.multiply_adds > multiply_adds or trial.numbers > numbers:
            reached.add("built")
            words = f"{trial.multiply_adds / 1e9:.0f}e9 multiply-adds"
            continue
        outputs = real_nets.run(trial, backward=phase == schema.TRAIN)
        reached.add("trained" if phase == schema.TRAIN else "ran")
        if not all(np.isfinite(values).all() for values in outputs.values()):
            words = "not finite: statistics that were never learned" if phase else "not finite"
    for best in ("trained", "ran", "built"):
        if best in reached:
            return Result(file, kind, best, "", words)
    return first


def refused(file: str, kind: str, error: MinidlError) -> Result:
    words = str(error).splitlines()[0].rpartition(".prototxt:")[2]
    return Result(file, kind, "refused", because(words), words)


def net_of(solver: dict[str, Any], param: Any, index: Iterable[dict[str, Any]]) -> Any:
    """The entry of the net that a solver file names, or None: seen from any folder above it."""
    name = posixpath.normpath(param.train_net or param.net)
    beside = posixpath.normpath(posixpath.join(posixpath.dirname(solver["path"]), name))
    for entry in index:
        if entry["repo"] != solver["repo"] or entry["format"] == "solver":
            continue
        if entry["path"] in (name, beside) or f"/{name}".endswith(f"/{entry['path']}"):
            return entry
    return None


def survey_solver(entry: dict[str, Any], multiply_adds: float, numbers: float) -> Result:
    """Read a solver; take a step where its net is there."""
    file, kind = entry["file"], "solver"
    try:
        param = prototxt.read_solver(real_nets.FOLDER / file)
    except MinidlError as error:
        return refused(file, kind, error)
    source = net_of(entry, param, real_nets.index())
    own = param.HasField("net_param") or param.HasField("train_net_param")
    if source is None and not own:
        return Result(file, kind, "read", "its net is not among the files")
    try:
        if own:
            net = param.net_param if param.HasField("net_param") else param.train_net_param
        else:
            if types := real_nets.unknown_types(source):
                raise MinidlError(f"{types[0]} is no layer type")
            net = real_nets.read(source["file"])
        trial = real_nets.possible(net, schema.TRAIN, source["file"] if source else file)
    except MinidlError as error:
        reason = f"its net is refused: {refused(file, kind, error).reason}"
        return Result(file, kind, "read", reason, str(error).splitlines()[0])
    if trial.multiply_adds > multiply_adds or trial.numbers > numbers:
        return Result(file, kind, "read", "its net is built, but too large to train here")
    step(param, trial)
    return Result(file, kind, "trained")


def step(param: Any, trial: real_nets.Trial) -> None:
    """One iteration of training, without test nets, weights or snapshots."""
    solver = schema.SolverParameter()
    solver.CopyFrom(param)
    for field in ("net", "train_net", "net_param", "train_net_param", "test_net", "test_net_param"):
        solver.ClearField(field)
    for field in ("test_iter", "test_interval", "test_state", "test_initialization", "weights"):
        solver.ClearField(field)
    for field in ("snapshot", "snapshot_prefix", "train_state", "device_id"):
        solver.ClearField(field)
    solver.net_param.CopyFrom(trial.net)
    solver.train_state.stage.extend(trial.stages)
    solver.random_seed, solver.solver_mode = 1, schema.SolverParameter.CPU
    solver.snapshot_after_train = False
    running = Solver(solver, absent_data=trial.record, allow_python=True)
    try:
        running.step(1)
    finally:
        running.close()


def survey(
    entry: dict[str, Any], multiply_adds: float = MULTIPLY_ADDS, numbers: float = NUMBERS
) -> Result:
    """What becomes of one file. What is no MinidlError is a defect, and is said as one."""
    logging.disable(logging.ERROR)
    try:
        if entry["format"] == "solver":
            return survey_solver(entry, multiply_adds, numbers)
        return survey_net(entry, multiply_adds, numbers)
    except Exception as error:
        return Result(entry["file"], "net", "failed", f"{type(error).__name__}: {error}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--multiply-adds", type=float, default=MULTIPLY_ADDS)
    parser.add_argument("--numbers", type=float, default=NUMBERS)
    parser.add_argument("--only", default="", help="files with this in their name")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    entries = [entry for entry in real_nets.index() if args.only in entry["file"]]
    jobs = [(entry, args.multiply_adds, args.numbers) for entry in entries]
    with multiprocessing.get_context("spawn").Pool(args.processes, maxtasksperchild=20) as pool:
        results = []
        for result in pool.imap(_survey, jobs):
            results.append(result)
            print(*result, sep=" | ", file=sys.stderr, flush=True)
    print(report(results))
    return any(result.reached == "failed" for result in results)


def _survey(job: tuple[Any, ...]) -> Result:
    return survey(*job)


# ---------------------------------------------------------------------- the page


PAGE = """# Real nets and solvers

{total} files from 32 public repositories, as their owners left them: what minidl does with each.
`{command}` prints this page; it needs the files, which
are not part of this project.

Each net is read, upgraded and built in phase TRAIN and TEST, for one record, or for as many as its
own Reshape layers need. The data sets are missing, so random numbers replace them; data layers
that are code of the owner's become Input layers. Then it runs forward in both phases, and backward
in TRAIN. What has more than {multiply_adds} multiply-adds in a forward pass, or more than {numbers}
numbers in blobs and parameters is built and not run. Solvers take a step on their net, where that
is among the files.

| | nets | solvers |
|---|---|---|
{counts}

## Why the others are not

| reason | files |
|---|---|
{reasons}

## File by file

{files}
"""
COMMAND = "python benchmarks/real_files.py > docs/real-files.md"
REACHED = {
    "trained": "run forward and backward; for a solver: took a step",
    "ran": "run forward; no net in phase TRAIN",
    "built": "parse, upgrade and build, too large here to run",
    "read": "parse; a solver whose net is missing, refused or too large",
    "refused": "refused, with a message",
    "failed": "failed: a defect of minidl",
}


def report(results: list[Result]) -> str:
    """The page."""
    counts = Counter((result.kind, result.reached) for result in results)
    lines = [
        f"| {words} | {counts['net', reached] or ''} | {counts['solver', reached] or ''} |"
        for reached, words in REACHED.items()
        if counts["net", reached] + counts["solver", reached]
    ]
    lines.append(f"| all | {_of(counts, 'net')} | {_of(counts, 'solver')} |")
    rest = [result for result in results if result.reached in ("read", "refused", "failed")]
    reasons = Counter((result.kind, result.reason) for result in rest)
    return PAGE.format(
        total=len(results),
        command=COMMAND,
        multiply_adds=f"{MULTIPLY_ADDS / 1e9:g} billion",
        numbers=f"{NUMBERS / 1e6:g} million",
        counts="\n".join(lines),
        reasons="\n".join(
            f"| {kind}: {reason} | {count} |" for (kind, reason), count in reasons.most_common()
        ),
        files="\n\n".join(_section(rest, *key) for key, _ in reasons.most_common()),
    ).rstrip()


def _of(counts: Counter[tuple[str, str]], kind: str) -> int:
    return sum(count for (which, _), count in counts.items() if which == kind)


def _section(rest: list[Result], kind: str, reason: str) -> str:
    """The files that go no further for one reason, with the words of the refusal."""
    found = [result for result in rest if (result.kind, result.reason) == (kind, reason)]
    rows = [f"- `{r.file}`" + (f": {_one_line(r.words)}" if r.words else "") for r in found]
    return "\n".join([f"**{kind}: {reason}**", "", *rows])


def _one_line(words: str) -> str:
    """The words of a message, without the folder of this machine."""
    return words.replace(f"{real_nets.FOLDER}/", "")


if __name__ == "__main__":
    sys.exit(main())
