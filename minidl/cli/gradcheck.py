"""Compare every layer's gradients with finite differences of its forward pass, in float64.

For authors of layers: the net only gives the layers, their parameters and shapes.
Every layer is run alone on random input; no data set is read and no weights.
"""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from minidl.cli import models, table
from minidl.cli.arguments import (
    Parser,
    add_device,
    add_shape,
    add_state,
    names,
    positive,
    seed,
    whole,
)
from minidl.cli.log import logging_to
from minidl.cli.progress import bar
from minidl.cli.shrink import shrink
from minidl.errors import MinidlError, RunError

if TYPE_CHECKING:
    from minidl.testing.gradcheck import Report


def add_arguments(parser: Parser) -> None:
    parser.add_file("model", "prototxt of the net")
    parser.add_argument(
        "--layer", type=names, default=(), metavar="A,B", help="check these layers only"
    )
    parser.add_argument(
        "--batch", type=whole(1), default=2, metavar="N", help="largest batch (default: 2)"
    )
    parser.add_argument(
        "--shrink",
        type=whole(1),
        default=1,
        metavar="F",
        help="divide num_output and the size of the input by F: for nets that take too long",
    )
    parser.add_argument(
        "--limit",
        type=whole(1),
        default=20,
        metavar="N",
        help="elements to check in each array, chosen at random (default: 20)",
    )
    parser.add_argument("--step", type=positive, metavar="H", help="of the difference (1e-5)")
    parser.add_argument("--tolerance", type=positive, metavar="T", help="relative (1e-7)")
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="of the input (0)")
    add_device(parser)
    add_state(parser, phase="TRAIN")
    add_shape(parser)


def run(args: Namespace) -> int:
    with logging_to(args):
        rows, reports = check_net(args)
    header = ["layer", "type", "checked", "corners", "result"]
    print(table.render(header, rows, left=2))
    print()
    wrong = [str(mismatch) for report in reports for mismatch in report.mismatches]
    if wrong:
        head = "a gradient is" if len(wrong) == 1 else f"{len(wrong)} gradients are"
        raise RunError("\n".join([f"{head} not the derivative:", *wrong]))
    checked, elements = sum(r.checked for r in reports), sum(r.elements for r in reports)
    which = f"All {checked:,} gradients"
    if checked < elements:
        which = f"Looked at {checked:,} of {elements:,} gradients: all"
    print(f"{which} agree with finite differences.")
    return 0


def check_net(args: Namespace) -> tuple[list[list[str]], list[Report]]:
    """Return a table row for each layer, and the Report of each that has gradients."""
    import numpy as np

    from minidl.layers.context import Context

    param = models.read_net(args.model)
    with models.records(param, args.model, args) as record:
        ctx = Context(models.device(args), np.float64, models.phase(args), absent_data=record)
        blueprint = shrink(param, ctx, args)
    models.warn_of_unused_shape(param, args)
    models.refuse_unknown_layers(args.layer, [node.name for node in blueprint.nodes], "--layer")
    nodes = [n for n in blueprint.nodes if not args.layer or n.name in args.layer]
    types = {layer.name: layer.type for layer in param.layer}  # before data became Input
    rows, reports = [], []
    with bar(args, total=len(nodes), unit="layer") as progress:
        for node in nodes:
            progress.set_description(node.name)
            row, report = check_node(node, args)
            rows.append([node.name, types.get(node.name, node.type), *row])
            reports += [report] if report is not None else []
            progress.update()
    return rows, reports


def check_node(node: Any, args: Namespace) -> tuple[list[str], Report | None]:
    """Check one layer; return checked, corners and result for its row, and its Report."""
    import numpy as np

    from minidl.testing import gradcheck

    layer = node.layer  # in place if it is so in the net: that may be the error
    if not node.bottoms and not node.params:
        return ["", "", "makes data"], None
    if not layer.differentiable:
        return ["", "", "has no gradient"], None
    rng = np.random.default_rng(args.seed)
    try:
        bottoms = layer.sample_bottoms(node.bottom_shapes, rng)
        report = gradcheck.check(
            layer,
            *bottoms,
            limit=args.limit,
            seed=args.seed,
            step=args.step or gradcheck.STEP,
            tolerance=args.tolerance or gradcheck.TOLERANCE,
        )
    except MinidlError:
        raise
    except Exception as error:
        raise RunError(
            f"failed with {type(error).__name__}: {error}",
            where=layer.where,
            fix="--debug shows the place",
        ) from error
    if not report.checked:
        return ["", "", "has no gradient"], None
    result = f"{len(report.mismatches)} wrong" if report.mismatches else "agrees"
    part = f" of {report.elements:,}" if report.checked < report.elements else ""
    return [f"{report.checked:,}{part}", str(report.kinks), result], report
