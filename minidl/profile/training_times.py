"""Whole training iterations of a net on several devices, at several batch sizes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import numpy as np

from minidl import prototxt, schema
from minidl.arrays.device import Device
from minidl.arrays.memory import Shape
from minidl.errors import DeviceError, EngineError
from minidl.net.blueprint import Blueprint
from minidl.profile.engines import Engines
from minidl.profile.machine import computer
from minidl.solver import get_solver

log = logging.getLogger("minidl")

# The rate changes no time; with this one the loss stays finite on random records.
SOLVER = """base_lr: 0.0001 momentum: 0.9 weight_decay: 0.0005 lr_policy: "fixed"
max_iter: 1000000 snapshot_after_train: false random_seed: 1"""
WARM = {"cpu": 1, "cuda": 3}  # iterations that do not count: a GPU's second one is recorded


@dataclass(frozen=True)
class Computer:
    """A device in words, and the arithmetic it computed in."""

    name: str
    math: str


@dataclass(frozen=True)
class Cell:
    """Seconds of all iterations on one device at one batch size; None: `error` says why."""

    seconds: float | None
    error: str = ""


@dataclass(frozen=True)
class Row:
    """One batch size; a cell for each device, by its name."""

    batch: int
    cells: dict[str, Cell]


@dataclass(frozen=True)
class TrainingTimes:
    """Iterations of a net by batch size and device; `devices` says what these are, by name."""

    net: str
    iterations: int
    devices: dict[str, Computer]
    rows: tuple[Row, ...]


def training(
    blueprint: Blueprint,
    devices: Sequence[Device],
    batches: Sequence[int] = (),
    iterations: int = 20,
    engines: Engines | None = None,
) -> TrainingTimes:
    """Time training iterations on each of these devices, at each of these batch sizes.

    An iteration is forward, backward and update, on one batch of random records that is there
    already: reading data is no part of it. A cell holds an `error` if memory does not suffice.

    blueprint   of the net in phase TRAIN
    batches     by default the net's own
    """
    engines = engines or Engines()
    own = next((shape[0] for shape in _tops(blueprint).values() if shape), 1)
    rows = [
        Row(batch, {d.name: _cell(blueprint, d, batch, iterations, engines) for d in devices})
        for batch in batches or [own]
    ]
    about = {d.name: Computer(computer(d), engines.on(d).math) for d in devices}
    return TrainingTimes(blueprint.name, iterations, about, tuple(rows))


def _cell(
    blueprint: Blueprint, device: Device, batch: int, iterations: int, engines: Engines
) -> Cell:
    log.info("Timing %d iterations on %s.", iterations, device.name)
    try:
        return Cell(seconds(blueprint, device, batch, iterations, engines))
    except (DeviceError, EngineError) as error:
        return Cell(None, " ".join(str(error).split()))
    finally:
        if device.kind == "cuda":
            device.xp.get_default_memory_pool().free_all_blocks()


def seconds(
    blueprint: Blueprint, device: Device, batch: int, iterations: int, engines: Engines
) -> float:
    """Return the seconds of these iterations."""
    solver = prototxt.read_solver(SOLVER)
    solver.net_param.CopyFrom(_fed(blueprint, batch))
    options = asdict(engines.on(device))
    with closing(get_solver(solver, device=device, share=True, **options)) as made:
        random = np.random.default_rng(1)
        for node in blueprint.nodes:
            if not node.bottoms:  # its first top is images; others are labels, which stay 0
                blob = made.net.blobs[node.tops[0]]
                device.write(blob.data, random.standard_normal(blob.shape, np.float32))
        made.step(WARM[device.kind])
        device.synchronize()
        began = perf_counter()
        made.step(iterations)
        device.synchronize()
        return perf_counter() - began


# ------------------------------------------------------------------ the net


def _tops(blueprint: Blueprint) -> dict[str, Shape]:
    """The shapes of what is read, by name."""
    return {
        top: shape
        for node in blueprint.nodes
        if not node.bottoms
        for top, shape in zip(node.tops, node.top_shapes, strict=True)
    }


def _fed(blueprint: Blueprint, batch: int) -> Any:
    """The message of the net at this batch size, its data to be written by hand."""
    model = schema.NetParameter()
    model.CopyFrom(blueprint.filtered)
    del model.layer[:]
    for top, shape in _tops(blueprint).items():
        layer = model.layer.add(name=top, type="Input", top=[top])
        layer.input_param.shape.add(dim=(batch, *shape[1:]))
    model.layer.extend(layer for layer in blueprint.filtered.layer if layer.bottom)
    return model
