"""What a GPU can do: its best product of matrices and its copies, timed by its own clock."""

from __future__ import annotations

from typing import Any

from minidl.cli.floors import Run, Speeds

PRODUCTS = 4096, 8192  # rows and columns of the matrices whose products are timed
SIZES = tuple(2**i for i in range(22, 31, 2))  # bytes of the arrays that are copied
ENOUGH = 0.02  # seconds that one measurement lasts
ROUNDS = 3  # of which the best counts
SHARE = 8  # of the free memory, at most one part in so many is used


class DeviceMeter:
    """What `floors.Meter` is for a CPU. It measures in the arithmetic that the net asks for.

    device, math   of the net

    The numbers are random: a chip computes faster with zeros, as they take less power.
    """

    def __init__(self, device: Any, math: str) -> None:
        self._device, self._math = device, math
        free = (device.memory() or (1 << 62, 0))[0] // SHARE
        self._products = [n for n in PRODUCTS if 12 * n * n <= free] or [PRODUCTS[0]]
        self._sizes = [size for size in SIZES if 2 * size <= free] or [SIZES[0]]
        self.speeds = Speeds(0.0, dict.fromkeys(self._sizes, 0.0))

    def measure(self) -> None:
        """Look again, and keep what is faster."""
        for n in self._products:
            self.saw(2.0 * n**3 / seconds(self._device, self._product(n)))
        for size in self._sizes:
            speed = 2 * size / seconds(self._device, copy(self._device, size))
            self.speeds.copies[size] = max(speed, self.speeds.copies[size])

    def saw(self, product: float) -> None:
        """Something else, that is as good as a product of matrices, reached so many flop/s."""
        self.speeds = Speeds(max(product, self.speeds.product), self.speeds.copies)

    def _product(self, n: int) -> Run:
        """The product of two matrices of n rows and columns."""
        import numpy as np

        from minidl.engines.cupy_kernels import blas

        device = self._device
        factors = [self._random(n) for _ in range(2)]
        result = device.zeros((n, n), np.float32)
        matrices = [blas.Matrix(device.address(array), n) for array in (*factors, result)]
        multiply = blas.product(device, self._math, (n, n, n), *matrices)

        def run(keep: Any = (factors, result)) -> None:  # the product knows addresses only
            multiply()

        return run

    def _random(self, n: int) -> Any:
        """A square matrix of normal numbers, of the type that the arithmetic multiplies."""
        import numpy as np

        numbers = np.random.default_rng(0).standard_normal(65537, np.float32)
        if self._math == "fp16":
            numbers = numbers.astype(np.float16)
        elif self._math == "bf16":
            numbers = (numbers.view(np.uint32) >> 16).astype(np.uint16)
        array = self._device.zeros((n, n), numbers.dtype)
        self._device.write(array, np.resize(numbers, (n, n)))
        return array


def copy(device: Any, size: int) -> Run:
    """A copy of so many bytes within the device's memory."""
    import numpy as np

    source, target = (device.zeros((size // 4,), np.float32) for _ in range(2))

    def run() -> None:
        device.xp.copyto(target, source)

    return run


def seconds(device: Any, run: Run) -> float:
    """The shortest time of a run among several rounds of many runs, by the device's clock."""
    with device.current():
        run()
        once = max(_timed(device, run, 1), 1e-9)
        count = max(1, min(1000, round(ENOUGH / once)))
        return min(_timed(device, run, count) for _ in range(ROUNDS)) or once


def _timed(device: Any, run: Run, count: int) -> float:
    """Seconds of one of so many runs, one right after the other."""
    cuda = device.xp.cuda
    start, end = cuda.Event(), cuda.Event()
    start.record()
    for _ in range(count):
        run()
    end.record()
    end.synchronize()
    return float(cuda.get_elapsed_time(start, end)) / 1e3 / count
