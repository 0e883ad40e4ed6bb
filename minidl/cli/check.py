"""Print what a net or a solver would be: shapes, parameters, arithmetic, memory.

Nothing is allocated and no weights are read. Of a data set that is there the first record is read,
for its shape, and the mean_file with it. A solver file is checked with all the nets that it names,
or with -phase those of that phase.
"""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from minidl.cli import as_json, models, table
from minidl.cli.arguments import Parser, add_phase, add_shape, add_state, existing
from minidl.cli.log import logging_to
from minidl.errors import UsageError


def add_arguments(parser: Parser) -> None:
    parser.add_file("model", "prototxt of a net or a solver")
    parser.add_argument("--solver", dest="model_flag", metavar="FILE", help="prototxt of a solver")
    add_phase(parser, default="TEST")
    parser.set_defaults(phase=None)  # of a solver: all its nets
    add_state(parser)
    add_shape(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: Namespace) -> int:
    with logging_to(args):
        nets = _solver_nets(args) if models.is_solver(args.model) else [_net(args)]
    if args.json:
        print(as_json.dumps(nets if len(nets) > 1 else nets[0]))
    else:
        print("\n\n".join(report(net) for net in nets))
    return 0


def _net(args: Namespace) -> dict[str, Any]:
    from minidl.graph.build import net_state

    param = models.read_net(args.model)
    args.phase = args.phase or "TEST"
    state = net_state(models.phase(args), args.level, args.stage)
    return describe(param, state, args.model, args)


def _solver_nets(args: Namespace) -> list[dict[str, Any]]:
    """The nets of a solver file whose own fields are in order: the one to train, those to test."""
    from minidl import prototxt
    from minidl.solver import nets, parameters

    param = prototxt.read_solver(existing(args.model, "a solver's prototxt"))
    models.set_train_state(param, args)
    parameters.check(param)
    sources = nets.Sources(param)
    plans = [] if args.phase == "TEST" else [sources.training()]
    plans += [] if args.phase == "TRAIN" else sources.testing()
    if not plans:
        raise UsageError(
            "names no net to test: it has no test_iter",
            where=args.model,
            fix="leave out -phase TEST, or give the net's own file",
        )
    return [describe(plan.model, plan.state, plan.source.split(": ")[-1], args) for plan in plans]


def describe(param: Any, state: Any, path: str, args: Namespace) -> dict[str, Any]:
    """Everything that is known of a net in this state before it is made, as plain values."""
    from minidl import schema
    from minidl.blueprint import Blueprint
    from minidl.context import Context

    record = models.guess_record(param, path, args)
    with models.shape_hint(param, record):
        ctx = Context(phase=state.phase, absent_data=record)
        blueprint = Blueprint(param, ctx, state.level, state.stage)
    models.warn_of_unused_shape(blueprint.param, args)
    layers, data, gradients = _layers(blueprint, training=state.phase == schema.TRAIN)
    params = sum(math.prod(p.shape) for p in blueprint.params)
    learned = [p for p in blueprint.params if p.lr_mult]
    item = 4  # bytes of a float32
    totals = {
        "params": params,
        "param_blobs": len(blueprint.params),
        "learnable": sum(math.prod(p.shape) for p in learned),
        "multiply_adds": sum(layer["multiply_adds"] for layer in layers),
        "params_bytes": item * params,
        "param_gradients_bytes": item * sum(math.prod(p.shape) for p in learned),
        "data_bytes": data,
        "gradients_bytes": gradients,
        "buffers_bytes": sum(layer["buffers_bytes"] for layer in layers),
        "scratch_bytes": max(map(blueprint.scratch_bytes, blueprint.nodes), default=0),
    }
    if not gradients:
        totals["param_gradients_bytes"] = 0
    totals["memory_bytes"] = sum(size for name, size in totals.items() if name.endswith("_bytes"))
    return {
        "file": path,
        "net": blueprint.name,
        "phase": "TRAIN" if state.phase == schema.TRAIN else "TEST",
        "inputs": blueprint.inputs,
        "outputs": blueprint.outputs,
        "batch": next((s[0] for s in blueprint.blob_shapes.values() if s), 1),
        "layers": layers,
        "totals": totals,
    }


def _layers(blueprint: Any, training: bool) -> tuple[list[dict[str, Any]], int, int]:
    """A dict for each layer; the bytes of all blobs; the bytes of all their gradients.

    A net in phase TEST runs forward only, and a gradient that nobody asks for is never made.
    """
    wanted = training and {
        name
        for node in blueprint.nodes
        for name, want in zip(node.bottoms, node.wanted, strict=True)
        if want
    }
    layers, all_data, all_gradients = [], 0, 0
    for node in blueprint.nodes:
        data = gradients = 0
        for j, (name, shape) in enumerate(zip(node.tops, node.top_shapes, strict=True)):
            size = 4 * math.prod(shape)
            same = j == 0 and node.in_place
            view = j in node.layer.views
            if not (same or view):
                data += size
            shares_gradient = same or (view and node.layer.view_diffs)
            if wanted and not shares_gradient and (name in wanted or node.loss_weights[j]):
                gradients += size
        buffers = blueprint.saved_bytes(node)
        layers.append(
            {
                "name": node.name,
                "type": node.type,
                "bottoms": list(node.bottoms),
                "tops": list(node.tops),
                "top_shapes": [list(s) for s in node.top_shapes],
                "in_place": node.in_place,
                "params": sum(math.prod(p.shape) for p in node.params),
                "param_shapes": {p.attr: list(p.shape) for p in node.params},
                "multiply_adds": node.multiply_adds,
                "data_bytes": data,
                "gradients_bytes": gradients,
                "buffers_bytes": buffers,
                "scratch_bytes": blueprint.scratch_bytes(node),
                "backward": node.needs_backward,
            }
        )
        all_data += data
        all_gradients += gradients
    return layers, all_data, all_gradients


def report(net: dict[str, Any]) -> str:
    """A net as a table of its layers, with totals."""
    rows = []
    for layer in net["layers"]:
        memory = layer["data_bytes"] + layer["gradients_bytes"] + layer["buffers_bytes"]
        rows.append(
            [
                layer["name"],
                layer["type"],
                _shapes(layer["top_shapes"]),
                f"{layer['params']:,}" if layer["params"] else "",
                table.count(layer["multiply_adds"]) if layer["multiply_adds"] else "",
                "in place" if layer["in_place"] else table.bytes_(memory),
            ]
        )
    header = ["layer", "type", "top shapes", "params", "multiply-adds", "memory"]
    lines = [f"{net['net'] or net['file']}, phase {net['phase']}", ""]
    lines += [table.render(header, rows, left=3), ""]
    return "\n".join(lines + _totals(net))


def _shapes(shapes: Sequence[Sequence[int]]) -> str:
    """'64 1 28 28, 64' for two tops, '64 10 (x 2)' for two alike."""
    groups = [(table.shape(shape), len(list(same))) for shape, same in groupby(shapes)]
    return ", ".join(text + (f" (x {n})" if n > 1 else "") for text, n in groups)


def _totals(net: dict[str, Any]) -> list[str]:
    totals: dict[str, int] = net["totals"]
    t: dict[str, Any] = dict(totals)
    t.update((k, table.bytes_(v)) for k, v in totals.items() if k.endswith("_bytes"))
    learnable = "" if t["learnable"] == t["params"] else f", {t['learnable']:,} of them learned"
    work = totals["multiply_adds"]
    return [
        f"parameters     {t['params']:,} in {t['param_blobs']} blobs{learnable}: "
        f"{t['params_bytes']}, gradients {t['param_gradients_bytes']}",
        f"blobs          {t['data_bytes']}, gradients {t['gradients_bytes']}",
        f"buffers        {t['buffers_bytes']} kept for backward, {t['scratch_bytes']} scratch "
        "that all layers share",
        f"memory         {t['memory_bytes']} together",
        f"multiply-adds  {table.count(work)} forward, {table.count(work / net['batch'])} of them "
        f"for each of {net['batch']} records",
        f"inputs         {', '.join(net['inputs']) or 'none'}",
        f"outputs        {', '.join(net['outputs']) or 'none'}",
    ]
