"""Print a net as one table: what each layer reads, makes, learns and costs; and sums by type.

It shows the net of the prototxt: no Split layers, no engines. `minidl check` shows those, and how
the net will run.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from minidl.arrays.units import bytes_
from minidl.cli import as_json, check, models, parser_for, table
from minidl.cli.arguments import Parser, add_shape, add_state
from minidl.cli.log import logging_to
from minidl.errors import shortened

Layer = dict[str, Any]
SUMS = ("params", "multiply_adds", "bytes")


def add_arguments(parser: Parser) -> None:
    parser.add_file("model", "prototxt of the net")
    add_state(parser, phase="TEST")
    add_shape(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: Namespace) -> int:
    with logging_to(args):
        net = summary(models.read_net(args.model), args)
    print(as_json.dumps(net) if args.json else shortened(report(net)))
    return 0


def summary(param: Any, args: Namespace) -> dict[str, Any]:
    """Return what `minidl check` knows of the net, without splits and engines, with sums by type.

    args    a command's Namespace with model, phase, level, stage and shape
    """
    from minidl.prototxt.phases import net_state

    options = parser_for("check").read([args.model, "--engine", "numpy"])
    options = Namespace(**{**vars(options), **vars(args)})
    state = net_state(models.phase(args), args.level, args.stage)
    facts, _ = check.describe(param, state, args.model, options)
    layers = [_plain(layer) for layer in without_splits(facts["layers"])]
    return {
        **{key: facts[key] for key in ("file", "net", "phase", "batch", "inputs", "outputs")},
        "layers": layers,
        "types": by_type(layers),
        "totals": {
            **{name: sum(layer[name] for layer in layers) for name in SUMS},
            "params": facts["totals"]["params"],  # shared parameters count once
        },
    }


def without_splits(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers of the prototxt, with the names of blobs in it."""
    names: dict[str, str] = {}
    kept = []
    for layer in layers:
        bottoms = [names.get(name, name) for name in layer["bottoms"]]
        if layer["type"] == "Split":
            names.update(dict.fromkeys(layer["tops"], bottoms[0]))
        else:
            kept.append({**layer, "bottoms": bottoms})
    return kept


def by_type(layers: Sequence[Layer]) -> dict[str, dict[str, int]]:
    """Return the number and sums of each layer type, the most work first."""
    types: dict[str, dict[str, int]] = {}
    for layer in layers:
        sums = types.setdefault(layer["type"], dict.fromkeys(("layers", *SUMS), 0))
        sums["layers"] += 1
        for name in SUMS:
            sums[name] += layer[name]
    return dict(sorted(types.items(), key=lambda item: -item[1]["multiply_adds"]))


def _plain(layer: Layer) -> Layer:
    """Return the facts that hold for every engine; `bytes` are those of the tops it makes."""
    names = ("name", "type", "bottoms", "tops", "top_shapes", "in_place", "params", "param_shapes")
    facts = {name: layer[name] for name in names}
    return {**facts, "multiply_adds": layer["multiply_adds"], "bytes": layer["data_bytes"]}


def report(net: dict[str, Any]) -> str:
    """Return the table of layers, and the one of types."""
    header = ["layer", "type", "reads", "makes", "weights", "params", "multiply-adds", "memory"]
    rows = [
        [
            layer["name"],
            layer["type"],
            ", ".join(layer["bottoms"]),
            _makes(layer),
            ", ".join(table.shape(shape) for shape in layer["param_shapes"].values()),
            f"{layer['params']:,}" if layer["params"] else "",
            table.count(layer["multiply_adds"]) if layer["multiply_adds"] else "",
            bytes_(layer["bytes"]) if layer["bytes"] else "",
        ]
        for layer in net["layers"]
    ]
    lines = [f"{net['net'] or net['file']}, phase {net['phase']}, batch {net['batch']}", ""]
    return "\n".join([*lines, table.render(header, rows, left=5), "", _types(net)])


def _makes(layer: Layer) -> str:
    """Return '64 20 24 24' for a top of the layer's own name, else 'data 64 1 28 28, label 64'."""
    if layer["in_place"]:
        return "in place"
    pairs = zip(layer["tops"], layer["top_shapes"], strict=True)
    return ", ".join(
        table.shape(shape) if top == layer["name"] else f"{top} {table.shape(shape)}"
        for top, shape in pairs
    )


def _types(net: dict[str, Any]) -> str:
    totals = net["totals"]
    rows = [
        [
            name,
            str(sums["layers"]),
            f"{sums['params']:,}" if sums["params"] else "",
            _share(sums["params"], totals["params"]),
            table.count(sums["multiply_adds"]) if sums["multiply_adds"] else "",
            _share(sums["multiply_adds"], totals["multiply_adds"]),
            bytes_(sums["bytes"]) if sums["bytes"] else "",
        ]
        for name, sums in net["types"].items()
    ]
    count, work = len(net["layers"]), table.count(totals["multiply_adds"])
    params, memory = f"{totals['params']:,}", bytes_(totals["bytes"])
    rows += [[""], ["all", str(count), params, "", work, "", memory]]
    header = ["type", "layers", "params", "share", "multiply-adds", "share", "memory"]
    each = table.count(totals["multiply_adds"] / net["batch"])
    said = f"{bytes_(4 * totals['params'])} of parameters, {each} multiply-adds for each record"
    if sum(sums["params"] for sums in net["types"].values()) > totals["params"]:
        said += "; parameters that layers share count once in the sum"
    return f"{table.render(header, rows)}\n\n{said}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if part else ""
