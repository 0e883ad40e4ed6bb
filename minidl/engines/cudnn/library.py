"""cuDNN itself: where its shared library lies, the one opened copy of it, and a handle per device.

Nothing is opened when this module is imported. `opened()` opens the library once and for good, or
says in one sentence why there is none.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import importlib.metadata
import os
from pathlib import Path
from typing import Any

from minidl.arrays.device import Device
from minidl.engines.cudnn import api
from minidl.engines.request import Declined
from minidl.errors import RunError

VARIABLE = "MINIDL_CUDNN_LIB"

NOT_SUPPORTED_8 = (6, 9)  # version 8: the chip is too old; this combination is not implemented
NOT_SUPPORTED_9 = range(3000, 4000)  # version 9: the same, in many kinds


class CudnnError(RunError):
    """A call that the library refused.

    function      "cudnnPoolingForward"
    status        its number
    unsupported   the library or this chip has nothing for such a case; nothing else is wrong
    """

    def __init__(self, function: str, status: int, text: str, unsupported: bool) -> None:
        super().__init__(f"{function} failed with status {status}, {text}")
        self.function, self.status, self.unsupported = function, status, unsupported


class Library:
    """The opened library.

    path      of the file
    version   "9.28.0"; `major` 9
    """

    def __init__(self, path: str, dll: ctypes.CDLL) -> None:
        self.path, self._dll = path, dll
        self.version = version(dll)
        self.major = int(self.version.partition(".")[0])
        self._functions = {name: _prototyped(dll, name) for name in api.SIGNATURES}
        self._last_error = getattr(dll, api.LAST_ERROR, None)
        self._handles: dict[int, tuple[Any, int]] = {}  # device's index: handle, address of stream

    def status(self, name: str, *args: Any) -> int:
        """Call a function and return its status."""
        return self._functions[name](*args)

    def call(self, name: str, *args: Any) -> None:
        """Call a function; raises CudnnError where its status is not success."""
        if status := self._functions[name](*args):
            raise CudnnError(name, status, self.text(status), self.unsupported(status))

    def unsupported(self, status: int) -> bool:
        """Tell whether a status means that this library or chip does not support the case."""
        return status in (NOT_SUPPORTED_9 if self.major >= 9 else NOT_SUPPORTED_8)

    def text(self, status: int) -> str:
        """Put a status in words, with what the library says of the last call, if it does."""
        name = self._functions["cudnnGetErrorString"](status).decode()
        if not self._last_error:
            return name
        buffer = ctypes.create_string_buffer(1000)
        self._last_error(buffer, ctypes.c_size_t(len(buffer)))
        why = buffer.value.decode(errors="replace").strip()
        return f"{name}: {why}" if why else name

    def handle(self, device: Device) -> Any:
        """Return the handle for calls on a device; they work in the current stream.

        One thread at a time may use it. Handles are never destroyed: that would wait for the
        device, and at the end of the process there may be no driver left to do so.
        """
        stream = device.xp.cuda.get_current_stream().ptr
        handle, bound = self._handles.get(device.index) or self._create(device)
        if bound != stream:
            self.call("cudnnSetStream", handle, stream)
            self._handles[device.index] = handle, stream
        return handle

    def _create(self, device: Device) -> tuple[Any, int]:
        handle = api.POINTERS["h"]()
        with device.current():
            self.call("cudnnCreate", ctypes.byref(handle))
        return handle, 0


def opened() -> Library | Declined:
    """Return the library, or why it cannot be used and what to do about it. Never raises."""
    return _opened(os.environ.get(VARIABLE, ""))


def cudnn() -> Library:
    """Return the library, for code that runs only where there is one."""
    library = opened()
    assert isinstance(library, Library), library.reason
    return library


@functools.cache
def _opened(named: str) -> Library | Declined:
    found = _find(named)
    if isinstance(found, Declined):
        return found
    try:
        # The handle is kept for ever: others in the process may have opened the same library.
        dll = ctypes.CDLL(found)
    except OSError as error:
        return Declined(f"{found} cannot be opened: {error}")
    try:
        known = version(dll)
    except AttributeError:
        return Declined(f"{found} is not cuDNN: it has no cudnnGetVersion; {_remedy(named)}")
    try:
        if int(known.partition(".")[0]) in api.MAJORS:
            return Library(found, dll)
    except AttributeError as error:
        lacks = str(error).rpartition(" ")[2]
        return Declined(
            f"{found} is cuDNN {known} without {lacks}, which complete builds of versions 8 and 9 "
            f"have; {_remedy(named)}"
        )
    return Declined(f"{found} is cuDNN {known}; minidl needs version 9 or 8: {_remedy(named)}")


def _find(named: str) -> str | Declined:
    """Find the library's path, or its name where the system's loader knows it.

    In this order: what the environment names; where NVIDIA's own finder looks, which also opens
    the libraries that cuDNN needs; the installed wheel; the system.
    """
    if named:
        missing = f"{VARIABLE} is {named}, not a file: set it to a libcudnn.so.9, or unset it"
        return named if Path(named).is_file() else Declined(missing)
    for path in (_by_pathfinder(), *map(_in_wheel, _wheels())):
        if path:
            return path
    for major in api.MAJORS:
        name = f"libcudnn.so.{major}"
        try:
            ctypes.CDLL(name)
        except OSError as error:
            if not str(error).startswith(f"{name}: cannot open shared object file"):
                return Declined(f"{name} cannot be opened: {error}")
        else:
            return name
    return Declined(f"there is no libcudnn.so.9 (or .8) here: {_remedy('')}")


def _by_pathfinder() -> str | None:
    try:
        pathfinder = importlib.import_module("cuda.pathfinder")  # comes with CuPy
        return pathfinder.load_nvidia_dynamic_lib("cudnn").abs_path
    except (ImportError, RuntimeError):  # it finds none, or not all that this one needs
        return None


def _wheels() -> list[str]:
    """List packages that hold the library, first the one for the CUDA that CuPy was built for."""
    packages = ["nvidia-cudnn-cu13", "nvidia-cudnn-cu12"]
    try:
        importlib.metadata.version("cupy-cuda12x")
    except importlib.metadata.PackageNotFoundError:
        return packages
    return packages[::-1]


def _in_wheel(package: str) -> str | None:
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    names = {f"libcudnn.so.{major}" for major in api.MAJORS}
    paths = (Path(str(file.locate())) for file in files if file.name in names)
    return next((str(path) for path in paths if path.is_file()), None)


def _remedy(named: str) -> str:
    install = f"pip install {_wheels()[0]}"
    return f"{install} and unset {VARIABLE}" if named else f"{install}, or set {VARIABLE} to one"


def version(dll: ctypes.CDLL) -> str:
    """Return "9.28.0" for 92800; before version 9, "8.9.7" for 8907."""
    dll.cudnnGetVersion.restype = ctypes.c_size_t
    number = int(dll.cudnnGetVersion())
    major, rest = divmod(number, 10_000 if number >= 90_000 else 1_000)
    return f"{major}.{rest // 100}.{rest % 100}"


def _prototyped(dll: ctypes.CDLL, name: str) -> Any:
    function = getattr(dll, name)
    codes = api.SIGNATURES[name].replace(" ", "")
    function.argtypes = [api.ARGUMENTS[code] for code in codes]
    function.restype = api.RETURNS.get(name, ctypes.c_int)
    return function
