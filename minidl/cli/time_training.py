"""`minidl time --compare`: whole training iterations on several devices, as a table."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from minidl.cli import engine_flags, models, table

if TYPE_CHECKING:
    from minidl.profile.training_times import Cell, TrainingTimes

Json = dict[str, Any]
ITERATIONS = 20


def measure(args: Namespace) -> TrainingTimes:
    """Time the devices and batch sizes that the flags name."""
    from minidl import profile, schema
    from minidl.arrays.device import Device

    devices = [Device(name) for name in args.compare] or [models.device(args)]
    blueprint = models.blueprint(args, schema.TRAIN)
    engines = profile.Engines(**engine_flags.options(args))
    return profile.training(blueprint, devices, args.batches, args.iterations, engines)


def facts(found: TrainingTimes) -> Json:
    """Return the result with --json's names."""
    return {
        "net": found.net,
        "iterations": found.iterations,
        "devices": {name: vars(computer) for name, computer in found.devices.items()},
        "rows": [
            {"batch": row.batch, "devices": {n: _cell(cell) for n, cell in row.cells.items()}}
            for row in found.rows
        ],
    }


def _cell(cell: Cell) -> Json:
    return {"error": cell.error} if cell.seconds is None else {"seconds": cell.seconds}


def text(found: TrainingTimes, model: str) -> str:
    """Return a row per batch size: seconds on every device, and the speed relative to the first."""
    first, *others = names = list(found.devices)
    header = ["batch", *(f"{name}, s" for name in names), *(f"{n}, times" for n in others)]
    rows, failures = [], []
    for row in found.rows:
        seconds = {name: cell.seconds for name, cell in row.cells.items()}
        cells = [str(row.batch), *(_figure(seconds[name]) for name in names)]
        rows.append(cells + [_ratio(seconds[first], seconds[name]) for name in others])
        failures += [
            f"batch {row.batch}, {name}: {cell.error}"
            for name, cell in row.cells.items()
            if cell.seconds is None
        ]
    title = f"{found.net or model}, {found.iterations} training iterations"
    about = [f"{name}: {each.name}; {each.math}" for name, each in found.devices.items()]
    note = "one batch of random records in every iteration: reading data is not included"
    return "\n".join([title, table.render(header, rows, left=0), *failures, "", *about, note])


def _figure(seconds: float | None) -> str:
    """Return at least three digits.

    >>> _figure(0.1234), _figure(28.51), _figure(None)
    ('0.123', '28.5', '-')
    """
    if seconds is None:
        return "-"
    return f"{seconds:.1f}" if seconds >= 10 else f"{seconds:.3f}"


def _ratio(one: float | None, other: float | None) -> str:
    return f"{one / other:.1f}" if one and other else "-"
