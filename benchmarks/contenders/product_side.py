"""Large matrix products: how much arithmetic this machine can do at best.

job["library"]    "numpy", "onednn" or "torch", which has MKL;  job["sizes"]

The best rate that any of them reaches at any size in the whole run counts as the machine's; a
net's arithmetic at that rate is its floor.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np

from benchmarks.alternate import Declined


def work(job: dict[str, Any]) -> Products:
    return Products(job)


class Products:
    """A step is one product of each size, n x n by n x n."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.library = job["library"]
        maker = {"numpy": with_numpy, "onednn": with_onednn, "torch": with_torch}[self.library]
        self.products = [(n, maker(n, job)) for n in job["sizes"]]
        self.best = {n: 0.0 for n in job["sizes"]}

    def step(self) -> None:
        for n, product in self.products:
            start = time.perf_counter()
            product()
            rate = 2 * n**3 / (time.perf_counter() - start) / 1e9
            self.best[n] = max(self.best[n], rate)

    def result(self) -> list[float]:
        return list(self.best.values())

    def facts(self) -> dict[str, Any]:
        return {
            "library": self.library,
            "gflops": max(self.best.values()),
            "gflops by size": {str(n): rate for n, rate in self.best.items()},
        }


def with_numpy(n: int, job: dict[str, Any]) -> Callable[[], Any]:
    a, b, out = _matrices(n)
    return lambda: np.matmul(a, b, out=out)


def with_torch(n: int, job: dict[str, Any]) -> Callable[[], Any]:
    import torch

    torch.set_num_threads(job["threads"])
    a, b, out = map(torch.from_numpy, _matrices(n))
    return lambda: torch.mm(a, b, out=out)


def with_onednn(n: int, job: dict[str, Any]) -> Callable[[], Any]:
    """`dnnl_sgemm`, row-major: C := alpha A B + beta C."""
    dnnl_sgemm = ctypes.CDLL(_onednn()).dnnl_sgemm
    size, number, pointer = ctypes.c_int64, ctypes.c_float, ctypes.c_void_p
    dnnl_sgemm.argtypes = [ctypes.c_char, ctypes.c_char, size, size, size, number]
    dnnl_sgemm.argtypes += [pointer, size, pointer, size, number, pointer, size]
    a, b, out = _matrices(n)

    def product() -> None:
        lines = (a.ctypes.data, n, b.ctypes.data, n, 0.0, out.ctypes.data, n)
        if dnnl_sgemm(b"N", b"N", n, n, n, 1.0, *lines):
            raise RuntimeError("dnnl_sgemm failed")

    return product


def _onednn() -> str:
    """The library that minidl would open: MINIDL_DNNL_LIB, or that of the wheel."""
    if "MINIDL_DNNL_LIB" in os.environ:
        return os.environ["MINIDL_DNNL_LIB"]
    try:
        files = metadata.files("onednn-cpu-gomp") or []
    except metadata.PackageNotFoundError:
        raise Declined("onednn-cpu-gomp is not installed here") from None
    found = [str(file.locate()) for file in files if file.name.startswith("libdnnl.so.3")]
    if not found:
        raise Declined("onednn-cpu-gomp has no libdnnl.so.3")
    return found[0]


def _matrices(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(n)
    a, b = random.standard_normal((2, n, n), np.float32)
    return a, b, np.empty((n, n), np.float32)
