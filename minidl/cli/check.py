"""Print what a net or a solver would be: shapes, parameters, arithmetic, engines, memory.

No array is made and no weights are read. If a data set exists, its first record is read,
for its shape, and the mean_file with it. All phases that a net has are checked, and the one for
testing is shown; a solver file is checked with all the nets that it names. With -phase only that
phase is. The memory shown holds for `minidl train` and `test`: their nets share it.

If layers of a net are refused, the others are still shown, with their shapes as
far as these are known; the errors follow, and the status is 2.
"""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from minidl.arrays.units import bytes_
from minidl.cli import as_json, engine_flags, models, parts, showing, table
from minidl.cli.arguments import Parser, add_shape, add_state, existing
from minidl.cli.log import logging_to
from minidl.errors import UsageError, shortened

if TYPE_CHECKING:
    from minidl.net.schedule import Schedule


class Checked(NamedTuple):
    """A net before it is made: what `--json` prints of it, and how it would run."""

    facts: dict[str, Any]
    schedule: Schedule


def add_arguments(parser: Parser) -> None:
    parser.add_file("model", "prototxt of a net or a solver")
    parser.add_argument("--solver", dest="model_flag", metavar="FILE", help="prototxt of a solver")
    add_state(parser, phase="TEST")
    parser.set_defaults(phase=None)  # of a solver: all its nets
    add_shape(parser)
    engine_flags.add(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: Namespace) -> int:
    with logging_to(args):
        if models.is_solver(args.model):
            nets = _solver_nets(args)
        else:
            with showing.the_rest(args):
                nets = [_net(args)]
    if args.json:
        facts = [net.facts for net in nets]
        print(as_json.dumps(facts if len(facts) > 1 else facts[0]))
    else:
        print(shortened("\n\n".join(as_text(net) for net in nets)))
    return 0


def _net(args: Namespace) -> Checked:
    """Return the net of -phase; by default that of the first phase, with the other one checked."""
    from minidl.prototxt.phases import net_state

    param = models.read_net(args.model)
    if args.phase:
        state = net_state(models.phase(args), args.level, args.stage)
        return describe(param, state, args.model, args)
    found = parts.states(param, args.level, args.stage)
    parts.check_all(param, found, lambda state: _blueprint(param, state, args.model, args))
    net = describe(param, found[0], args.model, args)
    net.facts["also_checked"] = [_phase(state) for state in found[1:]]
    return net


def _solver_nets(args: Namespace) -> list[Checked]:
    """Return the nets of a solver file whose own fields are valid: to train, then to test."""
    from minidl import prototxt
    from minidl.solver import nets, parameters

    param = prototxt.read_solver(existing(args.model, "a solver's prototxt"))
    models.set_train_state(param, args)
    parameters.check(param)
    sources = nets.Sources(param)
    found = [] if args.phase == "TEST" else [sources.training()]
    found += [] if args.phase == "TRAIN" else sources.testing()
    if not found:
        raise UsageError(
            "names no net to test: it has no test_iter",
            where=args.model,
            fix="leave out -phase TEST, or give the net's own file",
        )
    homes: Mapping[str, Any] = {}  # nets to test use the parameters of the net to train
    checked = []
    for net in found:
        file = net.source.split(": ")[-1]
        checked.append(describe(net.model, net.state, file, args, homes))
        homes = homes or checked[0].schedule.params
    return checked


def describe(
    param: Any, state: Any, path: str, args: Namespace, homes: Mapping[str, Any] | None = None
) -> Checked:
    """Return everything known of a net in this state before it is made.

    homes    layouts of parameters that belong to another net
    """
    from minidl import schema
    from minidl.net import report
    from minidl.net.schedule import Schedule

    blueprint = _blueprint(param, state, path, args)
    device = blueprint.ctx.device
    models.warn_of_unused_shape(blueprint.param, args)
    policy = engine_flags.policy(args)
    training = state.phase == schema.TRAIN
    schedule = Schedule.of(blueprint, policy, backward=training, homes=homes, share=True)
    layers = _layers(schedule)
    sums = ("multiply_adds", "data_bytes", "gradients_bytes", "buffers_bytes")
    params, memory = blueprint.params, report.net_memory(schedule)
    facts = {
        "file": path,
        "net": blueprint.name,
        "phase": _phase(state),
        "inputs": blueprint.inputs,
        "outputs": blueprint.outputs,
        "batch": next((s[0] for s in blueprint.blob_shapes.values() if s), 1),
        "device": policy.device,
        "device_bytes": dict(zip(("free", "total"), device.memory() or (), strict=False)),
        "engine": policy.engine,
        "math": policy.math.name,
        "threads": policy.threads,
        "layers": layers,
        "conversions": [copy.facts() for copy in report.conversions(schedule)],
        "totals": {
            "params": sum(math.prod(p.shape) for p in params),
            "param_blobs": len(params),
            "learnable": sum(math.prod(p.shape) for p in params if p.lr_mult),
            **{name: sum(layer[name] for layer in layers) for name in sums},
            **asdict(memory),
            "memory_bytes": memory.memory_bytes,
            "memory_apart_bytes": memory.memory_apart_bytes,
        },
    }
    return Checked(facts, schedule)


def _blueprint(param: Any, state: Any, path: str, args: Namespace) -> Any:
    from minidl.arrays.rng import DevicePasses, Streams
    from minidl.layers.context import Context
    from minidl.net.blueprint import Blueprint

    with models.records(param, path, args) as record:
        device, streams = models.device(args), Streams(0)
        counter = DevicePasses(device, streams).address if device.kind == "cuda" else 0
        ctx = Context(
            device, phase=state.phase, streams=streams, counter=counter, absent_data=record
        )
        return Blueprint(param, ctx, state.level, state.stage)


def _phase(state: Any) -> str:
    from minidl.prototxt.phases import PHASE_NAMES

    return PHASE_NAMES[state.phase]


def _layers(schedule: Schedule) -> list[dict[str, Any]]:
    """Return a dict for each layer."""
    from minidl.net import report

    return [
        {
            "name": step.node.name,
            "type": step.node.type,
            "bottoms": list(step.node.bottoms),
            "tops": list(step.node.tops),
            "top_shapes": [list(s) for s in step.node.top_shapes],
            "in_place": step.node.in_place,
            "params": sum(math.prod(p.shape) for p in step.node.params),
            "param_shapes": {p.attr: list(p.shape) for p in step.node.params},
            "multiply_adds": step.node.multiply_adds,
            "backward": step.node.needs_backward,
            **asdict(report.execution(step)),
            **asdict(memory),
        }
        for step, memory in zip(schedule.steps, report.layer_memory(schedule), strict=True)
    ]


def as_text(net: Checked) -> str:
    """Return a net as a table of its layers, with totals."""
    from minidl.net import report

    facts, rows = net.facts, []
    for layer, step in zip(facts["layers"], net.schedule.steps, strict=True):
        memory = layer["data_bytes"] + layer["gradients_bytes"] + layer["buffers_bytes"]
        rows.append(
            [
                layer["name"],
                layer["type"],
                _shapes(layer["top_shapes"]),
                str(report.execution(step)),
                f"{layer['params']:,}" if layer["params"] else "",
                table.count(layer["multiply_adds"]) if layer["multiply_adds"] else "",
                "in place" if layer["in_place"] else bytes_(memory),
                bytes_(layer["scratch_bytes"]) if layer["scratch_bytes"] else "",
            ]
        )
    header = ["layer", "type", "top shapes", "engine"]
    header += ["params", "multiply-adds", "memory", "workspace"]
    lines = [f"{facts['net'] or facts['file']}, phase {facts['phase']}", ""]
    lines += [table.render(header, rows, left=4), ""]
    return "\n".join(lines + _totals(net))


def _shapes(shapes: Sequence[Sequence[int]]) -> str:
    """Return '64 1 28 28, 64' for two tops, '64 10 (x 2)' for two equal ones."""
    groups = [(table.shape(shape), len(list(same))) for shape, same in groupby(shapes)]
    return ", ".join(text + (f" (x {n})" if n > 1 else "") for text, n in groups)


def _totals(net: Checked) -> list[str]:
    from minidl.net import report

    facts = net.facts
    totals: dict[str, int] = facts["totals"]
    t: dict[str, Any] = dict(totals)
    t.update((k, bytes_(v)) for k, v in totals.items() if k.endswith("_bytes"))
    learnable = "" if t["learnable"] == t["params"] else f", {t['learnable']:,} of them learned"
    work = totals["multiply_adds"]
    others = facts.get("also_checked", ())
    copies = [str(copy) for copy in report.conversions(net.schedule)] or ["none"]
    return [
        f"parameters     {t['params']:,} in {t['param_blobs']} blobs{learnable}: "
        f"{t['params_bytes']}, gradients {t['param_gradients_bytes']}",
        f"blobs          {t['data_bytes']}, gradients {t['gradients_bytes']}, "
        f"{t['buffers_bytes']} kept for backward",
        f"shared memory  {t['shared_bytes']} for {t['apart_bytes']} of these: at one time "
        f"{t['peak_bytes']} are needed",
        f"workspace      {t['scratch_bytes']} that all layers share",
        f"memory         {t['memory_bytes']} together, {t['memory_apart_bytes']} without sharing",
        *_room(facts),
        *(f"{'conversions' if i == 0 else '':<15}{text}" for i, text in enumerate(copies)),
        f"multiply-adds  {table.count(work)} forward, {table.count(work / facts['batch'])} of them "
        f"for each of {facts['batch']} records",
        f"inputs         {', '.join(facts['inputs']) or 'none'}",
        f"outputs        {', '.join(facts['outputs']) or 'none'}",
        *(f"phase {phase:<8} is in order, too: -phase {phase} shows it" for phase in others),
    ]


def _room(facts: dict[str, Any]) -> list[str]:
    """Return whether the net fits its GPU; nothing on the CPU."""
    if not facts["device_bytes"]:
        return []
    needed, room = facts["totals"]["memory_bytes"], facts["device_bytes"]
    has = f"{bytes_(room['free'])} of {bytes_(room['total'])} free"
    verdict = "enough" if needed <= room["free"] else "too little"
    return [f"{facts['device']:<15}{has}: {verdict}"]
