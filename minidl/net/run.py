"""Run the layers of a net: the program of the next pass, and its calls in their order."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from minidl import schema
from minidl.arrays.home import Home
from minidl.errors import LabelError, UsageError
from minidl.net import diagnosis
from minidl.net.cuda_pass import CudaPass
from minidl.net.program import Program
from minidl.net.schedule import Schedule
from minidl.net.state import State

log = logging.getLogger("minidl")


# ------------------------------------------------------------------ the program


def ready(state: State) -> Program:
    """Return the program of the next pass; a new one if shapes changed or parameters moved."""
    old = state.program
    if old is not None and not state.stale and old.fits:
        return old
    schedule, owned = _schedule(state), state.parameters.owned()
    place, arena = (state.device, state.dtype), state.parameters.arena
    program = Program(schedule, state.blobs, owned, *place, old, arena)
    state.program, state.stale = program, False
    if state.cuda_pass is not None:
        state.cuda_pass.forget()
    for step in schedule.steps:  # once for each layer, which engine runs it and how, or why none
        said = step.describe()
        if said and step.node.name not in state.plans_said:
            state.plans_said.add(step.node.name)
            log.info("%s", said)
    return program


def watch(state: State) -> None:
    """Let every layer leave its own top from now on, and all of it in plain memory."""
    if not state.watched:
        state.watched = state.separate = state.stale = True


def _schedule(state: State) -> Schedule:
    params = state.parameters.owned()
    return Schedule.of(
        state.blueprint,
        state.policy,
        backward=state.phase == schema.TRAIN or not state.share,
        pinned=set(_pinned(state)),
        homes={
            key: None if param.values.plain_only else param.values.memory.layout
            for key, param in params.items()
            if param.values.plain_only or param.borrowed
        },
        learning=[key for key, param in params.items() if param.wanted],
        share=state.share,
        separate=state.separate,
    )


def _pinned(state: State) -> Iterator[tuple[str, str]]:
    """Yield the blobs that are to have a plain array of their own."""
    seen: set[Home] = set()  # views come after the blob whose values they have
    for name, blob in state.blobs.items():
        for kind in ("data", "diff"):
            kept = state.watched or (name in state.keep and state.share)
            if kept and blob.home(kind) not in seen:
                yield name, kind
            seen.add(blob.home(kind))


# ------------------------------------------------------------------ passes


def forward(state: State, first: int, last: int) -> None:
    """Run forward from layer `first` to layer `last`, callbacks included."""
    if first > last:
        return
    program = _prepared_for(state, first, last)
    _count_pass(state)
    # A NaN is found and named by its loss: see first_bad.
    with state.device.current(), np.errstate(all="ignore"):
        if state.passes is not None:
            state.passes.count()
        for layers in _parts(state, program, range(first, last + 1)):
            if state.layers[layers[0]].is_late and state.follow_values(layers[0]):
                ready(state)
            _run(state, layers, backward=False)


def backward(state: State, first: int, last: int) -> None:
    """Run backward from layer `first` down to layer `last`, callbacks included."""
    if first < last:
        return
    program, nodes = ready(state), state.blueprint.nodes
    layers = [i for i in range(first, last - 1, -1) if nodes[i].needs_backward]
    if any(node.needs_backward for node in nodes) and not program.schedule.backward:
        raise UsageError(
            f"net '{state.name}' was made to run forward only: phase TEST, with shared memory",
            fix="construct it without share",
        )
    chained = program.cut_backward(first, last, _is_called(state, seeing=True))
    if chained is not None:
        state.separate = state.stale = True
        raise UsageError(
            f"backward cannot stop at layer '{state.layers[chained].name}', which the forward "
            "before it computed as one with its neighbours",
            fix="run forward again: from now on each layer of this net is computed alone",
        )
    with state.device.current(), np.errstate(all="ignore"):
        for part in _parts(state, program, layers):
            _run(state, part, backward=True)


def at_one_go(state: State) -> CudaPass | None:
    """Return what runs forward and backward without a wait; None where nothing is gained by it."""
    lends = state.program is not None and state.program.lends
    alone = lends or state.is_late or _is_called(state)
    return None if alone else state.cuda_pass


def forward_backward(state: State, cuda_pass: CudaPass) -> Any:
    """Run forward and backward at one go; return the loss, an array () of the device."""
    state.follow_inputs()
    program = ready(state)
    _count_pass(state)
    cuda_pass.run(program, state.learnable, state.loss_tops, state.shared_seeds)
    return cuda_pass.loss


def _count_pass(state: State) -> None:
    """Count a pass on the host. On the device it is counted by the pass itself."""
    state.streams.passes += 1
    if state.passes is not None:
        state.passes.begin()


def _prepared_for(state: State, first: int, last: int) -> Program:
    """Return the program for a forward from layer `first` to layer `last`."""
    program = ready(state)
    if first and state.share:
        raise UsageError(
            f"forward cannot start at layer '{state.layers[first].name}': the net shares "
            "memory, so what the layers before it left is gone",
            fix="construct the net without share",
        )
    seen = _is_called(state, seeing=True) and not state.separate
    if seen or program.cuts(first, last):
        state.separate = state.stale = True
        program = ready(state)
    return program


def _is_called(state: State, seeing: bool = False) -> bool:
    """Tell whether there are callbacks to call between layers; `seeing`: that may look at blobs."""
    return any(each for each in state.callbacks if each.seeing or not seeing)


def _parts(state: State, program: Program, layers: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield the layers of a pass in parts between which somebody may look at blobs, or write."""
    alone = state.is_late or program.lends or _is_called(state, seeing=True)
    start = 0
    for k, i in enumerate(layers):
        if alone or state.layers[i].type == "Python":
            yield from (part for part in (layers[start:k], layers[k : k + 1]) if part)
            start = k + 1
    if start < len(layers):
        yield layers[start:]


def _run(state: State, layers: Sequence[int], backward: bool) -> None:
    """Run a part of a pass: these layers, in order."""
    program = state.program
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
        _go_on(state, last)
    for callback in after:
        callback(last)


def _go_on(state: State, i: int) -> None:
    """Go on where layer i has run, and all shapes behind it are others than they were; its tops',
    too, if it is unfinished: it then has to run again."""
    program = ready(state)
    program.step = i
    if state.layers[i].unfinished:
        with program.running(i, i):
            for run in program.forward[i]:
                run()
