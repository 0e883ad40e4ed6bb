"""Explain what a net computes with, by running it: conv-algorithms, all of cuDNN's on its layers.

`minidl explain conv-algorithms MODEL` runs, for every convolution of a net and each of its three
passes, all of cuDNN's algorithms on random numbers, and prints what each takes and how exact it
is. The error is the largest difference from the definition in float64, among 64 elements of the
result, over their root mean square. One star: what the net would take with these flags.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from minidl.arrays.units import bytes_, three
from minidl.cli import as_json, engine_flags, models, table
from minidl.cli.arguments import Parser, add_phase, add_shape, add_state, whole
from minidl.cli.log import logging_to
from minidl.errors import EngineError, UsageError

TOPICS = ("conv-algorithms",)
MATHS = ("float32", "tf32", "fp16", "bf16")
Json = dict[str, Any]


def add_arguments(parser: Parser) -> None:
    parser.add_argument("topic", choices=TOPICS, help="what to explain")
    parser.add_file("model", "prototxt of a net")
    parser.add_argument(
        "--device",
        "--gpu",
        type=_device,
        default="cuda:0",
        metavar="NAME",
        help="the GPU: cuda:0, or its number (default: cuda:0)",
    )
    parser.add_argument(
        "--batch", type=whole(1), metavar="N", help="records at a time (default: the net's)"
    )
    parser.add_argument(
        "--iterations", type=whole(1), default=10, metavar="N", help="runs of each (default: 10)"
    )
    parser.add_argument(
        "--math",
        choices=MATHS,
        default="float32",
        help="arithmetic: true float32, or what tensor cores multiply (default: float32)",
    )
    parser.add_argument(
        "--algorithm",
        default="fastest",
        metavar="NAME",
        help="fastest, no_workspace, or a part of a name: moves the star (default: fastest)",
    )
    parser.add_argument(
        "--workspace-limit",
        type=engine_flags.size,
        metavar="SIZE",
        help="leave out what needs more memory while it runs: 8MB, 512KiB, 0 (default: any)",
    )
    add_phase(parser, default="TRAIN")
    add_state(parser)
    add_shape(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _device(text: str) -> str:
    """Argument type: a device's name; a number is a GPU's, as -gpu has it."""
    return f"cuda:{text}" if text.isdecimal() else text


def run(args: Namespace) -> int:
    with logging_to(args):
        facts = survey(args)
    print(as_json.dumps(facts) if args.json else report(facts))
    return 0


def survey(args: Namespace) -> Json:
    """What every algorithm does on every convolution; layers that are alike are run once."""
    nodes = _convolutions(args)
    from minidl.arrays.device import Device
    from minidl.engines import Declined, cudnn

    device = Device(args.device)
    engine = cudnn.load(device)
    if isinstance(engine, Declined):
        raise EngineError(f"cuDNN is not to be had: {engine.reason}")
    known: dict[Any, Json] = {}
    for node in nodes:
        layer = _layer(engine, node, args, known)
        layer["layers"].append(node.name)
    return {
        "model": args.model,
        "device": engine.isa,
        "cudnn": engine.version,
        "math": args.math,
        "convolutions": list(known.values()),
    }


def _convolutions(args: Namespace) -> list[Any]:
    """The nodes of the net that convolve."""
    from minidl import ops
    from minidl.layers.context import Context
    from minidl.net.blueprint import Blueprint

    param = models.read_net(args.model)
    record = models.guess_record(param, args.model, args)
    with models.shape_hint(param, record):
        ctx = Context(phase=models.phase(args), absent_data=record)
        blueprint = Blueprint(param, ctx, args.level, args.stage)
    models.warn_of_unused_shape(blueprint.param, args)
    nodes = [n for n in blueprint.nodes if isinstance(n.layer.op, ops.Conv)]
    if not nodes:
        raise UsageError("has no convolution", where=args.model)
    return nodes


def _layer(engine: Any, node: Any, args: Namespace, known: dict[Any, Json]) -> Json:
    """What is said of a convolution, from `known` if there was one like it before."""
    from minidl.engines import Declined, Request
    from minidl.engines.cudnn.choice import choose
    from minidl.engines.cudnn.convolution import HALVES, plain_problem, ways
    from minidl.engines.cudnn.survey import survey

    op = node.layer.op
    request = Request(
        bottom=node.bottom_shapes[:1],
        top=node.top_shapes[:1],
        params=tuple((p.attr, p.shape) for p in node.params),
        math=args.math,
        limit=args.workspace_limit,
        algorithm=args.algorithm,
    )
    problem = plain_problem(op, request)
    if isinstance(problem, Declined):
        return known.setdefault(node.name, {"layers": [], "declined": problem.reason})
    if args.math in HALVES:
        problem = replace(problem, dtype=HALVES[args.math], order="nhwc", math=args.math)
    if args.batch:
        images = problem.x[0] // node.bottom_shapes[0][0] * args.batch
        x, y = (images, *problem.x[1:]), (images, *problem.y[1:])
        problem = replace(problem, x=x, y=y)
    if (problem, op.transposed) in known:
        return known[problem, op.transposed]
    passes: dict[str, list[Json]] = {}
    stars = {
        way: next(choose(engine.algorithms.expected(problem, way), request, request.limit))
        for way in ways(op).values()
    }
    names = {way: name for name, way in ways(op).items()}
    for result in survey(
        engine.device, engine.algorithms, problem, args.iterations, args.workspace_limit
    ):
        star = stars[result.way].algorithm
        said = _algorithm(result, star is not None and star.name == result.algorithm.name)
        passes.setdefault(names[result.way], []).append(said)
    known[problem, op.transposed] = {
        "layers": [],
        "bottom": list(problem.y if op.transposed else problem.x),
        "filters": list(problem.w),
        "top": list(problem.x if op.transposed else problem.y),
        "group": problem.group,
        "order": problem.order,
        "passes": {name: passes[name] for name in ways(op)},
    }
    return known[problem, op.transposed]


def _algorithm(result: Any, star: bool) -> Json:
    about = result.algorithm
    return {
        "algorithm": about.name,
        "refusal": about.refusal,
        "ms": result.ms,
        "workspace_bytes": about.workspace,
        "deterministic": about.deterministic,
        "error": result.error,
        "order": result.order,
        "taken": star,
    }


# ------------------------------------------------------------------ as text


def report(facts: Json) -> str:
    """A table for each convolution: the algorithms that ran, by time; below it the others."""
    parts = [f"{facts['device']}, cuDNN {facts['cudnn']}, {facts['math']}"]
    for convolution in facts["convolutions"]:
        names = ", ".join(convolution["layers"])
        if "declined" in convolution:
            parts.append(f"{names}: {convolution['declined']}")
        else:
            parts.append("\n".join(_convolution(names, convolution)))
    return "\n\n".join(parts)


def _convolution(names: str, convolution: Json) -> list[str]:
    shapes = [table.shape(convolution[name]) for name in ("bottom", "filters", "top")]
    head = f"{names}: {shapes[0]} by {shapes[1]} to {shapes[2]}"
    rows: list[list[str]] = []
    others = []
    for name, algorithms in convolution["passes"].items():
        ran = sorted((a for a in algorithms if a["ms"] is not None), key=lambda a: a["ms"])
        rows += [[""]] if rows else []
        rows += [_row(name if i == 0 else " ", each) for i, each in enumerate(ran)]
        others += _refusals(name, [a for a in algorithms if a["ms"] is None])
    header = ["pass", "algorithm", "", "ms", "workspace", "same bits", "error"]
    return [head, table.render(header, rows, left=3), *others]


def _row(name: str, algorithm: Json) -> list[str]:
    return [
        name,
        algorithm["algorithm"],
        "*" if algorithm["taken"] else " ",
        three(algorithm["ms"]),
        bytes_(algorithm["workspace_bytes"]),
        "yes" if algorithm["deterministic"] else "no",
        f"{algorithm['error']:.1e}",
    ]


def _refusals(name: str, algorithms: Sequence[Json]) -> list[str]:
    """'forward, did not run: direct, fft: not supported for this shape and chip'."""
    by_reason: dict[str, list[str]] = {}
    for each in algorithms:
        by_reason.setdefault(each["refusal"], []).append(each["algorithm"])
    return [f"{name}, did not run: {', '.join(same)}: {why}" for why, same in by_reason.items()]
