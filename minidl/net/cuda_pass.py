"""A training pass on a GPU: nothing is waited for, and little of it is left to Python."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from minidl.arrays.blob import Blob, Param
from minidl.arrays.cuda_graph import Replay
from minidl.arrays.device import Device
from minidl.arrays.home import Home
from minidl.arrays.rng import DevicePasses
from minidl.net.program import Program

Weighted = Sequence[tuple[Blob, float]]


class CudaPass:
    """A net's forward and backward, one after the other, launched and not waited for.

    What layers without bottoms make is brought to the device first. All the rest only launches
    kernels, on the same addresses every time: from the second pass on it is a CUDA graph.

    loss    an array () of the device, where each pass leaves the weighted sum of the loss tops
    """

    def __init__(self, device: Device, dtype: Any, passes: DevicePasses) -> None:
        self._passes = passes
        self._replay = Replay(device)
        self._fresh_after: dict[tuple[bool, ...], list[bool]] = {}
        self.loss, self._term = device.zeros((), dtype), device.zeros((), dtype)

    @property
    def off(self) -> str:
        """Why no graph is recorded; "" if it is."""
        return self._replay.off

    def run(
        self, program: Program, learnable: Sequence[Param], losses: Weighted, seeds: Weighted
    ) -> None:
        """Run the net's program once.

        learnable   the net's parameters
        losses      the loss tops, each with its weight
        seeds       those whose gradient has to be put back before backward
        """
        device, last = program.device, program.step_of(0, backward=True)
        with device.current(), np.errstate(all="ignore"), program.running(0, last):
            for runs in program.feeding:
                for run in runs:
                    run()
            # Whether a gradient is overwritten or added to is decided while Python runs the pass.
            gradients = [param.gradient for param in learnable]
            before = tuple(gradient.fresh for gradient in gradients)
            launch = functools.partial(self._launch, program, gradients, before, losses, seeds)
            if self._replay.run(before, launch):
                self._fresh_after[before] = [gradient.fresh for gradient in gradients]
            for gradient, fresh in zip(gradients, self._fresh_after[before], strict=True):
                gradient.fresh = fresh
            program.step = last

    def forget(self) -> None:
        """Record again, because the program is another one."""
        self._replay.forget()

    def _launch(
        self,
        program: Program,
        gradients: Sequence[Home],
        before: tuple[bool, ...],
        losses: Weighted,
        seeds: Weighted,
    ) -> None:
        """Launch all of the pass but what brings data in; `before`: which gradients are `fresh`."""
        for gradient, fresh in zip(gradients, before, strict=True):
            gradient.fresh = fresh  # a recording that failed has come as far as it could
        self._passes.count()
        for runs, feeding in zip(program.forward, program.feeding, strict=True):
            for run in runs:
                if run not in feeding:
                    run()
        self.loss.fill(0)
        for blob, weight in losses:
            program.device.xp.sum(program.plain(blob.name), out=self._term)
            self._term *= weight
            self.loss += self._term
        for blob, weight in seeds:
            program.seed(blob.name).fill(weight)
        for node, runs in zip(program.schedule.nodes[::-1], program.backward[::-1], strict=True):
            for run in runs if node.needs_backward else ():
                run()
