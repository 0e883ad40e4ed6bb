"""A trained net with the records that it is to answer, batch by batch."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidl import preprocess, prototxt, schema
from minidl.arrays.device import Device
from minidl.arrays.rng import Streams
from minidl.arrays.threads import threads
from minidl.errors import MinidlError, UsageError
from minidl.evaluation import sources, task
from minidl.evaluation.sources import Named, Origin
from minidl.evaluation.task import Task
from minidl.layers.context import Context
from minidl.net import Net
from minidl.net.blueprint import Blueprint
from minidl.prototxt import deploy
from minidl.runs import store

log = logging.getLogger("minidl")

BATCH = 32  # pictures from files at a time
AIM = "(target)"  # stands for a data layer's top that a net for use does not have
AHEAD = 2  # batches of them that are read while the net computes


class Batch(NamedTuple):
    """Records with the net's answers.

    first    number of the first record
    names    of the records
    output   the net's answers, an item for each record; of boxes all rows
    truth    what should have come, likewise; None where nothing says so
    seen     what went in, (N, C, H, W), where the answers are as large as pictures; else None
    """

    first: int
    names: list[str]
    output: np.ndarray
    truth: np.ndarray | None
    seen: np.ndarray | None = None


class Subject:
    """A net with its weights, and the records that are put before it.

        with opened("runs/lenet-pets", split="val") as subject:
            for batch in subject.batches():
                print(batch.names, batch.output.argmax(axis=1))

    net        a Net in phase TEST;  task   what it answers
    labels     names of the classes; [] where it answers no classes
    records    how many there are;  split   "val", or "list", "folder"
    weights    the file;  iter   how far it was trained, -1 where its name does not say
    origin     where the pictures of records are found again
    top        the blob that holds the pictures;  picture   the shape of one, (C, H, W)
    transforms the TransformationParameter of each top of a data layer
    rgb        whether the net takes red first
    left_out   a sentence for each picture that could not be read, once `batches` has ended
    """

    def __init__(
        self,
        net: Net,
        what: Task,
        labels: list[str],
        records: int,
        split: str,
        weights: Path,
        origin: Origin,
        top: str,
        transforms: dict[str, Any],
        rgb: bool = False,
    ) -> None:
        self.net, self.task, self.labels = net, what, labels
        self.records, self.split, self.origin = records, split, origin
        self.weights, self.iter = weights, store.iteration_of(weights)
        self.top, self.transforms, self.rgb = top, transforms, rgb
        self.picture = tuple(net.blobs[top].shape[1:])
        self.left_out: list[str] = []

    def batches(self) -> Iterator[Batch]:
        """Yield all records in order, with the net's answers. May be called once."""
        raise NotImplementedError

    def __enter__(self) -> Subject:
        return self

    def __exit__(self, *_: object) -> None:
        self.net.close()

    def _seen(self, count: int) -> np.ndarray | None:
        """Return what went in, where somebody wants to see it beside what came out."""
        if self.task.kind not in (task.PICTURES, task.PIXELS) or len(self.picture) != 3:
            return None
        return self._answers(self.top, count)

    def _answers(self, name: str, count: int) -> np.ndarray:
        """Return the first `count` items of a blob, in memory of their own; of boxes all rows."""
        values = self.net.device.to_host(self.net.blobs[name].data)
        return np.array(values if self.task.kind == task.BOXES else values[:count])


class OfSplit(Subject):
    """A part of a data set, read by the net's own data layers."""

    def __init__(self, *given: Any, reader: str) -> None:
        super().__init__(*given)
        self._reader = reader

    def batches(self) -> Iterator[Batch]:
        layer, done = self.net.layer_dict[self._reader], 0
        while done < self.records:
            self.net.forward_pass()
            read = layer.last_records[: self.records - done]
            truth = self._answers(self.task.truth, len(read)) if self.task.truth else None
            names = [sources.name_of(key, number) for number, key in read]
            output = self._answers(self.task.output, len(read))
            yield Batch(done, names, output, truth, self._seen(len(read)))
            done += len(read)


class OfPictures(Subject):
    """Pictures in files, processed as the run describes it."""

    def __init__(self, *given: Any, pictures: Sequence[Named], prepare: Any) -> None:
        super().__init__(*given)
        self._pictures, self._prepare = pictures, prepare

    def batches(self) -> Iterator[Batch]:
        done, first = 0, None
        blob = self.net.blobs[self.net.inputs[0]]
        for some, ready, errors in self._read():
            first = first or next(iter(errors), None)
            self.left_out += [str(error).splitlines()[0] for error in errors]
            if not some:
                continue
            if blob.shape[0] != len(ready):
                blob.reshape(len(ready), *ready.shape[1:])
            inputs: dict[str, Any] = {self.net.inputs[0]: ready}
            self.net.forward(**inputs)
            names = [one.path for one in some]
            output = self._answers(self.task.output, len(some))
            yield Batch(done, names, output, self._truth(some, ready), self._seen(len(some)))
            done += len(some)
        if first is not None and not done:
            raise first

    def _truth(self, some: Sequence[Named], ready: np.ndarray) -> np.ndarray | None:
        if self.task.kind == task.PICTURES and self.task.source == self.net.inputs[0]:
            return ready
        if self.task.kind != task.CLASSES or all(one.truth is None for one in some):
            return None
        return np.array([-1 if one.truth is None else one.truth for one in some])

    def _read(self) -> Iterator[tuple[list[Named], np.ndarray, list[MinidlError]]]:
        """Yield batches of pictures with what the net takes, and the errors of those left out."""
        parts = [self._pictures[i : i + BATCH] for i in range(0, len(self._pictures), BATCH)]
        with ThreadPoolExecutor(threads()) as pool:
            waiting: list[Any] = []
            for i in range(len(parts) + AHEAD):
                if i < len(parts):
                    waiting.append(
                        [(one, pool.submit(self._prepare, one.path)) for one in parts[i]]
                    )
                if i >= AHEAD:
                    yield self._taken(waiting.pop(0))

    def _taken(self, waiting: list[Any]) -> tuple[list[Named], np.ndarray, list[MinidlError]]:
        some, ready, errors = [], [], []
        for one, result in waiting:
            try:
                ready.append(result.result())
                some.append(one)
            except MinidlError as error:
                errors.append(error)
        return some, np.stack(ready) if ready else np.empty(0, np.float32), errors


def opened(
    run: str | os.PathLike[str],
    *,
    snapshot: int | None = None,
    weights: str | os.PathLike[str] | None = None,
    split: str = "",
    data: str = "",
    pictures: Sequence[Named] | None = None,
    called: str = "",
    count: int | None = None,
    level: int = 0,
    stages: Sequence[str] = (),
    **options: Any,
) -> Subject:
    """Open the net of a run, with what it is to be evaluated on.

    snapshot   the iteration whose weights to take; by default those written last
    weights    a file, in place of the run's
    split      "train", "val" or "test"; by default what the run was tested on
    data       folder of the data set, in place of the run's
    pictures   files, in place of a data set; `called` says what they are: "list", "folder"
    count      of records: the first ones
    options    what else Net takes: device, engine, ...

    Errors: UsageError for what is absent; those of Net and of the data set.
    """
    found = store.find(run, weights, snapshot)
    net = prototxt.read_net(found.net)
    described = preprocess.read(found.description) if found.description else None
    state: dict[str, Any] = {"level": level, "stages": stages}
    if pictures is not None:
        return _of_pictures(
            net, Path(run), found.weights, described, pictures, called, count, state, options
        )
    part = sources.part(net, Path(run), split, data, level, stages)
    device = options.get("device") or "cpu"
    ctx = Context(Device(str(device)), phase=schema.TEST, streams=Streams(0))
    blueprint = Blueprint(part.net, ctx, level, stages)
    what = task.of(blueprint.nodes)
    for layer in blueprint.layers:
        layer.close()
    readers = [layer for layer in part.net.layer if layer.type in deploy.READERS]
    top = readers[0].top[0]
    keep = [name for name in (top, what.output, what.truth) if name]
    made = Net(
        part.net, schema.TEST, weights=found.weights, share=True, keep=keep, **state, **options
    )
    names = described.labels if described else ()
    labels = _labels(what, Path(run), net, names)
    records = part.records if count is None else min(count, part.records)
    rgb = described is not None and described.channels == "RGB"
    given = made, what, labels, records, part.name, found.weights, part.origin
    transforms = {name: layer.transform_param for layer in readers for name in layer.top}
    return OfSplit(*given, top, transforms, rgb, reader=part.reader)


def _of_pictures(
    net: Any,
    run: Path,
    weights: Path,
    described: Any,
    pictures: Sequence[Named],
    called: str,
    count: int | None,
    state: dict[str, Any],
    options: dict[str, Any],
) -> Subject:
    level, stages = state["level"], state["stages"]
    aim = task.aim_of(net, level, stages)
    prepare = described or preprocess.find(net, weights, None, level, stages)
    shape = prepare.shape() if prepare is not None else None
    if prepare is None or shape is None:
        raise UsageError(
            f"holds no {preprocess.NAME} that says how large pictures become",
            where=str(run),
            expected="a run on a data set of pictures of one size",
        )
    if not deploy.is_for_use(net, level, stages):
        net = deploy.for_use(net, (BATCH, *shape), level, stages)
    made = Net(net, schema.TEST, weights=weights, **state, **options)
    what = task.of(made.blueprint.nodes)
    labels = _labels(what, run, net, prepare.labels)
    if what.kind == task.CLASSES:
        pictures = sources.numbered(pictures, labels, str(run))
    pictures = pictures[:count]
    top, rgb = made.inputs[0], prepare.channels == "RGB"
    given = made, what, labels, len(pictures), called, weights, Origin("files", os.getcwd())
    transforms = {top: prepare.transform}
    if what.kind == task.PICTURES and aim.transform is not None:
        if not aim.input:
            transforms[AIM] = aim.transform
        given = made, replace(what, source=top if aim.input else AIM), *given[2:]
    return OfPictures(*given, top, transforms, rgb, pictures=pictures, prepare=prepare)


def _labels(what: Task, run: Path, net: Any, described: Sequence[str]) -> list[str]:
    if what.kind == task.PICTURES:
        return []
    if what.kind == task.BOXES:
        return list(described)
    return sources.labels_of(run, net, described, what.shape[1])
