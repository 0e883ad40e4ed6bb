"""Where arrays are and which array module computes with them."""

from __future__ import annotations

import contextlib
import functools
import logging
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np

from minidl.arrays.units import bytes_
from minidl.errors import DeviceError

log = logging.getLogger("minidl")
INSTALL = (
    "pip install 'cupy-cuda13x[ctk]' nvidia-cudnn-cu13, or for a driver of CUDA 12 "
    "'cupy-cuda12x[ctk]' nvidia-cudnn-cu12"
)


class Device:
    """A place for arrays: `name`, and `xp`, the array module (NumPy's API) that works there.

    An argument, never a global mode: nets on different devices live side by side.
    ``Device("cpu")`` is the processor, ``Device("cuda:0")`` (or "cuda", "gpu:0") the first GPU.

    kind       "cpu" or "cuda"
    index      which of its kind
    xp         numpy, or cupy
    alignment  of memory, in bytes: a cache line and a register of AVX-512, or what CUDA gives
    piece      elements on which array code is to work at a time: as many as stay in a core's
               cache, or all of them where every call costs a launch

    Errors: DeviceError for a device that is not there, with what is missing and how to get it.
    """

    name: str
    kind: str
    index: int
    xp: ModuleType
    alignment: int
    piece: int

    def __new__(cls, name: str = "cpu") -> Device:
        if cls is not Device:
            return super().__new__(cls)
        if name == "cpu":
            return super().__new__(Cpu)
        match = re.fullmatch(r"(?:cuda|gpu)(?::(\d{1,9}))?", str(name))
        if match is None:
            raise DeviceError(
                f"there is no device {str(name)[:60]!r}", expected="cpu, cuda, cuda:0, cuda:1, ..."
            )
        return _cuda(int(match[1] or 0))

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Allocate a zeroed array whose memory starts at a multiple of `alignment`."""
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        return self.bytes_(size).view(dtype).reshape(shape)

    def bytes_(self, size: int) -> Any:
        """Allocate this number of zeroed bytes, starting at a multiple of `alignment`."""
        raise NotImplementedError

    def host_empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Allocate an array of the host, of any contents, that is quick to copy to this device."""
        return np.empty(shape, dtype)

    def address(self, array: Any) -> int:
        """Return the address of the array's first byte."""
        raise NotImplementedError

    def alias(self, array: Any) -> Any:
        """Return a one-dimensional array over the memory of a contiguous one.

        Every view of it has it as its base, so it lives for as long as somebody can see the memory
        through it: views of views of `array` itself would have `array` as their base.
        """
        raise NotImplementedError

    def to_host(self, array: Any) -> np.ndarray:
        """Return the values as a NumPy array; no copy on the CPU, and a GPU is waited for."""
        raise NotImplementedError

    def write(self, target: Any, values: Any) -> None:
        """Overwrite the array `target` with numbers from wherever they are, broadcast."""
        raise NotImplementedError

    def current(self) -> contextlib.AbstractContextManager[object]:
        """Send what is launched in this context to this device, in the order of the calls."""
        raise NotImplementedError

    def synchronize(self) -> None:
        """Wait until all that was launched has ended."""

    def memory(self) -> tuple[int, int] | None:
        """Return free and total bytes; None where nobody keeps count."""
        return None

    def __repr__(self) -> str:
        return f"Device({self.name!r})"


class Cpu(Device):
    """The host's processor and memory."""

    name, kind, index, alignment, piece = "cpu", "cpu", 0, 64, 1 << 16
    xp = np

    def bytes_(self, size: int) -> np.ndarray:
        raw = np.zeros(size + self.alignment, np.uint8)
        start = -raw.ctypes.data % self.alignment
        return raw[start : start + size]

    def address(self, array: np.ndarray) -> int:
        return array.ctypes.data

    def alias(self, array: np.ndarray) -> np.ndarray:
        return np.frombuffer(array.reshape(-1).data, array.dtype)

    def to_host(self, array: Any) -> np.ndarray:
        return np.asarray(array)

    def write(self, target: np.ndarray, values: Any) -> None:
        target[...] = on_host(values)

    def current(self) -> contextlib.AbstractContextManager[object]:
        return contextlib.nullcontext()


class Cuda(Device):
    """An NVIDIA GPU, reached through CuPy.

    stream   in which all of minidl's work on this device runs, one thing after the other. It
             keeps its order with the stream that CuPy uses by itself, so a program may compute
             with a blob's arrays between passes and need not wait for anything.
    """

    kind, alignment, piece = "cuda", 256, 1 << 62

    def open(self) -> None:
        """Make the stream."""
        self._device = self.xp.cuda.Device(self.index)
        with self._device:
            self.stream = self.xp.cuda.Stream(non_blocking=False)

    def bytes_(self, size: int) -> Any:
        with self._device, self._memory_error(size):
            return self.xp.zeros(size, np.uint8)

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> Any:
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        with self._device, self._memory_error(size):
            return self.xp.zeros(shape, dtype)

    def host_empty(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        import cupyx

        with self._device:  # pinned: the device reads it by itself, while the host goes on
            array: np.ndarray = cupyx.empty_pinned(shape, dtype)
            return array

    def address(self, array: Any) -> int:
        return int(array.data.ptr)

    def alias(self, array: Any) -> Any:
        with self._device:
            return self.xp.ndarray((array.size,), array.dtype, array.data)

    def to_host(self, array: Any) -> np.ndarray:
        if isinstance(array, self.xp.ndarray):
            with self.current():
                values: np.ndarray = array.get()
                return values
        return np.asarray(array)

    def write(self, target: Any, values: Any) -> None:
        with self.current():
            if isinstance(values, self.xp.ndarray):
                target[...] = values
                return
            host = np.broadcast_to(np.asarray(on_host(values), target.dtype), target.shape)
            if target.flags.c_contiguous:
                target.set(np.ascontiguousarray(host).reshape(target.shape))  # () stays ()
            else:
                target[...] = self.xp.asarray(host)

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        with self._device, self.stream:
            yield

    def synchronize(self) -> None:
        self.stream.synchronize()

    def memory(self) -> tuple[int, int]:
        """Return free and total bytes; what CuPy keeps for later use counts as free."""
        with self._device:
            free, total = self.xp.cuda.runtime.memGetInfo()
            pooled = self.xp.get_default_memory_pool().free_bytes()
        return int(free + pooled), int(total)

    @contextlib.contextmanager
    def _memory_error(self, size: int) -> Iterator[None]:
        try:
            yield
        except self.xp.cuda.memory.OutOfMemoryError as error:
            free, total = self.memory()
            raise DeviceError(
                f"{self.name} has not {bytes_(size)} left: {bytes_(free)} of {bytes_(total)} "
                "are free",
                fix="a smaller batch_size; `minidl check` prints what a net needs",
            ) from error


def on_host(values: Any) -> Any:
    """Return an array of a GPU as one of the host; anything else as it is."""
    return values.get() if hasattr(values, "__cuda_array_interface__") else values


@functools.cache
def _cuda(index: int) -> Cuda:
    """Return the one Cuda of this number; DeviceError says why there is none."""
    cupy = _cupy()
    count = gpu_count(cupy)
    if index >= count:
        names = ", ".join(f"cuda:{i}" for i in range(count))
        raise DeviceError(
            f"there is no device cuda:{index}", expected=f"one of this machine's GPUs: {names}"
        )
    device = object.__new__(Cuda)
    device.name, device.index, device.xp = f"cuda:{index}", index, cupy
    device.open()
    return device


def _cupy() -> ModuleType:
    try:
        import cupy
    except ImportError as error:
        missing = error.name == "cupy"
        found = "CuPy is not installed" if missing else f"CuPy cannot be loaded: {error}"
        raise DeviceError(f"no GPU can be used: {found}", fix=INSTALL) from error
    module: ModuleType = cupy
    return module


def gpu_count(cupy: ModuleType) -> int:
    """Return the number of GPUs, at least 1; a DeviceError says why there is none."""
    try:
        count = int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise DeviceError(
            f"no GPU can be used: the NVIDIA driver answers {str(error).partition(':')[0]}",
            fix="install the driver, or use device='cpu'; `minidl device_query` says what is there",
        ) from error
    if count == 0:
        raise DeviceError("this machine has no NVIDIA GPU", fix="leave out -gpu, or device='cpu'")
    return count


_default = "cpu"
_gpu = 0  # the one that set_mode_gpu means


def set_device(name: str | int) -> None:
    """Choose the device of nets made from now on; nets that exist stay where they are.

    name   as Device takes it. A number, pycaffe's way, only says which GPU `set_mode_gpu` means;
           without any GPU it has no effect, see there
    """
    global _default, _gpu
    if not isinstance(name, int):
        _default = Device(name).name
    elif _has_gpu():
        _gpu = Device(f"cuda:{name}").index
        if _default != "cpu":
            _default = f"cuda:{_gpu}"


def set_mode_cpu() -> None:
    """Do ``set_device("cpu")``, under pycaffe's name."""
    set_device("cpu")


def set_mode_gpu() -> None:
    """Do ``set_device("cuda:0")``, or the GPU that set_device(number) named, as in pycaffe.

    Most programs written for pycaffe say so. On a machine without a GPU they go on with the CPU,
    and a warning says so once, as for ``solver_mode: GPU``.
    """
    if _has_gpu():
        set_device(f"cuda:{_gpu}")


def _has_gpu() -> bool:
    """Return whether there is any GPU; if not, the log says what the CPU does instead."""
    try:
        Device("cuda:0")
    except DeviceError as error:
        _say_of_cpu(error.found)
        return False
    return True


@functools.cache  # once
def _say_of_cpu(found: str) -> None:
    log.warning("the program asks for a GPU, but the CPU computes: %s", found)


def default_device() -> Device:
    """Return the device that `set_device` chose, "cpu" at first."""
    return Device(_default)
