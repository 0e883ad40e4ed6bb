"""Runs the layers of a net: the program of the next pass, and the calls in their order."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np

from minidl import schema
from minidl.arrays.home import Home
from minidl.errors import LabelError, UsageError
from minidl.net import diagnosis
from minidl.net.cuda_pass import CudaPass
from minidl.net.program import Program
from minidl.net.schedule import Schedule
from minidl.net.state import Callback, State

log = logging.getLogger("minidl")


class Runner:
    """Runs the layers of a state: the program of the next pass, and its calls in their order.

    separate   every layer has to leave its own top: nothing is computed with the layer before it
    watched    callbacks read blobs and gradients as layers leave them
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.separate, self.watched = False, False
        self._program: Program | None = None
        self._changes = -1  # of the state, when the program was made; -1: it is stale in any case
        self._training = CudaPass(state, state.passes) if state.passes is not None else None
        self._said: set[str] = set()

    @property
    def training(self) -> CudaPass | None:
        """What runs forward and backward at one go; None where nothing is gained by that."""
        lends = self._program is not None and self._program.lends
        alone = lends or self.state.is_late or any(self._callbacks())
        return None if alone else self._training

    @property
    def graph_off(self) -> str:
        """Why that is no CUDA graph; "" where it is one."""
        return self.training.off if self.training is not None else "layers run one by one"

    def watch(self) -> None:
        """From now on every layer leaves its own top, and all of it in plain memory."""
        if not self.watched:
            self.watched = self.separate = True
            self._changes = -1

    # ------------------------------------------------------------------ the program

    def ready(self) -> Program:
        """The program of the next pass; a new one if shapes changed, or parameters have moved."""
        state, program = self.state, self._program
        if program is None or self._changes != state.changes or not program.fits:
            schedule = self._schedule()
            owned = state.parameters.owned()
            program = Program(
                schedule,
                state.blobs,
                owned,
                state.device,
                state.dtype,
                program,
                state.parameters.arena,
            )
            self._program, self._changes = program, state.changes
            if self._training is not None:
                self._training.forget()
            self._log_plans(schedule)
        return program

    def _schedule(self) -> Schedule:
        state, params = self.state, self.state.parameters.owned()
        return Schedule.of(
            state.blueprint,
            state.policy,
            backward=state.phase == schema.TRAIN or not state.share,
            pinned=set(self._pinned()),
            homes={
                key: None if param.values.plain_only else param.values.memory.layout
                for key, param in params.items()
                if param.values.plain_only or param.borrowed
            },
            learning=[key for key, param in params.items() if param.wanted],
            share=state.share,
            separate=self.separate,
        )

    def _pinned(self) -> Iterator[tuple[str, str]]:
        """Blobs that are to have a plain array of their own."""
        state = self.state
        seen: set[Home] = set()  # views come after the blob whose values they have
        for name, blob in state.blobs.items():
            for kind in ("data", "diff"):
                kept = self.watched or (name in state.keep and state.share)
                if kept and blob.home(kind) not in seen:
                    yield name, kind
                seen.add(blob.home(kind))

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
        self.state.streams.passes += 1
        if self.state.passes is not None:
            self.state.passes.begin()

    def forward(self, first: int, last: int) -> None:
        """Run forward from layer `first` to layer `last`, callbacks included."""
        if first > last:
            return
        state, program = self.state, self._prepared_for(first, last)
        self.begin_pass()
        # A NaN is found and named by its loss: see first_bad.
        with state.device.current(), np.errstate(all="ignore"):
            if self.state.passes is not None:
                self.state.passes.count()
            for layers in self._parts(program, range(first, last + 1)):
                if state.layers[layers[0]].is_late and state.follow_values(layers[0]):
                    self.ready()
                self._run(layers, backward=False)

    def backward(self, first: int, last: int) -> None:
        """Run backward from layer `first` down to layer `last`, callbacks included."""
        if first < last:
            return
        state, program = self.state, self.ready()
        nodes = state.blueprint.nodes
        learns = any(node.needs_backward for node in nodes)
        if learns and not program.schedule.backward:
            raise UsageError(
                f"net '{state.name}' was made to run forward only: phase TEST, with shared memory",
                fix="construct it without share",
            )
        layers = [i for i in range(first, last - 1, -1) if nodes[i].needs_backward]
        with state.device.current(), np.errstate(all="ignore"):
            for part in self._parts(program, layers):
                self._run(part, backward=True)

    def _parts(self, program: Program, layers: Sequence[int]) -> Iterator[Sequence[int]]:
        """The layers of a pass in parts between which somebody may look at blobs, or write."""
        alone = self.state.is_late or program.lends or any(self._callbacks(seeing=True))
        start = 0
        for k, i in enumerate(layers):
            if alone or self.state.layers[i].type == "Python":
                yield from (part for part in (layers[start:k], layers[k : k + 1]) if part)
                start = k + 1
        if start < len(layers):
            yield layers[start:]

    def _run(self, layers: Sequence[int], backward: bool) -> None:
        """Run a part of a pass: these layers, in order."""
        state, program = self.state, self._program
        assert program is not None
        before, after, runs = state.before_forward, state.after_forward, program.forward
        if backward:
            before, after, runs = state.before_backward, state.after_backward, program.backward
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
                    raise diagnosis.with_record(state, error, state.bottoms[i]) from None
                if i != last:
                    for callback in after:
                        callback(i)
        late = state.layers[last].is_late and not backward
        if late and state.follow_values(last, ran=True):
            self._go_on(last)
        for callback in after:
            callback(last)

    def _go_on(self, i: int) -> None:
        """After layer i has run, all shapes behind it are others than they were; its tops', too,
        if it is unfinished: it then has to run again."""
        program = self.ready()
        program.step = i
        if self.state.layers[i].unfinished:
            with program.running(i, i):
                for run in program.forward[i]:
                    run()

    def _callbacks(self, seeing: bool = False) -> Iterator[Callback]:
        """All functions that want to be called between layers; `seeing`: and may look at blobs."""
        for callbacks in self.state.callbacks():
            if callbacks.seeing or not seeing:
                yield from callbacks

    def _prepared_for(self, first: int, last: int) -> Program:
        """The program for a forward from layer `first` to layer `last`."""
        state, program = self.state, self.ready()
        if first and state.share:
            raise UsageError(
                f"forward cannot start at layer '{state.layers[first].name}': the net shares "
                "memory, so what the layers before it left is gone",
                fix="construct the net without share",
            )
        seen = any(self._callbacks(seeing=True)) and not self.separate
        if seen or program.cuts(first, last):
            self.separate, self._changes = True, -1
            program = self.ready()
        return program
