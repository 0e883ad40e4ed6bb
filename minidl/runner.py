"""Runs the layers of a net: the program of the next pass, and the calls in their order."""

from __future__ import annotations

import functools
import logging
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from minidl import diagnosis, schema
from minidl.engines import select
from minidl.errors import LabelError, UsageError
from minidl.program import Program
from minidl.rng import DevicePasses
from minidl.schedule import Demands, Schedule
from minidl.training_pass import TrainingPass

if TYPE_CHECKING:
    from minidl.net import Callback, Net

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
        return None if self._is_late or any(self._callbacks()) else self._training

    @functools.cached_property
    def _is_late(self) -> bool:
        """Whether the values of a pass decide some of its shapes."""
        return any(layer.is_late for layer in self._net.own_layers)

    # ------------------------------------------------------------------ the program

    def ready(self, within: bool = False) -> Program:
        """The program of the next pass; a new one if shapes, parameters or held arrays changed.

        within   it is to go on with a pass whose shapes changed in the middle
        """
        net, program = self._net, self._program
        if program is None or self.stale or not program.settle():
            schedule = self._schedule()
            owned = net.parameters.owned()
            program = Program(schedule, net.blobs, owned, net.device, net.dtype, program, within)
            self._program, self.stale = program, False
            if self._training is not None:
                self._training.forget()
            self._log_plans(schedule)
        return program

    def _schedule(self) -> Schedule:
        net, params = self._net, self._net.parameters.owned()
        nodes = net.blueprint.nodes
        backward = net.phase == schema.TRAIN or not net.share
        demands = Demands(
            backward=backward and any(node.needs_backward for node in nodes),
            pinned=frozenset(self._pinned()),
            homes={
                key: None if param.held or param.home.plain_only else param.memory.layout
                for key, param in params.items()
                if param.held or param.home.plain_only or param.borrowed
            },
            learning=frozenset(key for key, param in params.items() if param.wanted),
            share=net.share,
            fuse=not self.separate,
            dtype=net.dtype,
        )
        engines = select.engines(net.policy, [layer.engine_wish for layer in net.own_layers])
        return Schedule(nodes, engines, net.policy, demands)

    def _pinned(self) -> Iterator[tuple[str, str]]:
        """Blobs that have an array of their own already, or are to keep one."""
        net = self._net
        for name, blob in net.blobs.items():
            for kind in ("data", "diff"):
                kept = self.watched or (name in net.keep and net.share)
                if not blob.is_view(kind) and (kept or blob.array(kind) is not None):
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
        net, program = self._net, self._prepared_for(first, last)
        before, after, steps = net.before_forward, net.after_forward, program.forward
        self.begin_pass()
        # A NaN is found and named by its loss: see first_bad.
        with net.device.current(), np.errstate(all="ignore"):
            if self._passes is not None:
                self._passes.count()
            for run in program.late_copies(first) if first else ():
                run()
            for i in range(first, last + 1):
                if net.own_layers[i].is_late and net.follow_values(i):
                    program = self.ready(within=True)
                    steps = program.forward
                program.step = i
                for callback in before:
                    callback(i)
                try:
                    for run in steps[i]:
                        run()
                except LabelError as error:
                    raise diagnosis.with_record(net, error, net.bottoms[i]) from None
                if net.own_layers[i].is_late and net.follow_values(i, ran=True):
                    program = self.ready(within=True)
                    steps, program.step = program.forward, i
                    for run in steps[i] if net.own_layers[i].unfinished else ():
                        run()
                for callback in after:
                    callback(i)

    def backward(self, first: int, last: int) -> None:
        """Run backward from layer `first` down to layer `last`, callbacks included."""
        net, program = self._net, self.ready()
        nodes = net.blueprint.nodes
        learns = any(node.needs_backward for node in nodes)
        if learns and not program.schedule.demands.backward:
            raise UsageError(
                f"net '{net.name}' was made to run forward only: phase TEST, with shared memory",
                fix="construct it without share",
            )
        before, after, steps = net.before_backward, net.after_backward, program.backward
        with net.device.current(), np.errstate(all="ignore"):
            for i in range(first, last - 1, -1):
                if not nodes[i].needs_backward:
                    continue
                program.step = 2 * len(steps) - 1 - i
                for callback in before:
                    callback(i)
                for run in steps[i]:
                    run()
                for callback in after:
                    callback(i)

    def _callbacks(self) -> Iterator[Callback]:
        """All functions that want to be called between layers."""
        for when in ("before_forward", "after_forward", "before_backward", "after_backward"):
            yield from getattr(self._net, when)

    def _prepared_for(self, first: int, last: int) -> Program:
        """The program for a forward from layer `first` to layer `last`."""
        net, program = self._net, self.ready()
        if first and net.share:
            raise UsageError(
                f"forward cannot start at layer '{net.layer_names[first]}': the net shares "
                "memory, so what the layers before it left is gone",
                fix="construct the net without share",
            )
        if program.cuts(first, last):
            self.separate = self.stale = True
            program = self.ready()
        return program
