"""A net of its own that looks at the validation set with the weights of the moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from minidl.net import Net
from minidl.solver import Run
from minidl.solver.nets import Sources


class Probe:
    """Shows what the net that is trained makes of the first batches of its validation set.

    options    of Net: engine, math, ...

    A net beside the run's own: these share memory, so that their blobs cannot be read, and were
    anybody to move their data on, the run would be another one. It is made when it is first asked
    for, and its blobs keep their memory.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = dict(options)
        self._net: Net | None = None

    def net(self, run: Run) -> Net:
        """Return the net with the run's present weights, at the beginning of its data."""
        if self._net is None:
            sources = Sources(run.param)
            plan = (sources.testing() or [sources.training()])[0]
            place: dict[str, Any] = {"device": run.net.device, "dtype": run.net.dtype}
            self._net = plan.make(seed=run.seed, **place, **self._options)
        net = self._net
        for name, params in net.params.items():
            if name in run.net.params:
                for mine, theirs in zip(params, run.net.params[name], strict=True):
                    mine.values.write(theirs.read().reshape(mine.shape))
        for layer in net.data_layers:
            layer.position = 0
        net.streams.passes = 0
        return net

    def forward(self, net: Net) -> None:
        """Run the net on its next batch."""
        with np.errstate(all="ignore"):
            net.forward_pass()

    def close(self) -> None:
        """Let go of files and threads."""
        if self._net is not None:
            self._net.close()
            self._net = None
