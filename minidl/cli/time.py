"""Time every layer of a net, forward and backward, and say how fast it could be here.

Where a data set is absent, random records take its place. One pass warms up, untimed. A layer's
floor is the time that its arithmetic would take at the speed of a matrix product, or its arrays
at that of a copy, whichever is longer; both speeds are measured in the same run.

With --compare, whole training iterations on several devices, as a table.
"""

from __future__ import annotations

import logging
import statistics
from argparse import Namespace
from dataclasses import asdict
from time import perf_counter
from typing import Any

from minidl.cli import (
    as_json,
    compare,
    data_rate,
    engine_flags,
    floors,
    gpu_floors,
    gpu_time,
    models,
)
from minidl.cli.arguments import (
    Parser,
    add_device,
    add_phase,
    add_shape,
    add_state,
    existing,
    names,
    whole,
)
from minidl.cli.log import logging_to
from minidl.cli.progress import steps
from minidl.cli.time_report import WAYS, median_ms, report
from minidl.cli.timings import Timings
from minidl.errors import UsageError

log = logging.getLogger("minidl")


def add_arguments(parser: Parser) -> None:
    parser.add_file("model", "prototxt of the net")
    parser.add_argument(
        "--weights", type=names, default=(), metavar="FILE", help="caffemodel to load first"
    )
    parser.add_argument(
        "--iterations",
        type=whole(1),
        metavar="N",
        help="passes to time (default: 50; with --compare or --data, 20)",
    )
    parser.add_argument(
        "--compare",
        type=names,
        default=(),
        metavar="DEVICES",
        help="time whole training iterations on each of these devices instead: cpu,cuda:0",
    )
    parser.add_argument(
        "--batches",
        type=compare.sizes,
        default=(),
        metavar="N,N",
        help="batch sizes to compare at: 64,128,256 (default: the net's)",
    )
    parser.add_argument(
        "--data",
        action="store_true",
        help="time the data path alone and the net alone instead, in images a second",
    )
    add_phase(parser, default="TRAIN")
    add_state(parser)
    add_shape(parser)
    add_device(parser)
    engine_flags.add(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: Namespace) -> int:
    way: Any = data_rate if args.data else compare if args.compare or args.batches else None
    args.iterations = args.iterations or (20 if way else 50)
    if args.data and (args.compare or args.batches):
        raise UsageError("--data stands alone", where="minidl time", fix="leave out --compare")
    with logging_to(args):
        result = way.measure(args) if way else measure(args)
    text = way.report if way else report
    print(as_json.dumps(result) if args.json else text(result))
    return 0


def measure(args: Namespace) -> dict[str, Any]:
    """Run the net `-iterations` times; returns times in ms by layer and for the whole net."""
    device = models.use_device(args)
    param = models.read_net(args.model)
    weights = [existing(path, "a caffemodel") for path in args.weights]
    record = models.guess_record(param, args.model, args)
    from minidl.net import Net

    with models.shape_hint(param, record):
        net = Net(
            param,
            models.phase(args),
            weights=weights,
            level=args.level,
            stages=args.stage,
            device=device,
            absent_data=record,
            share=args.phase == "TRAIN",
            **engine_flags.options(args),
        )
    if not any(node.needs_backward for node in net.blueprint.nodes):
        net.share = True
    with net:
        models.warn_of_unused_shape(net.param, args)
        log.info("Performing Forward")
        log.info("Initial loss: %g", net.forward_pass())
        log.info("Performing Backward")
        net.backward_pass()
        return _time_passes(net, args)


def _time_passes(net: Any, args: Namespace) -> dict[str, Any]:
    meter = _meter(net)
    meter.measure()
    log.info("*** Benchmark begins ***")
    log.info("Testing for %d iterations.", args.iterations)
    timings = (gpu_time.timings if net.device.kind == "cuda" else _on_host)(net, args)
    meter.measure()
    result = _result(net, args, timings, meter)
    _log_as_caffe(result["layers"], timings)
    return result


def _meter(net: Any) -> Any:
    """What measures the speeds of the net's device."""
    if net.device.kind == "cuda":
        return gpu_floors.DeviceMeter(net.device, net.policy.math)
    return floors.Meter(net.policy)


def _on_host(net: Any, args: Namespace) -> Timings:
    """All passes by the host's clock, layer by layer."""
    found = Timings(len(net.layers))
    start = t0 = 0.0

    def begin(_: int) -> None:
        nonlocal start
        start = perf_counter()

    def begin_first(i: int) -> None:
        if i == 0 and net.data_layers:
            found.waiting.append(perf_counter() - t0)

    for callbacks, clocks in (
        (net.before_forward, [begin_first, begin]),
        (net.after_forward, [lambda i: found.forward[i].append(perf_counter() - start)]),
        (net.before_backward, [begin]),
        (net.after_backward, [lambda i: found.backward[i].append(perf_counter() - start)]),
    ):
        callbacks.seeing = False
        callbacks += clocks
    began = perf_counter()
    for i in steps(args.iterations, "timing", args):
        net.clear_param_diffs()
        t0 = perf_counter()
        net.forward_pass()
        t1 = perf_counter()
        net.backward_pass()
        t2 = perf_counter()
        found.whole_forward.append(t1 - t0)
        found.whole_backward.append(t2 - t1)
        found.both.append(t2 - t0)
        log.info("Iteration: %d forward-backward time: %g ms.", i + 1, (t2 - t0) * 1e3)
    found.total = perf_counter() - began
    return found


def _result(net: Any, args: Namespace, timings: Timings, meter: Any) -> dict[str, Any]:
    layers = [
        _layer(node, timings.forward[i], timings.backward[i])
        for i, node in enumerate(net.blueprint.nodes)
    ]
    _add_floors(net.schedule, layers, meter)
    others = {"waiting": timings.waiting, "between_layers": timings.between()}
    medians = {
        what: _summary(what, seconds)[f"{what}_median_ms"] for what, seconds in others.items()
    }
    spent = [layer["forward_median_ms"] + layer["backward_median_ms"] for layer in layers]
    pass_ms = sum(spent) + sum(medians.values())
    for layer, ms in zip(layers, spent, strict=True):
        layer["share"] = ms / pass_ms
    floor_ms = sum(layer["floor_ms"] for layer in layers)
    return {
        "model": args.model,
        "net": net.name,
        "phase": args.phase,
        "iterations": args.iterations,
        "batch": _batch(net),
        "layers": layers,
        **_summary("forward", timings.whole_forward),
        **_summary("backward", timings.whole_backward),
        **_summary("forward_backward", timings.both),
        **_summary("waiting", timings.waiting),
        **_summary("between_layers", others["between_layers"]),
        **{f"{what}_share": ms / pass_ms for what, ms in medians.items()},
        "total_ms": timings.total * 1e3,
        "device": net.device.name,
        "engine": net.policy.engine,
        "math": net.policy.math,
        "threads": net.policy.threads,
        "floor_ms": floor_ms,
        "product_gflops": meter.speeds.product / 1e9,
        "copy_gbytes": {size: speed / 1e9 for size, speed in meter.speeds.copies.items()},
        "worst": _worst(layers),
        **(_whole_iterations(net, timings, floor_ms) if timings.iterations else {}),
    }


def _whole_iterations(net: Any, timings: Timings, floor_ms: float) -> dict[str, Any]:
    """Forward and backward as a solver runs them on a GPU, and what it runs on."""
    found = _summary("iteration", timings.iterations)
    properties = net.device.xp.cuda.runtime.getDeviceProperties(net.device.index)
    return {
        **found,
        "iteration_x_floor": found["iteration_median_ms"] / floor_ms if floor_ms else 0.0,
        "graph": not timings.graph_off,
        "graph_off": timings.graph_off,
        "gpu": properties["name"].decode(),
    }


def _layer(node: Any, forward: list[float], backward: list[float]) -> dict[str, Any]:
    """One layer's times, and the speed of its arithmetic: a gradient costs as much as a forward."""
    result = {"name": node.name, "type": node.type}
    result.update(_summary("forward", forward))
    result.update(_summary("backward", backward))
    passes = 1
    if node.needs_backward:
        passes += any(p.lr_mult for p in node.params) + any(node.wanted)
    result["multiply_adds"] = node.multiply_adds
    seconds = (result["forward_median_ms"] + result["backward_median_ms"]) / 1e3
    result["gflops"] = 2 * node.multiply_adds * passes / seconds / 1e9 if seconds else 0.0
    return result


def _add_floors(schedule: Any, layers: list[dict[str, Any]], meter: floors.Meter) -> None:
    """Add to each layer how it was computed, and how long that takes at least."""
    works = [floors.works(schedule, i) for i in range(len(layers))]
    for layer, both in zip(layers, works, strict=True):
        for way, work in zip(WAYS, both, strict=True):
            if ms := layer[f"{way}_median_ms"]:
                meter.saw(work.flop / ms * 1e3)  # a floor that a layer beats would be none
    from minidl.net import report

    speeds, copies = meter.speeds, report.conversions(schedule)
    for layer, both, step in zip(layers, works, schedule.steps, strict=True):
        layer |= asdict(report.execution(step))
        for way, work in zip(WAYS, both, strict=True):
            layer[f"{way}_floor_ms"] = 1e3 * speeds.floor(work)
            layer[f"{way}_bytes"] = work.bytes
            layer[f"{way}_flop"] = work.flop
            layer[f"{way}_bound"] = speeds.bound(work)
        layer["floor_ms"] = sum(layer[f"{way}_floor_ms"] for way in WAYS)
        layer["above_floor_ms"] = median_ms(layer) - layer["floor_ms"]
        layer["conversions"] = [copy.facts() for copy in copies if copy.layer == layer["name"]]


def _worst(layers: list[dict[str, Any]]) -> list[str]:
    """The names of the three that take the most time above their floor."""
    order = sorted(layers, key=lambda layer: -layer["above_floor_ms"])
    return [layer["name"] for layer in order[:3] if layer["above_floor_ms"] > 0]


def _summary(what: str, seconds: list[float]) -> dict[str, float]:
    """Mean and median in ms; 0 for a layer that does not run."""
    return {
        f"{what}_ms": statistics.fmean(seconds) * 1e3 if seconds else 0.0,
        f"{what}_median_ms": statistics.median(seconds) * 1e3 if seconds else 0.0,
    }


def _batch(net: Any) -> int:
    """Records a pass: the first axis of the first top."""
    shape = net.blueprint.nodes[0].top_shapes[0] if net.blueprint.nodes else ()
    return shape[0] if shape else 1


def _log_as_caffe(layers: list[dict[str, Any]], timings: Timings) -> None:
    log.info("Average time per layer: ")
    for layer in layers:
        log.info("%10s\tforward: %g ms.", layer["name"], layer["forward_ms"])
        log.info("%10s\tbackward: %g ms.", layer["name"], layer["backward_ms"])
    log.info("Average Forward pass: %g ms.", statistics.fmean(timings.whole_forward) * 1e3)
    log.info("Average Backward pass: %g ms.", statistics.fmean(timings.whole_backward) * 1e3)
    log.info("Average Forward-Backward: %g ms.", statistics.fmean(timings.both) * 1e3)
    log.info("Total Time: %g ms.", timings.total * 1e3)
    log.info("*** Benchmark ends ***")
