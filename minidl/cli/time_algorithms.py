"""`minidl time --algorithms`: all of cuDNN's on every convolution of a net, as tables."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minidl.arrays.units import bytes_, three
from minidl.cli import engine_flags, models, table
from minidl.errors import UsageError

if TYPE_CHECKING:
    from minidl.profile.convolutions import Algorithms, Convolution
    from minidl.profile.cudnn_survey import Result

Json = dict[str, Any]
ITERATIONS = 10


def measure(args: Namespace) -> Algorithms:
    """Run them on the GPU that the flags name, by default the first."""
    if len(args.batches) > 1:
        found = f"--batches names {len(args.batches)} sizes"
        raise UsageError(found, where="minidl time --algorithms", expected="one size")
    args.gpu = args.gpu or "0"
    from minidl import profile

    blueprint = models.blueprint(args, models.phase(args))
    models.warn_of_unused_shape(blueprint.param, args)
    engines = profile.Engines(**engine_flags.options(args))
    batch = args.batches[0] if args.batches else None
    return profile.algorithms(blueprint, models.device(args), batch, args.iterations, engines)


def facts(found: Algorithms) -> Json:
    """Return the result with --json's names."""
    return {**vars(found), "convolutions": [_facts(each) for each in found.convolutions]}


def _facts(convolution: Convolution) -> Json:
    if convolution.declined:
        return {"layers": convolution.layers, "declined": convolution.declined}
    known = dict(vars(convolution))
    del known["declined"], known["taken"]
    known["passes"] = {
        name: [_algorithm(result, convolution.taken[name]) for result in results]
        for name, results in convolution.passes.items()
    }
    return known


def _algorithm(result: Result, taken: str) -> Json:
    about = result.algorithm
    return {
        "algorithm": about.name,
        "refusal": about.refusal,
        "ms": result.ms,
        "workspace_bytes": about.workspace,
        "deterministic": about.deterministic,
        "error": result.error,
        "order": result.order,
        "taken": about.name == taken,
    }


# ------------------------------------------------------------------ as text


def text(found: Algorithms, model: str) -> str:
    """Return a table per convolution: the algorithms that ran, by time; below it the others."""
    parts = [f"{found.device}, cuDNN {found.cudnn}, {found.math}"]
    for convolution in found.convolutions:
        names = ", ".join(convolution.layers)
        if convolution.declined:
            parts.append(f"{names}: {convolution.declined}")
        else:
            parts.append("\n".join(_table(names, convolution)))
    return "\n\n".join(parts)


def _table(names: str, convolution: Convolution) -> list[str]:
    shapes = convolution.bottom, convolution.filters, convolution.top
    head = "{}: {} by {} to {}".format(names, *map(table.shape, shapes))
    rows: list[list[str]] = []
    others = []
    for name, results in convolution.passes.items():
        taken = convolution.taken[name]
        ran = sorted((r for r in results if r.ms is not None), key=lambda r: r.ms or 0.0)
        rows += [[""]] if rows else []
        rows += [_row(name if i == 0 else " ", each, taken) for i, each in enumerate(ran)]
        others += _refusals(name, [r for r in results if r.ms is None])
    header = ["pass", "algorithm", "", "ms", "workspace", "same bits", "error"]
    return [head, table.render(header, rows, left=3), *others]


def _row(name: str, result: Result, taken: str) -> list[str]:
    about = result.algorithm
    return [
        name,
        about.name,
        "*" if about.name == taken else " ",
        three(result.ms or 0.0),
        bytes_(about.workspace),
        "yes" if about.deterministic else "no",
        f"{result.error:.1e}",
    ]


def _refusals(name: str, results: Sequence[Result]) -> list[str]:
    """Return 'forward, did not run: direct, fft: not supported for this shape and chip'."""
    by_reason: dict[str, list[str]] = {}
    for each in results:
        by_reason.setdefault(each.algorithm.refusal, []).append(each.algorithm.name)
    return [f"{name}, did not run: {', '.join(same)}: {why}" for why, same in by_reason.items()]
