"""`minidl time --data`: the data path alone and the net alone, in words."""

from __future__ import annotations

from argparse import Namespace
from functools import partial
from typing import TYPE_CHECKING, Any

from minidl.cli import engine_flags, models, table
from minidl.cli.progress import steps
from minidl.errors import UsageError

if TYPE_CHECKING:
    from minidl.profile import DataRate

Json = dict[str, Any]
ITERATIONS = 20


def measure(args: Namespace) -> DataRate:
    """Time both halves on the device that the flags name.

    Errors: UsageError for a net that reads nothing; DataError for a missing data set.
    """
    from minidl import profile, schema
    from minidl.layers.context import Context
    from minidl.net.blueprint import Blueprint

    if args.phase != "TRAIN":
        raise UsageError(
            "times training iterations",
            where="minidl time --data",
            expected="-phase TRAIN, or none",
        )
    ctx = Context(models.device(args), phase=schema.TRAIN)
    blueprint = Blueprint(models.read_net(args.model), ctx, args.level, args.stage)
    engines = profile.Engines(**engine_flags.options(args))
    return profile.data(blueprint, args.iterations, engines, partial(steps, args=args))


def facts(found: DataRate) -> Json:
    """Return the result with --json's names."""
    return {
        "net": found.net,
        "iterations": found.iterations,
        "batch": found.batch,
        "layers": [vars(reader) for reader in found.readers],
        "device": found.device,
        **vars(found.computer),
        "data_images_per_s": found.data_images_per_s,
        "net_images_per_s": found.net_images_per_s,
        "data_times_net": found.data_times_net,
    }


def text(found: DataRate, model: str) -> str:
    """Return the figures in words."""
    batch, ratio = found.batch, found.data_times_net
    lines = [f"{found.net or model}, {found.iterations} batches of {batch}", ""]
    for name, rate in (
        ("data path alone", found.data_images_per_s),
        ("net alone, training", found.net_images_per_s),
    ):
        lines.append(f"{name:<20} {rate:>10,.1f} images/s {batch / rate * 1e3:>10,.3f} ms a batch")
    lines += ["", f"The data path gives {ratio:.2f} times what the net takes."]
    if ratio < 1:
        lines[-1] += " Training waits for it."
    for reader in found.readers:
        threads = table.plural(reader.threads, "thread")
        lines.append(f"{reader.name}: {reader.type}, {threads}, {reader.source}")
    lines.append(f"{found.device}: {found.computer.name}; {found.computer.math}")
    return "\n".join(lines)
