"""samples/ITER: pictures of the validation set as the net sees them, and what it answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minidl import preprocess
from minidl.cli.train.looking import every
from minidl.cli.train.looking.every import Every
from minidl.cli.train.looking.picture import Picture
from minidl.cli.train.looking.probe import Probe
from minidl.data import browsing, planes
from minidl.errors import RunError, UsageError
from minidl.evaluation import measures, task
from minidl.evaluation.task import Task
from minidl.net import Net
from minidl.prototxt.deploy import READERS
from minidl.runs import events
from minidl.solver import EventsFile, Hook, Run
from minidl.storage import files

FOLDER, NAME = "samples", "samples.json"
MOST = 5  # classes of an answer
ENDINGS = {"input": "", "output": "_out", "target": "_target"}  # of names, by what they show


class Samples(Hook):
    """Writes a folder of PNGs with its samples.json whenever it is time.

    epochs   how often
    folder   of the run
    file     which takes the event
    count    pictures, the first of the validation set: the same ones every time
    """

    def __init__(
        self, epochs: float, folder: Path, file: EventsFile, probe: Probe, count: int
    ) -> None:
        self.epochs, self.folder, self.file = epochs, folder, file
        self.probe, self.count = probe, count
        self._every = Every(1, 0)

    def on_solve(self, solver: Run) -> None:
        planes.pillow()  # without it: now, not after an hour
        self._every = every.of(solver, self.epochs, "samples")

    def on_step(self, solver: Run) -> None:
        if not self._every.due(solver.iter):
            return
        name = f"{FOLDER}/{solver.iter:06d}"
        place = self.folder / name
        try:
            place.mkdir(parents=True, exist_ok=True)
            items = list(self._items(solver, place))
            text = json.dumps({"iter": solver.iter, "items": items}, allow_nan=False, indent=1)
            files.write_all(place / NAME, [text.encode() + b"\n"], own=True)
        except OSError as error:
            raise RunError(f"cannot be written: {error.strerror}", where=str(place)) from None
        self.file.write(events.Samples(solver.iter, name))

    def _items(self, solver: Run, place: Path) -> Iterator[dict[str, Any]]:
        net = self.probe.net(solver)
        answers = Answers(net, self._labels())
        records = next((x.records for x in net.data_layers if x.records), self.count)
        count, done = min(self.count, records), 0
        while done < count:
            self.probe.forward(net)
            batch = answers.size
            for i in range(min(batch, count - done)):
                pictures, item = answers.item(i)
                for role, data in pictures.items():
                    item[role] = f"{done + i}{ENDINGS[role]}.png"
                    files.write_all(place / item[role], [data], own=True)
                yield item
            done += batch

    def _labels(self) -> Sequence[str]:
        path = self.folder / preprocess.NAME
        return preprocess.read(path).labels if path.is_file() else ()


class Answers:
    """What a net shows and answers for the items of its batch.

    labels   names of the classes; without them their numbers are shown
    """

    def __init__(self, net: Net, labels: Sequence[str]) -> None:
        self.net, self.labels = net, labels
        nodes = net.blueprint.nodes
        first = next(node for node in nodes if not node.bottoms and node.tops)
        self.input = first.tops[0]
        self.task: Task | None = None
        try:
            self.task = task.of(nodes)
        except UsageError:
            pass  # it answers something else, and its inputs alone are shown
        readers = {top: node.spec for node in nodes if node.type in READERS for top in node.tops}
        self._seen = Picture(readers.get(self.input))
        source = self.task.source if self.task else ""
        self._wanted = Picture(readers.get(source)) if source else self._seen

    @property
    def size(self) -> int:
        """Items of a batch."""
        return max(1, self.net.blobs[self.input].shape[0])

    def item(self, i: int) -> tuple[dict[str, bytes], dict[str, Any]]:
        """Return PNGs by their role (input, output, target), and what else is known of an item."""
        values = self._blob(self.input)[i]
        pictures = {"input": self._seen.png(values)} if values.ndim == 3 else {}
        found: dict[str, Any] = {}
        what = self.task
        if what is None or what.kind == task.BOXES:
            return pictures, found
        output = self._blob(what.output)[i]
        truth = self._blob(what.truth)[i] if what.truth else None
        if what.kind == task.CLASSES:
            found |= self._classes(output, truth, what)
        elif what.kind == task.PIXELS:
            ignore = -1 if what.ignore is None else what.ignore
            answer = output.argmax(axis=0)
            pictures["output"] = browsing.png_of_classes(answer[np.newaxis])
            if truth is not None:
                labels = truth.reshape(1, *answer.shape)
                pictures["target"] = browsing.png_of_classes(labels, ignore=ignore)
        else:
            found |= self._compare(output, truth, values, what, pictures)
        return pictures, found

    def _classes(self, output: np.ndarray, truth: np.ndarray | None, what: Task) -> dict[str, Any]:
        scores = output.reshape(1, -1)
        shares = measures.softmax(scores)[0] if what.then == "softmax" else scores[0]
        best = np.argsort(-shares, kind="stable")[:MOST]
        found: dict[str, Any] = {
            "predicted": [[self._label(int(k)), float(f"{float(shares[k]):.6g}")] for k in best]
        }
        if truth is not None and truth.size:
            found["label"] = self._label(int(truth.reshape(-1)[0]))
        return found

    def _compare(
        self,
        output: np.ndarray,
        truth: np.ndarray | None,
        values: np.ndarray,
        what: Task,
        pictures: dict[str, bytes],
    ) -> dict[str, Any]:
        """Add the picture that a net gives and the one that it should; return their PSNR in dB."""
        if what.then == "sigmoid":
            output = 1 / (1 + np.exp(-output.astype(np.float64)))
        shape = values.shape if output.size == values.size else output.shape
        answer = self._wanted.pixels(output.reshape(shape))
        pictures["output"] = self._wanted.shown(answer)
        if truth is None:
            return {}
        target = self._wanted.pixels(truth.reshape(shape))
        pictures["target"] = self._wanted.shown(target)
        error = measures.squared_error(answer[np.newaxis], target[np.newaxis])
        return {"psnr": round(float(measures.psnr(error, self._wanted.peak(target))[0]), 3)}

    def _blob(self, name: str) -> np.ndarray:
        return np.asarray(self.net.device.to_host(self.net.blobs[name].read()))

    def _label(self, number: int) -> str:
        return self.labels[number] if 0 <= number < len(self.labels) else str(number)
