"""oneDNN itself: where its shared library lies, and the one opened copy of it.

Nothing is opened when this module is imported. `opened()` opens the library once and for good, or
says in one sentence why there is none.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

from minidl.engines.onednn import api
from minidl.engines.request import Declined
from minidl.errors import RunError

PACKAGE = "onednn-cpu-gomp"
VARIABLE = "MINIDL_DNNL_LIB"

# 1 more in each forked child. There the library's worker threads are gone, and whatever was made
# for several threads would wait for them for ever: it has to be made again.
generation = 0


class DnnlError(RunError):
    """A call that the library refused."""

    def __init__(self, function: str, status: int) -> None:
        what = api.STATUS.get(status, "unknown")
        super().__init__(f"oneDNN's dnnl_{function} failed with status {status}: {what}")
        self.status = status


class Handle:
    """An object of the library; it is destroyed with this one. Passed to calls as it is."""

    __slots__ = ("_as_parameter_", "_destroy")

    def __init__(self, value: int, destroy: Any) -> None:
        self._as_parameter_, self._destroy = ctypes.c_void_p(value), destroy

    def __del__(self) -> None:
        self._destroy(self._as_parameter_)


class Library:
    """The opened library.

    path      of the file
    version   "3.2.0"
    isa       the widest instruction set that it uses on this machine: "avx512_core_amx"
    bf16      whether that multiplies bfloat16 numbers; `amx` whether in tiles, much faster
    engine, stream   the handles every primitive needs; they live as long as the process
    execute   the foreign function dnnl_primitive_execute
    """

    def __init__(self, path: Path, dll: ctypes.CDLL) -> None:
        self.path, self._dll = path, dll
        self.version = ".".join(map(str, _version(dll)))
        for name, codes in api.SIGNATURES.items():
            function = getattr(dll, f"dnnl_{name}")
            function.argtypes = [api.TYPES[code] for code in codes]
            function.restype = api.RETURNS.get(name, ctypes.c_int)
        bits = self.ask("get_effective_cpu_isa")
        self.isa = api.ISA_NAMES.get(bits, f"isa {bits:#x}")
        self.bf16, self.amx = (bits & has == has for has in (api.ISA_BF16, api.ISA_AMX))
        self.execute = dll.dnnl_primitive_execute
        self.engine = self._create("engine_create", api.CPU, 0)
        self.stream = self._create("stream_create", self.engine, api.IN_ORDER)

    def ask(self, name: str, *args: Any) -> Any:
        """Call a function and return its result."""
        return getattr(self._dll, f"dnnl_{name}")(*args)

    def call(self, name: str, *args: Any) -> None:
        """Call a function that returns a status; raises DnnlError where it is not success."""
        if status := self.ask(name, *args):
            raise DnnlError(name, status)

    def make(self, kind: str, function: str, *args: Any) -> Handle:
        """Return the new object of a kind ("memory_desc") that a function makes."""
        value = self._create(function, *args).value
        assert value is not None, f"dnnl_{function} succeeded and made nothing"
        return Handle(value, getattr(self._dll, f"dnnl_{kind}_destroy"))

    def threads(self) -> int:
        """Return how many threads a primitive made now by this thread will use."""
        return int(self._dll.omp_get_max_threads())

    def set_threads(self, count: int) -> None:
        """Set the number for what this thread makes from now on; in a forked child always one."""
        self._dll.omp_set_num_threads(1 if generation else count)

    def _create(self, function: str, *args: Any) -> ctypes.c_void_p:
        handle = ctypes.c_void_p()
        self.call(function, ctypes.byref(handle), *args)
        return handle


@functools.cache
def opened() -> Library | Declined:
    """Return the library, or why it cannot be used and what to do about it. Never raises."""
    path = _find()
    if isinstance(path, Declined):
        return path
    try:
        # The handle is kept for ever: closing it under its own waiting threads ends the process.
        dll = ctypes.CDLL(str(path))
    except OSError as error:
        return _not_loaded(path, str(error))
    try:
        major, *rest = _version(dll)
        if major != api.MAJOR:
            found = ".".join(map(str, (major, *rest)))
            return Declined(f"{path} is oneDNN {found}; minidl needs 3.x: pip install {PACKAGE}")
        dll.omp_get_max_threads.restype = ctypes.c_int
        dll.omp_set_num_threads.argtypes = [ctypes.c_int]
        library = Library(path, dll)
    except AttributeError as error:
        what = "is not a oneDNN 3.x built for OpenMP"
        return Declined(f"{path} {what} ({error}): pip install {PACKAGE}")
    except DnnlError as error:
        return Declined(f"{path} does not start: {error}")
    os.register_at_fork(after_in_child=_in_child)
    return library


def dnnl() -> Library:
    """Return the library, for code that runs only where there is one."""
    library = opened()
    assert isinstance(library, Library), library.reason
    return library


def _find() -> Path | Declined:
    """Find libdnnl.so.3: where the environment says, otherwise in the installed wheel."""
    if named := os.environ.get(VARIABLE):
        path = Path(named)
        missing = f"{VARIABLE} is {named}, not a file: set it to a libdnnl.so.3, or unset it"
        return path if path.is_file() else Declined(missing)
    if platform.machine() not in ("x86_64", "AMD64"):
        return Declined(
            f"there is no oneDNN wheel for {platform.machine()}: "
            f"set {VARIABLE} to the path of a libdnnl.so.3 built for it"
        )
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return Declined(f"{PACKAGE} is not installed: pip install {PACKAGE}")
    for file in files:
        path = Path(str(file.locate()))
        if file.name == f"libdnnl.so.{api.MAJOR}" and path.is_file():
            return path
    return Declined(
        f"{PACKAGE} is installed without its library, as pip install --target does: install it "
        f"into an environment, or set {VARIABLE} to the libdnnl.so.3 from its wheel"
    )


def _not_loaded(path: Path, why: str) -> Declined:
    if "libgomp" in why:
        return Declined(f"{path} needs libgomp.so.1: install the system's libgomp (libgomp1)")
    return Declined(f"{path} cannot be loaded: {why}")


def _version(dll: ctypes.CDLL) -> tuple[int, int, int]:
    dll.dnnl_version.restype = ctypes.POINTER(api.Version)
    version = dll.dnnl_version().contents
    return version.major, version.minor, version.patch


def _in_child() -> None:
    global generation
    generation += 1
    dnnl().set_threads(1)
