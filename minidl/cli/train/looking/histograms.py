"""histograms.jsonl: how weights, gradients, updates and activations are spread, over a run."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from minidl.cli.train.looking import every
from minidl.cli.train.looking.alarms import Alarms
from minidl.cli.train.looking.every import Every
from minidl.cli.train.looking.probe import Probe
from minidl.cli.train.looking.spread import idle, rounded, spread
from minidl.errors import RunError
from minidl.runs import events
from minidl.solver import EventsFile, Hook, Run

NAME = "histograms.jsonl"


class Histograms(Hook):
    """Writes a line of JSON whenever it is time: {"iter", "time", "blobs": [...]}.

    epochs   how often
    folder   of the run
    file     which takes the event

    Gradients are those of the update, a mean over `iter_size`; an update is what it added to the
    weights. Activations are those of the first batch of the validation set.
    """

    def __init__(
        self, epochs: float, folder: Path, file: EventsFile, probe: Probe, alarms: Alarms
    ) -> None:
        self.epochs, self.folder, self.file = epochs, folder, file
        self.probe, self.alarms = probe, alarms
        self._every = Every(1, 0)
        self._before: dict[str, np.ndarray] = {}
        self._gradients: list[dict[str, Any]] = []

    def on_solve(self, solver: Run) -> None:
        self._every = every.of(solver, self.epochs, "histograms")

    def on_gradients(self, solver: Run) -> None:
        if not self._every.due(solver.iter + 1):
            return
        for layer, name, param in _params(solver):
            self._before[f"{layer} {name}"] = np.array(solver.net.device.to_host(param.read()))
            if param.wanted:
                gradient = np.asarray(solver.net.device.to_host(param.read("diff")))
                gradient = gradient / solver.param.iter_size
                about = _about(f"{layer} {name} gradient", "gradient", layer, gradient)
                self._gradients.append(about)

    def on_step(self, solver: Run) -> None:
        if not self._before:
            return
        blobs = self._gradients
        before, self._before, self._gradients = self._before, {}, []
        for layer, name, param in _params(solver):
            after = np.asarray(solver.net.device.to_host(param.read()))
            update = after - before[f"{layer} {name}"]
            blobs.append(_about(f"{layer} {name}", "weight", layer, after))
            if param.wanted:
                blobs.append(_about(f"{layer} {name} update", "update", layer, update))
                if after.ndim > 1:  # of biases, which begin with zeros, a ratio means nothing
                    self.alarms.see_update(solver, layer, _norm(update), _norm(after))
        blobs += self._activations(solver)
        self._write(solver.iter, blobs)

    def _activations(self, solver: Run) -> Iterator[dict[str, Any]]:
        net = self.probe.net(solver)
        self.probe.forward(net)
        nodes = [node for node in net.blueprint.nodes if node.type != "Split"]
        makers = {top: node.name for node in reversed(nodes) for top in node.tops}
        rectified = {top: node.name for node in nodes for top in node.tops if node.type == "ReLU"}
        for blob, layer in reversed(list(makers.items())):
            values = np.asarray(net.device.to_host(net.blobs[blob].read()))
            found = _about(f"{blob} activation", "activation", layer, values)
            if blob in rectified:
                dead, channels, each = idle(values)
                found["idle"] = dead
                self.alarms.see_idle(solver, rectified[blob], dead, channels, each)
            yield found

    def _write(self, iteration: int, blobs: list[dict[str, Any]]) -> None:
        line = {"iter": iteration, "time": round(time.time(), 3), "blobs": blobs}
        data = (json.dumps(line, allow_nan=False) + "\n").encode()
        path = self.folder / NAME
        try:
            with open(path, "ab") as file:
                at = file.tell()
                file.write(data)
        except OSError as error:
            raise RunError(f"cannot be written: {error.strerror}", where=str(path)) from None
        self.file.write(events.Histograms(iteration, NAME, at, len(data)))


def _params(solver: Run) -> Iterator[tuple[str, str, Any]]:
    """Yield layer, name and Param of all that the net learns; what is shared, once."""
    seen = set()
    for node in solver.net.blueprint.nodes:
        for plan, param in zip(node.params, solver.net.params.get(node.name, ()), strict=False):
            if plan.owner not in seen:
                seen.add(plan.owner)
                yield node.name, plan.attr, param


def _about(name: str, kind: str, layer: str, values: np.ndarray) -> dict[str, Any]:
    about = {"name": name, "kind": kind, "layer": layer, "shape": list(values.shape)}
    return about | rounded(spread(values)) | {"idle": 0}


def _norm(values: np.ndarray) -> float:
    return float(np.linalg.norm(values.reshape(-1).astype(np.float64)))
