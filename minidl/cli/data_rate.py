"""How many images a second the data path gives alone, and how many the net takes alone."""

from __future__ import annotations

from argparse import Namespace
from time import perf_counter
from typing import Any

from minidl.cli import compare, models
from minidl.cli.progress import steps
from minidl.errors import UsageError

Json = dict[str, Any]


def measure(args: Namespace) -> Json:
    """Seconds of `iterations` batches read, and of as many training iterations on one batch.

    The data layers run without the rest of the net, on its device: reading, decoding, transforming,
    copying. The net runs as for --compare. Errors: UsageError for a net that reads nothing;
    DataError for a data set that is not there.
    """
    from minidl.arrays.device import Device

    if args.phase != "TRAIN":
        raise UsageError(
            "times training iterations",
            where="minidl time --data",
            expected="-phase TRAIN, or none",
        )
    device = Device(models.device(args).name)
    layers, seconds, batch = read(args, device)
    result = compare.measure(args)
    (row,) = result["rows"]
    cell = row["devices"][device.name]
    if "error" in cell:
        raise UsageError(cell["error"], where="minidl time --data")
    images = batch * args.iterations
    return {
        "model": args.model,
        "net": result["net"],
        "iterations": args.iterations,
        "batch": batch,
        "layers": layers,
        "device": device.name,
        **result["devices"][device.name],
        "data_images_per_s": images / seconds,
        "net_images_per_s": images / cell["seconds"],
        "data_times_net": cell["seconds"] / seconds,
    }


def read(args: Namespace, device: Any) -> tuple[list[Json], float, int]:
    """What the data layers are, the seconds of `iterations` batches, and the size of one."""
    from minidl import schema
    from minidl.arrays.blob import Blob
    from minidl.layers.context import Context
    from minidl.layers.reader import Reader
    from minidl.net.blueprint import Blueprint

    ctx = Context(device=device, phase=schema.TRAIN)
    nodes = Blueprint(models.read_net(args.model), ctx, args.level, args.stage).nodes
    readers = [(n.layer, n.top_shapes) for n in nodes if isinstance(n.layer, Reader)]
    if not readers:
        raise UsageError(
            "no layer of the net reads data ahead",
            where=args.model,
            expected="a Data, ImageData, HDF5Data or WindowData layer",
        )
    tops = [
        [Blob(f"top {i}", shape, device, ctx.dtype) for i, shape in enumerate(shapes)]
        for _, shapes in readers
    ]

    def batch() -> None:
        for (layer, _), top in zip(readers, tops, strict=True):
            for blob, shape in zip(top, layer.upcoming_shapes() or (), strict=False):
                blob.reshape(*shape)
            layer.forward([], top)

    try:
        # As many as lie ready once the threads are ahead: from then on each is waited for.
        for _ in range(1 + max(layer.prefetch for layer, _ in readers)):
            batch()
        device.synchronize()
        began = perf_counter()
        for _ in steps(args.iterations, "reading", args):
            batch()
        device.synchronize()
        seconds = perf_counter() - began
        about = [_about(layer) for layer, _ in readers]
    finally:
        for layer, _ in readers:
            layer.close()
    return about, seconds, readers[0][1][0][0]


def _about(layer: Any) -> Json:
    return {
        "name": layer.name,
        "type": layer.type,
        "source": layer.data_source,
        "threads": layer.workers,
    }


def report(result: Json) -> str:
    """The figures in words."""
    batch, ratio = result["batch"], result["data_times_net"]
    lines = [f"{result['net'] or result['model']}, {result['iterations']} batches of {batch}", ""]
    for name, what in (("data path alone", "data"), ("net alone, training", "net")):
        rate = result[f"{what}_images_per_s"]
        lines.append(f"{name:<20} {rate:>10,.1f} images/s {batch / rate * 1e3:>10,.3f} ms a batch")
    lines += ["", f"The data path gives {ratio:.2f} times what the net takes."]
    if ratio < 1:
        lines[-1] += " Training waits for it."
    for layer in result["layers"]:
        threads = f"{layer['threads']} thread{'s' if layer['threads'] > 1 else ''}"
        lines.append(f"{layer['name']}: {layer['type']}, {threads}, {layer['source']}")
    lines.append(f"{result['device']}: {result['name']}; {result['math']}")
    return "\n".join(lines)
