"""`minidl time`: every layer of a net, as a table and in words."""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from typing import TYPE_CHECKING, Any

from minidl.arrays.units import bytes_
from minidl.cli import engine_flags, models, table
from minidl.cli.arguments import existing
from minidl.cli.progress import steps

if TYPE_CHECKING:
    from minidl.profile import LayerTimes, NetTimes, PassTimes, Times
    from minidl.profile.net_times import Iteration

Json = dict[str, Any]
ITERATIONS = 50


def measure(args: Namespace) -> NetTimes:
    """Make the net that the flags ask for, and time its layers."""
    device = models.use_device(args)
    param = models.read_net(args.model)
    options = engine_flags.options(args) | {"device": device, "phase": models.phase(args)}
    options["weights"] = [existing(path, "a caffemodel") for path in args.weights]
    from minidl import profile

    with models.net(param, args.model, args, share=None, **options) as net:
        models.warn_of_unused_shape(net.param, args)
        return profile.layers(net, args.iterations, partial(steps, args=args))


# ------------------------------------------------------------------ as JSON


def facts(found: NetTimes) -> Json:
    """Return the result with --json's names."""
    result = {
        "net": found.net,
        "phase": found.phase,
        "iterations": found.iterations,
        "batch": found.batch,
        "layers": [_layer(layer, found.pass_ms) for layer in found.layers],
        **_times("forward", found.forward),
        **_times("backward", found.backward),
        **_times("forward_backward", found.both),
        **_times("waiting", found.waiting),
        **_times("between_layers", found.between),
        "waiting_share": found.waiting.median_ms / found.pass_ms,
        "between_layers_share": found.between.median_ms / found.pass_ms,
        "total_ms": found.total_ms,
        "device": found.device,
        "engine": found.engine,
        "math": found.math,
        "threads": found.threads,
        "floor_ms": found.floor_ms,
        "product_gflops": found.speeds.product / 1e9,
        "copy_gbytes": {size: speed / 1e9 for size, speed in found.speeds.copies.items()},
        "worst": [layer.name for layer in found.worst],
    }
    if (iteration := found.iteration) is not None:
        result |= {
            **_times("iteration", iteration.times),
            "iteration_x_floor": found.iteration_x_floor,
            "graph": not iteration.graph_off,
            "graph_off": iteration.graph_off,
            "gpu": iteration.gpu,
        }
    return result


def _layer(layer: LayerTimes, pass_ms: float) -> Json:
    return {
        "name": layer.name,
        "type": layer.type,
        **_pass("forward", layer.forward),
        **_pass("backward", layer.backward),
        "multiply_adds": layer.multiply_adds,
        "gflops": layer.gflops,
        **vars(layer.execution),
        "floor_ms": layer.floor_ms,
        "above_floor_ms": layer.above_floor_ms,
        "conversions": [copy.facts() for copy in layer.conversions],
        "share": layer.median_ms / pass_ms,
    }


def _pass(way: str, found: PassTimes) -> Json:
    known = {"floor_ms": found.floor_ms, **found.work._asdict(), "bound": found.bound}
    return {**_times(way, found.times), **{f"{way}_{key}": value for key, value in known.items()}}


def _times(what: str, times: Times) -> Json:
    return {f"{what}_ms": times.mean_ms, f"{what}_median_ms": times.median_ms}


# ------------------------------------------------------------------ as text


def text(found: NetTimes, model: str) -> str:
    """Return the result as a table of medians."""
    rows = [_row(layer, found.pass_ms) for layer in found.layers]
    waiting, between, both = (t.median_ms for t in (found.waiting, found.between, found.both))
    if waiting:
        share = _percent(waiting, found.pass_ms)
        rows.append(["waiting for data", "", "", f"{waiting:.3f}", "", "", "", "", share])
    rows.append(["between layers", *[""] * 7, _percent(between, found.pass_ms)])
    forward, backward, floor = found.forward.median_ms, found.backward.median_ms, found.floor_ms
    whole = [f"{forward:.3f}", f"{backward:.3f}", "", f"{floor:.3f}", _ratio(both, floor), ""]
    rows += [[""], ["whole net", "", "", *whole]]
    header = ["layer", "type", "engine", "forward ms", "backward ms", "GFLOP/s"]
    header += ["floor ms", "x floor", "share"]
    lines = [table.render(header, rows, left=3), ""]
    if not any(layer.backward.times.mean_ms for layer in found.layers):
        lines.append("No layer runs backward: nothing that a loss depends on needs a gradient.")
    lines.append(
        f"{both:.3f} ms for a batch of {found.batch}, {found.batch / both * 1e3:.1f} "
        f"records/s; medians of {found.iterations} passes in phase {found.phase}"
    )
    if found.iteration is not None:
        lines.append(_iteration(found, found.iteration))
    lines += ["", _speeds(found)]
    if found.worst:
        lines += ["furthest above their floors:", *map(_explain, found.worst)]
    return "\n".join(lines)


def _iteration(found: NetTimes, iteration: Iteration) -> str:
    """Return the time of a training iteration on a GPU, without timing single layers."""
    ms, why = iteration.times.median_ms, iteration.graph_off
    how = f"no CUDA graph ({why})" if why else "one CUDA graph"
    said = f"as a solver runs it, {how}: {ms:.3f} ms, {found.batch / ms * 1e3:.1f} records/s"
    floor = found.iteration_x_floor
    return f"{said}, {floor:.1f} times the floor" if floor else said


def _row(layer: LayerTimes, pass_ms: float) -> list[str]:
    return [
        layer.name,
        layer.type,
        str(layer.execution),
        f"{layer.forward.times.median_ms:.3f}",
        f"{layer.backward.times.median_ms:.3f}",
        f"{layer.gflops:.1f}" if layer.gflops >= 0.05 else "",
        f"{layer.floor_ms:.3f}" if layer.floor_ms else "",
        _ratio(layer.median_ms, layer.floor_ms),
        _percent(layer.median_ms, pass_ms),
    ]


def _percent(ms: float, of: float) -> str:
    return f"{100 * ms / of:.1f} %"


def _ratio(ms: float, floor: float) -> str:
    return f"{ms / floor:.{1 if ms < 100 * floor else 0}f}" if floor else ""


def _speeds(found: NetTimes) -> str:
    """Return the speeds on which the floors are based."""
    sizes = sorted(found.speeds.copies.items())
    copies = (f"{speed / 1e9:.0f} GB/s of {bytes_(size)}" for size, speed in (sizes[0], sizes[-1]))
    where = table.plural(found.threads, "thread")
    if found.iteration is not None:
        where = f"{found.math} on {found.iteration.gpu}"
    return (
        f"floors: {found.speeds.product / 1e9:.0f} GFLOP/s, the best of matrix products and layers;"
        f" copies at {' to '.join(copies)}; {where}"
    )


def _explain(layer: LayerTimes) -> str:
    """Return 'norm1: 3.1 ms above its floor; ...; forward 2.9 ms, arrays (74 MiB) take 1.2 ms'."""
    said = [f"{layer.above_floor_ms:.3g} ms above its floor", str(layer.execution)]
    for way, each in (("forward", layer.forward), ("backward", layer.backward)):
        if not each.floor_ms:
            continue
        what = f"arrays ({bytes_(each.work.bytes)}) take"
        if each.bound == "arithmetic":
            what = f"arithmetic ({table.count(each.work.flop)}FLOP) takes"
        said.append(f"{way} {each.times.median_ms:.3g} ms, {what} {each.floor_ms:.3g} ms")
    if not layer.floor_ms:
        said.append("nothing that it does has a floor")
    said += [f"converts {copy.what}" for copy in layer.conversions]
    if layer.execution.engine == "numpy":
        said.append(layer.execution.why)
    return f"  {layer.name}: " + "; ".join(part for part in said if part)
