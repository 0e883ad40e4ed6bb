"""The page about one layer of a net: what it computes, its cost, and which engine runs it."""

from __future__ import annotations

import math
from argparse import Namespace
from typing import Any

from minidl.arrays.units import bytes_
from minidl.cli import check, manual, models, table
from minidl.cli.manual import Page, Row
from minidl.errors import UsageError, did_you_mean


def page(args: Namespace) -> Page:
    """Return the page of layer `args.layer` in the net `args.topic`; without one, that of the net.

    Only the plans of the engines are made for it, as for `minidl check`.
    """
    from minidl.prototxt.phases import net_state

    if models.is_solver(args.topic):
        raise UsageError(
            "is a solver, not a net",
            where=args.topic,
            fix="minidl explain SolverParameter, or minidl check for the solver's settings",
        )
    param = models.read_net(args.topic)
    state = net_state(models.phase(args), args.level, args.stage)
    found = check.describe(param, state, args.topic, args)
    names = [layer["name"] for layer in found.facts["layers"]]
    if args.layer is None:
        return _net(found.facts)
    if args.layer not in names:
        elsewhere = any(layer.name == args.layer for layer in param.layer)
        raise UsageError(
            f"the net has no layer '{args.layer}' in phase {args.phase}",
            where=args.topic,
            fix="-phase TRAIN or -phase TEST: it is a layer of the other phase"
            if elsewhere
            else did_you_mean(args.layer, names) or f"minidl explain {args.topic} lists them",
        )
    return _layer(found, names.index(args.layer))


def _net(facts: dict[str, Any]) -> Page:
    rows = tuple(Row(layer["name"], layer["type"], "", "") for layer in facts["layers"])
    title = f"a net of {len(rows)} layers, phase {facts['phase']}"
    return Page(facts["net"] or facts["file"], "net", title, "", rows)


def _layer(found: check.Checked, index: int) -> Page:
    from minidl.layers.base import REGISTRY
    from minidl.prototxt import to_text

    step, facts = found.schedule.steps[index], found.facts["layers"][index]
    node = step.node
    spec = node.layer.spec
    origin = spec.minidl_origin
    file = f"{origin.file}:{origin.line}" if origin.line else found.facts["file"]
    work = facts["multiply_adds"]
    title = f"a {node.type} layer in {file}, phase {found.facts['phase']}"
    made = {
        "reads": _blobs(node.bottoms, node.bottom_shapes),
        "makes": _blobs(node.tops, node.top_shapes) + (", in place" if node.in_place else ""),
        "learns": "\n".join(_parameter(p, spec, i) for i, p in enumerate(node.params)),
        "costs": f"{table.count(work)} multiply-adds forward" if work else "no multiply-adds",
        "memory": _memory(facts),
        "backward": "runs" if facts["backward"] else "does not run: no gradient is asked for",
        "engine": _engine(found, index),
        "conversions": "\n".join(
            f"{copy['when']} its {copy['pass']}: {copy['kind']} of {copy['blob']}, "
            f"{copy['from']} to {copy['to']}, {bytes_(copy['bytes'])}"
            for copy in found.facts["conversions"]
            if copy["layer"] == node.name
        ),
        "as prototxt": to_text(spec).rstrip("\n"),
        "see also": f"minidl explain {node.type}",
    }
    text = manual.equation(REGISTRY[node.type])
    return Page(node.name, "layer", title, text, facts={k: v for k, v in made.items() if v})


def _blobs(names: Any, shapes: Any) -> str:
    pairs = zip(names, shapes, strict=True)
    return "\n".join(f"{name}  {' x '.join(map(str, s)) or 'one number'}" for name, s in pairs)


def _parameter(param: Any, spec: Any, index: int) -> str:
    """Return 'weight  20 x 1 x 5 x 5, 500 numbers, lr_mult 1, decay_mult 1'."""
    said = [f"{param.attr}  {' x '.join(map(str, param.shape))}"]
    said.append(f"{math.prod(param.shape):,} numbers")
    rates = spec.param[index] if index < len(spec.param) else None
    said.append(f"lr_mult {param.lr_mult:g}" + ("" if param.lr_mult else ": it stays as it is"))
    said += [f"decay_mult {rates.decay_mult:g}"] if rates is not None else []
    said += [f"that of {param.owner}"] if param.owner != param.key else []
    return ", ".join(said)


def _memory(facts: dict[str, Any]) -> str:
    said = {
        "tops": facts["data_bytes"],
        "their gradients": facts["gradients_bytes"],
        "kept for backward": facts["buffers_bytes"],
        "workspace that layers share": facts["scratch_bytes"],
    }
    return ", ".join(f"{what} {bytes_(n)}" for what, n in said.items() if n) or "none of its own"


def _engine(found: check.Checked, index: int) -> str:
    """Return which engine computes the layer, and why no other does."""
    from minidl.net import report

    step = found.schedule.steps[index]
    runs, asked = report.execution(step), found.facts["engine"]
    if runs.engine == "none":
        return "none: it makes data, or has nothing to do"
    if runs.fused:
        return f"{runs}: the layer before it computes it in the same pass over memory"
    if runs.engine != "numpy":
        return f"{runs}: {runs.why or f'the first that has a plan (--engine {asked})'}"
    if runs.why:
        return f"{runs}: {runs.why}"
    if asked == "numpy":
        return f"{runs}: --engine numpy asks for it"
    return f"{runs}: no engine has a plan for this type"
