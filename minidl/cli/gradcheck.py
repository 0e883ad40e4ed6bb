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
    add_phase,
    add_shape,
    add_state,
    names,
    positive,
    whole,
)
from minidl.cli.log import logging_to
from minidl.cli.progress import bar
from minidl.cli.shrink import shrink
from minidl.errors import MinidlError, RunError, UsageError, did_you_mean

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
    parser.add_argument(
        "--seed", type=whole(0, 2**63 - 1), default=0, metavar="N", help="of the input (0)"
    )
    add_device(parser)
    add_phase(parser, default="TRAIN")
    add_state(parser)
    add_shape(parser)


def run(args: Namespace) -> int:
    with logging_to(args):
        rows, wrong, checked, elements = check_net(args)
    header = ["layer", "type", "checked", "corners", "result"]
    print(table.render(header, rows, left=2))
    print()
    if wrong:
        head = "a gradient is" if len(wrong) == 1 else f"{len(wrong)} gradients are"
        raise RunError("\n".join([f"{head} not the derivative:", *wrong]))
    if checked < elements:
        print(
            f"Looked at {checked:,} of {elements:,} gradients: all agree with finite differences."
        )
    else:
        print(f"All {checked:,} gradients agree with finite differences.")
    return 0


def check_net(args: Namespace) -> tuple[list[list[str]], list[str], int, int]:
    """Return a table row for each layer, a text for each wrong gradient, and how many elements
    were checked, of how many."""
    import numpy as np

    from minidl.layers.context import Context

    param = models.read_net(args.model)
    record = models.guess_record(param, args.model, args)
    ctx = Context(models.device(args), np.float64, models.phase(args), absent_data=record)
    with models.shape_hint(param, record):
        blueprint = shrink(param, ctx, args)
    models.warn_of_unused_shape(param, args)
    known = [node.name for node in blueprint.nodes]
    for name in args.layer:
        if name not in known:
            raise UsageError(
                f"the net has no layer '{name}'", where="--layer", fix=did_you_mean(name, known)
            )
    nodes = [n for n in blueprint.nodes if not args.layer or n.name in args.layer]
    types = {layer.name: layer.type for layer in param.layer}  # before data became Input
    rows: list[list[str]] = []
    wrong: list[str] = []
    checked = elements = 0
    with bar(args, total=len(nodes), unit="layer") as progress:
        for node in nodes:
            progress.set_description(node.name)
            row, report = check_node(node, args)
            rows.append([node.name, types.get(node.name, node.type), *row])
            if report is not None:
                wrong += map(str, report.mismatches)
                checked += report.checked
                elements += report.elements
            progress.update()
    return rows, wrong, checked, elements


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
    options = {"step": args.step, "tolerance": args.tolerance}
    try:
        bottoms = layer.sample_bottoms(node.bottom_shapes, rng)
        report = gradcheck.check(
            layer,
            *bottoms,
            limit=args.limit,
            seed=args.seed,
            **{name: value for name, value in options.items() if value is not None},
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
