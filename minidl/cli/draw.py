"""Draw a net as SVG: a box for each layer with its parameters and the shapes of its tops.

Layers that work in place are strips on the box of the layer whose top they change. Arrows show on
hovering which blob they are.
"""

from __future__ import annotations

from argparse import Namespace

from minidl.cli import models, summarize
from minidl.cli.arguments import Parser, add_shape, add_state
from minidl.cli.log import logging_to
from minidl.errors import UsageError


def add_arguments(parser: Parser) -> None:
    parser.add_file("model", "prototxt of the net")
    parser.add_argument("--out", "-o", metavar="FILE", help="the picture, FILE.svg (required)")
    parser.add_argument(
        "--rankdir",
        type=str.upper,
        choices=("TB", "LR"),
        default="TB",
        help="direction: from top to bottom, or from left to right (default: TB)",
    )
    add_state(parser, phase="TEST")
    add_shape(parser)


def run(args: Namespace) -> int:
    if not args.out or not args.out.lower().endswith(".svg"):
        raise UsageError(
            f"cannot write '{args.out}'" if args.out else "no output file",
            where="minidl draw",
            expected=f"minidl draw {args.model} -o net.svg",
        )
    from minidl.draw.picture import picture
    from minidl.draw.svg import svg
    from minidl.layers.base import family_of
    from minidl.prototxt import phases
    from minidl.storage import files

    param = models.read_net(args.model)
    with logging_to(args):
        net = summarize.summary(param, args)
    state = phases.net_state(models.phase(args), args.level, args.stage)
    specs = {layer.name: layer for layer in phases.filter_layers(param, state).layer}
    layers = [
        {**layer, "spec": specs[layer["name"]], "family": family_of(layer["type"])}
        for layer in net["layers"]
    ]
    boxes, arrows = picture(layers)
    title = f"{net['net'] or args.model}, {net['phase']}"
    text = svg(boxes, arrows, title, across=args.rankdir == "LR")
    files.write_all(args.out, [text.encode()])
    print(f"{args.out}  {len(boxes)} boxes for {len(net['layers'])} layers")
    return 0
