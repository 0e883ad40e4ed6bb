"""NVIDIA's run-time compiler by itself: it needs neither a GPU nor a driver."""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import importlib.metadata

PACKAGES = ("nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12")


@functools.cache
def library() -> ctypes.CDLL | None:
    """libnvrtc of an installed wheel, or of the system; None without."""
    for name in _candidates():
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def _candidates() -> list[str]:
    found = []
    for package in PACKAGES:
        try:
            files = importlib.metadata.files(package) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found += [str(f.locate()) for f in files if f.name.startswith("libnvrtc.so")]
    system = ctypes.util.find_library("nvrtc")
    return [*found, *([system] if system else [])]


def architectures() -> list[int]:
    """The GPUs that it compiles for: 90 for sm_90."""
    count = ctypes.c_int()
    _check(library().nvrtcGetNumSupportedArchs(ctypes.byref(count)))
    numbers = (ctypes.c_int * count.value)()
    _check(library().nvrtcGetSupportedArchs(numbers))
    return list(numbers)


def quickly() -> list[str]:
    """What makes it optimise little, if it has such an option: a third of the time."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    _check(library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    return ["--Ofast-compile=max"] if major.value >= 13 else []


def compiled(text: str, architecture: int, *options: str) -> bytes:
    """The machine code of a source; an AssertionError holds the compiler's messages."""
    nvrtc, program = library(), ctypes.c_void_p()
    _check(
        nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"test.cu", 0, None, None)
    )
    given = [f"-arch=sm_{architecture}".encode(), *(option.encode() for option in options)]
    status = nvrtc.nvrtcCompileProgram(program, len(given), (ctypes.c_char_p * len(given))(*given))
    assert status == 0, _read(program, "ProgramLog").decode()
    code = _read(program, "CUBIN")
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return code


def _read(program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    _check(getattr(library(), f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    text = ctypes.create_string_buffer(size.value)
    _check(getattr(library(), f"nvrtcGet{what}")(program, text))
    return text.raw


def _check(status: int) -> None:
    assert status == 0, f"NVRTC answered {status}"
