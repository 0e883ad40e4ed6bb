"""Weights for nets on any device, as benchmarks/models.py writes them for the races."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks import models


def fill(net: Any) -> None:
    """Weights that keep the variance of what passes them; the same for a net on every device.

    Not the zoo's fillers: under them the first losses of two nets agree whatever they compute.
    """
    stand = _Net(net)
    models.fill(stand)
    for layer, params in net.params.items():
        for param, values in zip(params, stand.params[layer], strict=True):
            net.device.write(param.data, values.data)


class _Net:
    """A net as far as models.fill looks at it: arrays of the host."""

    def __init__(self, net: Any) -> None:
        self.params = {
            layer: [_Param(param.shape) for param in params] for layer, params in net.params.items()
        }


class _Param:
    def __init__(self, shape: tuple[int, ...]) -> None:
        self.data = np.empty(shape, np.float32)
