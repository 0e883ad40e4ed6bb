"""Runs the layers of a net: the program of the next pass, and the calls in their order."""

from __future__ import annotations

import functools
import logging
import weakref
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from minidl import schema
from minidl.arrays.rng import DevicePasses
from minidl.errors import LabelError, UsageError
from minidl.net import diagnosis
from minidl.net.cuda_pass import TrainingPass
from minidl.net.program import Program
from minidl.net.schedule import Schedule

if TYPE_CHECKING:
    from minidl.net.net import Callback, Net

log = logging.getLogger("minidl")


class Runner:
    """What a net has to run with; it is made anew with each net, not with each shape.

    stale      the program is of other shapes, or of another seed
    separate   every layer has to leave its own top: nothing is computed with the layer before it
    watched    callbacks read blobs and gradients as layers leave them
    """

    def __init__(self, net: Net) -> None:
        self._net: Net = weakref.proxy(net)  # or only the garbage collector would free a net
        self.stale, self.separate, self.watched = True, False, False
        self._program: Program | None = None
        self._training: TrainingPass | None = None
        self._passes: DevicePasses | None = None
        self._said: set[str] = set()
        if net.device.kind == "cuda":
            self._passes = DevicePasses(net.device, net.streams)
            self._training = TrainingPass(net, self._passes)

    @property
    def counter(self) -> int:
        """The address of the number of the pass in a GPU's memory; 0 on the CPU."""
        return self._passes.address if self._passes is not None else 0

    @property
    def training(self) -> TrainingPass | None:
        """What runs forward and backward at one go; None where nothing is gained by that."""
        lends = self._program is not None and self._program.lends
        alone = lends or self._is_late or any(self._callbacks())
        return None if alone else self._training

    @property
    def graph_off(self) -> str:
        """Why that is no CUDA graph; "" where it is one."""
        return self.training.off if self.training is not None else "layers run one by one"

    @functools.cached_property
    def _is_late(self) -> bool:
        """Whether the values of a pass decide some of its shapes."""
        return any(layer.is_late for layer in self._net.own_layers)

    # ------------------------------------------------------------------ the program

    def ready(self) -> Program:
        """The program of the next pass; a new one if shapes changed, or parameters have moved."""
        net, program = self._net, self._program
        if program is None or self.stale or not program.fits:
            schedule = self._schedule()
            owned = net.parameters.owned()
            program = Program(schedule, net.blobs, owned, net.device, net.dtype, program)
            self._program, self.stale = program, False
            if self._training is not None:
                self._training.forget()
            self._log_plans(schedule)
        return program

    def _schedule(self) -> Schedule:
        net, params = self._net, self._net.parameters.owned()
        return Schedule.of(
            net.blueprint,
            net.policy,
            backward=net.phase == schema.TRAIN or not net.share,
            pinned=set(self._pinned()),
            homes={
                key: None if param.home().plain_only else param.memory.layout
                for key, param in params.items()
                if param.home().plain_only or param.borrowed
            },
            learning=[key for key, param in params.items() if param.wanted],
            share=net.share,
            separate=self.separate,
        )

    def _pinned(self) -> Iterator[tuple[str, str]]:
        """Blobs that are to have a plain array of their own."""
        net = self._net
        for name, blob in net.blobs.items():
            for kind in ("data", "diff"):
                kept = self.watched or (name in net.keep and net.share)
                if kept and not blob.is_view(kind):
                    yield name, kind

    def _log_plans(self, schedule: Schedule) -> None:
        """Say once for each layer which engine runs it and how, or why none does."""
        for step in schedule.steps:
            said = step.describe()
            if said and step.node.name not in self._said:
                self._said.add(step.node.name)
                log.info("%s", said)

    # ------------------------------------------------------------------ passes

    def begin_pass(self) -> None:
        """Count a pass on the host. On the device it is counted by the pass itself."""
        self._net.streams.passes += 1
        if self._passes is not None:
            self._passes.begin()

    def forward(self, first: int, last: int) -> None:
        """Run forward from layer `first` to layer `last`, callbacks included."""
        if first > last:
            return
        net, program = self._net, self._prepared_for(first, last)
        self.begin_pass()
        # A NaN is found and named by its loss: see first_bad.
        with net.device.current(), np.errstate(all="ignore"):
            if self._passes is not None:
                self._passes.count()
            for layers in self._parts(program, range(first, last + 1)):
                if net.own_layers[layers[0]].is_late and net.follow_values(layers[0]):
                    self.ready()
                self._run(layers, backward=False)

    def backward(self, first: int, last: int) -> None:
        """Run backward from layer `first` down to layer `last`, callbacks included."""
        if first < last:
            return
        net, program = self._net, self.ready()
        nodes = net.blueprint.nodes
        learns = any(node.needs_backward for node in nodes)
        if learns and not program.schedule.backward:
            raise UsageError(
                f"net '{net.name}' was made to run forward only: phase TEST, with shared memory",
                fix="construct it without share",
            )
        layers = [i for i in range(first, last - 1, -1) if nodes[i].needs_backward]
        with net.device.current(), np.errstate(all="ignore"):
            for part in self._parts(program, layers):
                self._run(part, backward=True)

    def _parts(self, program: Program, layers: Sequence[int]) -> Iterator[Sequence[int]]:
        """The layers of a pass in parts between which somebody may look at blobs, or write."""
        alone = self._is_late or program.lends or any(self._callbacks(seeing=True))
        start = 0
        for k, i in enumerate(layers):
            if alone or self._net.own_layers[i].type == "Python":
                yield from (part for part in (layers[start:k], layers[k : k + 1]) if part)
                start = k + 1
        if start < len(layers):
            yield layers[start:]

    def _run(self, layers: Sequence[int], backward: bool) -> None:
        """Run a part of a pass: these layers, in order."""
        net, program = self._net, self._program
        assert program is not None
        before, after, runs = net.before_forward, net.after_forward, program.forward
        if backward:
            before, after, runs = net.before_backward, net.after_backward, program.backward
        first, last = layers[0], layers[-1]
        for callback in before:
            callback(first)
        with program.running(*(program.step_of(i, backward) for i in (first, last))):
            for i in layers:
                if i != first:
                    for callback in before:
                        callback(i)
                program.step = program.step_of(i, backward)
                try:
                    for run in runs[i]:
                        run()
                except LabelError as error:
                    raise diagnosis.with_record(net, error, net.bottoms[i]) from None
                if i != last:
                    for callback in after:
                        callback(i)
        late = net.own_layers[last].is_late and not backward
        if late and net.follow_values(last, ran=True):
            self._go_on(last)
        for callback in after:
            callback(last)

    def _go_on(self, i: int) -> None:
        """After layer i has run, all shapes behind it are others than they were; its tops', too,
        if it is unfinished: it then has to run again."""
        program = self.ready()
        program.step = i
        if self._net.own_layers[i].unfinished:
            with program.running(i, i):
                for run in program.forward[i]:
                    run()

    def _callbacks(self, seeing: bool = False) -> Iterator[Callback]:
        """All functions that want to be called between layers; `seeing`: and may look at blobs."""
        net = self._net
        for callbacks in (
            net.before_forward,
            net.after_forward,
            net.before_backward,
            net.after_backward,
        ):
            if callbacks.seeing or not seeing:
                yield from callbacks

    def _prepared_for(self, first: int, last: int) -> Program:
        """The program for a forward from layer `first` to layer `last`."""
        net, program = self._net, self.ready()
        if first and net.share:
            raise UsageError(
                f"forward cannot start at layer '{net.layer_names[first]}': the net shares "
                "memory, so what the layers before it left is gone",
                fix="construct the net without share",
            )
        seen = any(self._callbacks(seeing=True)) and not self.separate
        if seen or program.cuts(first, last):
            self.separate = self.stale = True
            program = self.ready()
        return program
