"""Write a net with its weights as an ONNX model, for programs that run nets elsewhere.

The net is that of phase TEST. Losses, measures and labels are left out, the tops of data layers
become inputs, and every such change is reported. A net with layers that ONNX cannot express is
refused, all of them at once; docs/onnx.md lists them. The preprocessing of pictures is written
next to the model, NAME.preprocess.json, if the net's data layer or a file next to it defines it.
"""

from __future__ import annotations

import logging
from argparse import Namespace
from pathlib import Path
from typing import Any

from minidl.arrays.units import bytes_
from minidl.cli import models
from minidl.cli.arguments import Parser, add_shape, add_state, existing
from minidl.cli.log import logging_to
from minidl.errors import UsageError

log = logging.getLogger("minidl")


def add_arguments(parser: Parser) -> None:
    parser.add_file("model", "prototxt of the net")
    parser.add_argument("--onnx", metavar="FILE", help="where to write the model (required)")
    parser.add_argument("--weights", metavar="FILE", help="caffemodel with the weights")
    add_state(parser)
    add_shape(parser)


def run(args: Namespace) -> int:
    if not args.onnx:
        raise UsageError(
            "no output file",
            where="minidl export",
            expected=f"minidl export {args.model} --weights FILE.caffemodel --onnx FILE.onnx",
        )
    from minidl.onnx import export

    param = models.read_net(args.model)
    if args.weights:
        existing(args.weights, "a caffemodel")
    with logging_to(args):
        # nothing runs, so with array code the weights stay in the order of the file
        options = dict(weights=args.weights, device="cpu", engine="numpy")
        with models.net(param, args.model, args, **options) as net:
            conversion = export(net, args.onnx)
        described = _describe(param, args)
    print(report(conversion, args.onnx, bool(args.weights)))
    if described is not None:
        print(f"{'images':<8}{described}")
    return 0


def _describe(param: Any, args: Namespace) -> Path | None:
    """Write the preprocessing of pictures next to the model, if it is known; return its path."""
    from minidl import preprocess

    found = preprocess.find(param, args.weights, args.model, args.level, args.stage)
    if found is None:
        return None
    mean = found.transform.mean_file
    if mean and not Path(mean).is_file():
        log.warning("preprocessing of pictures is not written: there is no mean_file %s", mean)
        return None
    path = Path(args.onnx).with_suffix(f".{preprocess.NAME}")
    found.write(path)
    return path


def report(conversion: Any, path: str, has_weights: bool) -> str:
    """Return lines about the changes and the model."""
    from minidl.onnx import OPSET

    graph = conversion.graph
    lines = [*conversion.notes]
    if not has_weights:
        lines.append("No weights were given: the parameters are as their fillers drew them.")
    sizes = [("input", *each) for each in graph.inputs.items()]
    sizes += [("output", *each) for each in graph.outputs.items()]
    width = max(len(name) for _, name, _ in sizes)
    lines += [f"{kind:<8}{name:<{width}}  {' '.join(map(str, dims))}" for kind, name, dims in sizes]
    size = bytes_(Path(path).stat().st_size)
    lines.append(f"{'model':<8}{path}, {size}, {len(graph.ops)} operators of opset {OPSET}")
    return "\n".join(lines)
