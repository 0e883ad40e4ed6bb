"""Draw a net as SVG: a box for each layer with its parameters and the shapes of its tops.

Layers that work in place are strips on the box of the layer whose top they change. Arrows say on
hovering which blob they are.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from minidl.cli import models, summarize
from minidl.cli.arguments import Parser, add_phase, add_shape, add_state
from minidl.cli.log import logging_to
from minidl.errors import UsageError

FAMILIES = {
    "data": "Data DummyData HDF5Data ImageData Input MemoryData Parameter WindowData",
    "weights": "Convolution Deconvolution Embed Im2col InnerProduct LSTM RNN",
    "pooling": "Pooling SPP",
    "norm": "BatchNorm Bias LRN MVN Normalize Scale",
    "activation": "AbsVal BNLL Clip Dropout ELU Exp Log PReLU Power ReLU Sigmoid Softmax Swish TanH"
    " Threshold",
    "loss": "Accuracy",  # and whatever ends with Loss
    "combine": "Concat Eltwise Filter Slice",
}
FAMILY = {type: family for family, types in FAMILIES.items() for type in types.split()}


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
    add_phase(parser, default="TEST")
    add_state(parser)
    add_shape(parser)


def run(args: Namespace) -> int:
    if not args.out or not args.out.lower().endswith(".svg"):
        raise UsageError(
            f"cannot write '{args.out}'" if args.out else "where to?",
            where="minidl draw",
            expected=f"minidl draw {args.model} -o net.svg",
        )
    from minidl.graph.draw import svg
    from minidl.storage import files

    param = models.read_net(args.model)
    with logging_to(args):
        net = summarize.summary(param, args)
    boxes, arrows = picture(net, _specs(param, args))
    title = f"{net['net'] or args.model}, {net['phase']}"
    text = svg(boxes, arrows, title, across=args.rankdir == "LR")
    files.write_all(args.out, [text.encode()])
    print(f"{args.out}  {len(boxes)} boxes for {len(net['layers'])} layers")
    return 0


def picture(net: dict[str, Any], specs: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """Boxes and arrows, as `minidl.graph.draw.svg` takes them, of a summary.

    specs   the LayerParameters by name
    """
    from minidl.graph.draw import Box

    drawn: list[dict[str, Any]] = []
    arrows: list[tuple[int, int, str]] = []
    makers: dict[str, int] = {}  # blob -> number of the box
    shapes: dict[str, str] = {}
    for layer in net["layers"]:
        family, spec = family_of(layer["type"]), specs[layer["name"]]
        made = [_shape(shape) for shape in layer["top_shapes"]]
        if layer["in_place"] and len(layer["bottoms"]) == 1 and layer["bottoms"][0] in makers:
            text = " ".join(filter(None, [layer["type"], detail(spec)]))
            drawn[makers[layer["bottoms"][0]]]["strips"].append((family, text))
            continue
        number = len(drawn)
        arrows += [(makers[b], number, f"{b}: {shapes[b]}") for b in layer["bottoms"]]
        pairs = list(zip(layer["tops"], made, strict=True))
        drawn.append(
            {
                "title": layer["name"],
                "lines": [" ".join(filter(None, [layer["type"], detail(spec)]))],
                "strips": [],
                "shapes": [s if len(pairs) == 1 else f"{top}: {s}" for top, s in pairs],
                "family": family,
            }
        )
        makers.update((top, number) for top in layer["tops"])
        shapes.update(pairs)
    return [Box(**facts) for facts in drawn], arrows


def family_of(type: str) -> str:
    """The key of a layer type's colour."""
    return FAMILY.get(type, "loss" if type.endswith("Loss") else "")


def detail(spec: Any) -> str:
    """What a layer's parameters say in few words: '3 × 3, stride 2, pad 1'."""
    if spec.type in ("Convolution", "Deconvolution", "Im2col"):
        p = spec.convolution_param
        parts = [_window(p, list(p.kernel_size), list(p.stride), list(p.pad))]
        parts += [f"dilation {_times(p.dilation)}"] if any(d > 1 for d in p.dilation) else []
        parts += [f"group {p.group}"] if p.group > 1 else []
        return ", ".join(filter(None, parts))
    if spec.type == "Pooling":
        p = spec.pooling_param
        kind = p.PoolMethod.Name(p.pool)
        if p.global_pooling:
            return f"{kind} of all"
        kernel = [p.kernel_size] if p.HasField("kernel_size") else []
        return f"{kind} {_window(p, kernel, [p.stride], [p.pad])}"
    if spec.type == "Eltwise":
        return str(spec.eltwise_param.EltwiseOp.Name(spec.eltwise_param.operation))
    if spec.type == "Dropout":
        return f"{spec.dropout_param.dropout_ratio:g}"
    if spec.type == "LRN":
        return f"{spec.lrn_param.local_size}"
    return ""


def _window(p: Any, kernel: list[int], stride: list[int], pad: list[int]) -> str:
    sizes = {"": kernel, "stride": stride, "pad": pad}
    for name, stem in (("", "kernel"), ("stride", "stride"), ("pad", "pad")):
        if p.HasField(f"{stem}_h") or p.HasField(f"{stem}_w"):
            sizes[name] = [getattr(p, f"{stem}_h"), getattr(p, f"{stem}_w")]
    said = [_times(sizes[""] * 2 if len(sizes[""]) == 1 else sizes[""])]
    said += [f"stride {_times(sizes['stride'])}"] if set(sizes["stride"]) - {1} else []
    said += [f"pad {_times(sizes['pad'])}"] if any(sizes["pad"]) else []
    return ", ".join(filter(None, said))


def _times(sizes: Sequence[int]) -> str:
    return " × ".join(map(str, sizes))


def _shape(shape: Sequence[int]) -> str:
    return _times(shape) or "one number"


def _specs(param: Any, args: Namespace) -> dict[str, Any]:
    from minidl import prototxt
    from minidl.graph import build

    net, _ = prototxt.upgrade_net(param)
    state = build.net_state(models.phase(args), args.level, args.stage)
    return {layer.name: layer for layer in build.filter_layers(net, state).layer}
