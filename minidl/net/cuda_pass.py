"""A training pass on a GPU: nothing is waited for, and little of it is left to Python."""

from __future__ import annotations

import functools

import numpy as np

from minidl.arrays.cuda_graph import Replay
from minidl.arrays.rng import DevicePasses
from minidl.net.program import Program
from minidl.net.state import State


class CudaPass:
    """A net's forward and backward, one after the other, launched and not waited for.

    What layers without bottoms make is brought to the device first. All the rest only launches
    kernels, on the same addresses every time: from the second pass on it is a CUDA graph.

    loss    an array () of the device, where each pass leaves the weighted sum of the loss tops
    """

    def __init__(self, state: State, passes: DevicePasses) -> None:
        self._state = state
        self._passes = passes
        self._replay = Replay(state.device)
        self._fresh_after: dict[tuple[bool, ...], list[bool]] = {}
        self.loss = state.device.zeros((), state.dtype)
        self._term = state.device.zeros((), state.dtype)

    @property
    def off(self) -> str:
        """Why no graph is recorded; "" if it is."""
        return self._replay.off

    def run(self, program: Program) -> None:
        """Run the net's program once."""
        state, last = self._state, 2 * len(self._state.layers) - 1
        with (
            state.device.current(),
            np.errstate(all="ignore"),
            program.running(0, last),
        ):
            for runs in program.feeding:
                for run in runs:
                    run()
            # Whether a gradient is overwritten or added to is decided while Python runs the pass.
            before = tuple(param.gradient.fresh for param in state.learnable)
            if self._replay.run(before, functools.partial(self._launch, program, before)):
                self._fresh_after[before] = [param.gradient.fresh for param in state.learnable]
            for param, fresh in zip(state.learnable, self._fresh_after[before], strict=True):
                param.gradient.fresh = fresh
            program.step = last

    def forget(self) -> None:
        """The program is another one: record again."""
        self._replay.forget()

    def _launch(self, program: Program, before: tuple[bool, ...]) -> None:
        """All of the pass but what brings data in; `before`: which gradients are `fresh`."""
        for param, fresh in zip(self._state.learnable, before, strict=True):
            param.gradient.fresh = fresh  # a recording that failed has come as far as it could
        self._passes.count()
        for runs, feeding in zip(program.forward, program.feeding, strict=True):
            for run in runs:
                if run not in feeding:
                    run()
        self._add_losses(program)
        for blob, weight in self._state.shared_seeds:
            program.seed(blob.name).fill(weight)
        nodes = self._state.blueprint.nodes
        for i in reversed(range(len(nodes))):
            for run in program.backward[i] if nodes[i].needs_backward else ():
                run()

    def _add_losses(self, program: Program) -> None:
        xp = self._state.device.xp
        self.loss.fill(0)
        for blob, weight in self._state.loss_tops:
            xp.sum(program.plain(blob.name), out=self._term)
            self._term *= weight
            self.loss += self._term
