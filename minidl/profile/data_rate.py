"""Images a second: those the data path delivers alone, those the net trains on alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from minidl import prototxt
from minidl.arrays.blob import Blob
from minidl.errors import UsageError
from minidl.layers.reader import Reader
from minidl.net.blueprint import Blueprint
from minidl.profile import training_times
from minidl.profile.engines import Engines
from minidl.profile.machine import computer
from minidl.profile.passes import Steps, unseen
from minidl.profile.training_times import Computer


@dataclass(frozen=True)
class ReaderFacts:
    """A layer that reads: where from, and by how many threads."""

    name: str
    type: str
    source: str
    threads: int


@dataclass(frozen=True)
class DataRate:
    """Batches read, and training iterations on one batch that is there already.

    batch      records of one
    readers    the layers that read
    device     its name;  computer: what it is
    data_seconds, net_seconds   of all batches, and of all iterations
    """

    net: str
    iterations: int
    batch: int
    readers: tuple[ReaderFacts, ...]
    device: str
    computer: Computer
    data_seconds: float
    net_seconds: float

    @property
    def data_images_per_s(self) -> float:
        """Images a second of the data path."""
        return self.batch * self.iterations / self.data_seconds

    @property
    def net_images_per_s(self) -> float:
        """Images a second of the net."""
        return self.batch * self.iterations / self.net_seconds

    @property
    def data_times_net(self) -> float:
        """The first over the second; below 1, training waits for data."""
        return self.net_seconds / self.data_seconds


def data(
    blueprint: Blueprint,
    iterations: int = 20,
    engines: Engines | None = None,
    steps: Steps = unseen,
) -> DataRate:
    """Time the data layers alone, then training iterations alone, on the blueprint's device.

    The data layers run without the rest of the net: reading, decoding, transforming, copying.

    blueprint   of the net in phase TRAIN
    steps       counts the batches: a place for a progress bar

    Errors: UsageError for a net that reads nothing.
    """
    device, engines = blueprint.ctx.device, engines or Engines()
    readers = {n.layer: n for n in blueprint.nodes if isinstance(n.layer, Reader)}
    if not readers:
        raise UsageError(
            "no layer of the net reads data ahead",
            where=prototxt.where(blueprint.filtered),
            expected="a Data, ImageData, HDF5Data or WindowData layer",
        )
    try:
        data_seconds = _read(blueprint, list(readers), iterations, steps)
        about = tuple(ReaderFacts(r.name, r.type, r.data_source, r.workers) for r in readers)
    finally:
        for reader in readers:
            reader.close()
    batch = next(iter(readers.values())).top_shapes[0][0]
    return DataRate(
        blueprint.name,
        iterations,
        batch,
        about,
        device.name,
        Computer(computer(device), engines.on(device).math),
        data_seconds,
        training_times.seconds(blueprint, device, batch, iterations, engines),
    )


def _read(blueprint: Blueprint, readers: Sequence[Reader], iterations: int, steps: Steps) -> float:
    """Seconds of as many batches of these layers."""
    device, dtype = blueprint.ctx.device, blueprint.ctx.dtype
    shapes = {node.name: node.top_shapes for node in blueprint.nodes}
    tops = [
        [Blob(f"top {i}", shape, device, dtype) for i, shape in enumerate(shapes[reader.name])]
        for reader in readers
    ]

    def batch() -> None:
        for reader, top in zip(readers, tops, strict=True):
            for blob, shape in zip(top, reader.upcoming_shapes() or (), strict=False):
                blob.reshape(*shape)
            reader.forward([], top)

    # As many as lie ready once the threads are ahead: from then on each is waited for.
    for _ in range(1 + max(reader.prefetch for reader in readers)):
        batch()
    device.synchronize()
    began = perf_counter()
    for _ in steps(iterations, "reading"):
        batch()
    device.synchronize()
    return perf_counter() - began
