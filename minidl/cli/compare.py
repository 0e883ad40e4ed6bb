"""Whole training iterations of a net on several devices: what a GPU is good for, as a table."""

from __future__ import annotations

import argparse
import logging
from argparse import Namespace
from time import perf_counter
from typing import Any

from minidl.cli import engine_flags, models, table
from minidl.errors import DeviceError, EngineError

log = logging.getLogger("minidl")

# Seconds for 20 iterations of AlexNet by batch size, as a course on Caffe published them:
# with MKL on two ten-core Ivy Bridge processors, and with cuDNN on an NVIDIA K40.
COURSE = {64: (64.0, 7.5), 128: (124.0, 14.5), 256: (257.0, 28.5)}
COURSE_NET, COURSE_ITERATIONS = "alexnet", 20

# The rate changes no time; with this one the loss stays finite on random records.
SOLVER = """base_lr: 0.0001 momentum: 0.9 weight_decay: 0.0005 lr_policy: "fixed"
max_iter: 1000000 snapshot_after_train: false random_seed: 1"""
WARM = {"cpu": 1, "cuda": 3}  # iterations that do not count: a GPU's second one is recorded

Json = dict[str, Any]
Tops = dict[str, tuple[tuple[int, ...], bool]]  # by name: the shape, and whether it is images


def sizes(text: str) -> tuple[int, ...]:
    """Argument type: batch sizes by comma.

    >>> sizes("64,128")
    (64, 128)
    """
    try:
        numbers = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of batch sizes such as 64,128")
    return numbers


def measure(args: Namespace) -> Json:
    """Seconds of `iterations` training iterations by batch size and device.

    Each iteration is forward, backward and update on one batch of random records that is there
    already: reading data is no part of it.
    """
    from minidl.arrays.device import Device

    devices = [Device(name) for name in args.compare or [models.device(args).name]]
    param, tops = _without_data(args)
    rows = []
    for batch in args.batches or [_batch(tops)]:
        model = _fed(param, tops, batch)
        cells = {device.name: _cell(model, tops, device, args) for device in devices}
        rows.append({"batch": batch, "devices": cells, **_course(param.name, batch, args)})
    return {
        "model": args.model,
        "net": param.name,
        "iterations": args.iterations,
        "devices": {device.name: _about(device, args) for device in devices},
        "rows": rows,
    }


# ------------------------------------------------------------------ the net


def _without_data(args: Namespace) -> tuple[Any, Tops]:
    """The net without the layers that make data, and their tops."""
    from minidl import schema
    from minidl.layers.context import Context
    from minidl.net.blueprint import Blueprint

    param = models.read_net(args.model)
    record = models.guess_record(param, args.model, args)
    with models.shape_hint(param, record):
        ctx = Context(phase=schema.TRAIN, absent_data=record)
        nodes = Blueprint(param, ctx, args.level, args.stage).nodes
    tops = {
        top: (shape, j == 0)
        for node in nodes
        if not node.bottoms
        for j, (top, shape) in enumerate(zip(node.tops, node.top_shapes, strict=True))
    }
    kept = [layer for layer in param.layer if layer.bottom]
    del param.layer[:]
    param.layer.extend(kept)
    del param.input[:], param.input_shape[:], param.input_dim[:]
    return param, tops


def _batch(tops: Tops) -> int:
    """Records of the first blob that is read."""
    (shape, _), *_ = tops.values()
    return int(shape[0])


def _fed(param: Any, tops: Tops, batch: int) -> Any:
    """The net at this batch size, its data to be written by hand."""
    from minidl import schema

    model = schema.NetParameter()
    model.CopyFrom(param)
    del model.layer[:]
    for top, (shape, _) in tops.items():
        layer = model.layer.add(name=top, type="Input", top=[top])
        layer.input_param.shape.add(dim=(batch, *shape[1:]))
    model.layer.extend(param.layer)
    return model


# ------------------------------------------------------------------ one cell


def _cell(model: Any, tops: Tops, device: Any, args: Namespace) -> Json:
    """{"seconds": ...}; or {"error": ...} where this device cannot do it."""
    log.info("Timing %d iterations on %s.", args.iterations, device.name)
    try:
        return {"seconds": _seconds(model, tops, device, args)}
    except (DeviceError, EngineError) as error:
        return {"error": " ".join(str(error).split())}
    finally:
        if device.kind == "cuda":
            device.xp.get_default_memory_pool().free_all_blocks()


def _seconds(model: Any, tops: Tops, device: Any, args: Namespace) -> float:
    import numpy as np

    from minidl import get_solver, prototxt

    solver = prototxt.read_solver(SOLVER)
    solver.net_param.CopyFrom(model)
    made = get_solver(solver, device=device, share=True, **options(args, device))
    try:
        random = np.random.default_rng(1)
        for name, (
            _,
            images,
        ) in tops.items():  # what is no image is a label, which stays 0
            blob = made.net.blobs[name]
            if images:
                device.write(blob.data, random.standard_normal(blob.shape, np.float32))
        made.step(WARM[device.kind])
        device.synchronize()
        began = perf_counter()
        made.step(args.iterations)
        device.synchronize()
        return perf_counter() - began
    finally:
        made.close()


def options(args: Namespace, device: Any) -> Json:
    """The flags' engines and arithmetic, as far as this device has them."""
    from minidl.engines import select

    found = engine_flags.options(args)
    if found["engine"] not in (None, "auto", "numpy", *select.OF[device.kind]):
        found["engine"] = None
    if device.kind == "cpu" and found["math"] in select.GPU_MATHS:
        found["math"] = "float32"
    return found


def _about(device: Any, args: Namespace) -> Json:
    """What a device is, and in which arithmetic it computed."""
    from minidl.arrays.threads import threads
    from minidl.cli import device_query, gpus

    math = options(args, device)["math"]
    if device.kind == "cpu":
        name = device_query._processor()
        return {"name": f"{name}, {threads()} threads", "math": math}
    return {"name": gpus._device(device.name), "math": math}


def _course(net: str, batch: int, args: Namespace) -> Json:
    """The course's figures for this row, where it has one."""
    if net.lower() != COURSE_NET or args.iterations != COURSE_ITERATIONS or batch not in COURSE:
        return {}
    cpu, gpu = COURSE[batch]
    return {"course": {"cpu": cpu, "k40": gpu, "ratio": cpu / gpu}}


# ------------------------------------------------------------------ as text


def report(result: Json) -> str:
    """A row for each batch size: seconds on every device, and how many times as fast as the first.

    With a single device there is nothing to compare, but the course's figures may be there.
    """
    names = list(result["devices"])
    first, *others = names
    with_course = any("course" in row for row in result["rows"])
    header = ["batch", *(f"{name}, s" for name in names), *(f"{n}, times" for n in others)]
    header += ["course: 20 cores, s", "K40, s", "times"] if with_course else []
    rows, failures = [], []
    for row in result["rows"]:
        seconds = {name: row["devices"][name].get("seconds") for name in names}
        cells = [str(row["batch"]), *(_figure(seconds[name]) for name in names)]
        cells += [_ratio(seconds[first], seconds[name]) for name in others]
        course = row.get("course")
        said = [f"{course[k]:.1f}" for k in ("cpu", "k40", "ratio")] if course else [""] * 3
        rows.append(cells + (said if with_course else []))
        failures += [
            f"batch {row['batch']}, {name}: {cell['error']}"
            for name, cell in row["devices"].items()
            if "error" in cell
        ]
    title = f"{result['net'] or result['model']}, {result['iterations']} training iterations"
    about = [f"{n}: {each['name']}; {each['math']}" for n, each in result["devices"].items()]
    note = "one batch of random records in every iteration: reading data is no part of it"
    return "\n".join([title, table.render(header, rows, left=0), *failures, "", *about, note])


def _figure(seconds: float | None) -> str:
    """Three digits at least.

    >>> _figure(0.1234), _figure(28.51), _figure(None)
    ('0.123', '28.5', '-')
    """
    if seconds is None:
        return "-"
    return f"{seconds:.1f}" if seconds >= 10 else f"{seconds:.3f}"


def _ratio(one: float | None, other: float | None) -> str:
    return f"{one / other:.1f}" if one and other else "-"
