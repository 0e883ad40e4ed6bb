"""The speeds of a GPU: its best matrix product and its copies, timed by its own clock."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from minidl.arrays.device import Device
from minidl.engines.cupy_kernels import blas
from minidl.engines.math import Math
from minidl.engines.plan import Run
from minidl.profile import gpu_clock, numbers
from minidl.profile.floors import Meter

PRODUCTS = 4096, 8192  # rows and columns of the matrices whose products are timed
SIZES = tuple(2**i for i in range(22, 31, 2))  # bytes of the arrays that are copied
SHARE = 8  # at most this part of the free memory is used: an eighth


class DeviceMeter(Meter):
    """The meter of a GPU. It measures in the arithmetic that the net asks for.

    device, math   of the net

    The numbers are random: a chip computes faster with zeros, as they take less power.
    """

    def __init__(self, device: Device, math: Math) -> None:
        self._device, self._math = device, math
        free = (device.memory() or (1 << 62, 0))[0] // SHARE
        self._products = [n for n in PRODUCTS if 12 * n * n <= free] or [PRODUCTS[0]]
        super().__init__([size for size in SIZES if 2 * size <= free] or [SIZES[0]])

    def products(self) -> Iterator[tuple[float, float]]:
        for n in self._products:
            yield 2.0 * n**3, gpu_clock.seconds(self._device, self._product(n))

    def copy(self, size: int) -> float:
        return gpu_clock.seconds(self._device, copy(self._device, size))

    def _product(self, n: int) -> Run:
        """Return the product of two matrices of n rows and columns."""
        device = self._device
        factors = [self._random(n) for _ in range(2)]
        result = device.zeros((n, n), np.float32)
        matrices = [blas.Matrix(device.address(array), n) for array in (*factors, result)]
        multiply = blas.product(device, self._math, (n, n, n), *matrices)

        def run(keep: Any = (factors, result)) -> None:  # the product knows addresses only
            multiply()

        return run

    def _random(self, n: int) -> Any:
        """Return a square matrix of normal numbers, of the type that the arithmetic multiplies."""
        bits = numbers.normal((n, n), self._math.arrays)
        array = self._device.zeros((n, n), bits.dtype)
        self._device.write(array, bits)
        return array


def copy(device: Device, size: int) -> Run:
    """Return a copy of `size` bytes within the device's memory."""
    source, target = (device.zeros((size // 4,), np.float32) for _ in range(2))
    return functools.partial(device.xp.copyto, target, source)
