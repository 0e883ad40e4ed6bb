"""A fake cuDNN: the functions that minidl uses, on "device memory" that is the host's.

    fake = cudnn.install(monkeypatch, gpu)     # gpu: what fakegpu.install returned
    fake.decline("forward", "winograd")        # from now on this chip does not have it

It is a shared library with cuDNN's symbols, built by a C++ compiler from the files beside this
one, and minidl's own binding opens it as it would the real one. Operations are plain loops over
doubles that read and write half, bfloat16 or float; what the documentation does not promise is
done in the least convenient way: workspace is left full of NaN, a tie in a maximum goes to the
last, measuring overwrites the output. Descriptors refuse what cuDNN 9.28 was seen to refuse.
Every call goes through the fake GPU's streams, so graphs capture it and lazy streams delay it.

What it cannot show: which algorithms a real chip has, their workspace, their speed, their rounding.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from minidl.engines.cudnn import api, library

HERE = Path(__file__).parent
FLAGS = ["-std=c++17", "-O1", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra"]
PASSES = {  # as fake_cudnn_decline numbers them
    "forward": (0, api.FORWARD_ALGORITHMS),
    "backward data": (1, api.BACKWARD_DATA_ALGORITHMS),
    "backward filter": (2, api.BACKWARD_FILTER_ALGORITHMS),
}


class Area(ctypes.Structure):
    _fields_ = [("start", ctypes.c_void_p), ("bytes", ctypes.c_size_t)]


Driver = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_long, ctypes.c_void_p, ctypes.c_long, ctypes.POINTER(Area)
)


class Work:
    """What a call is to do, as a function; forgotten where nobody can ask for it any more."""

    def __init__(self, dll, number) -> None:
        self._dll, self._number = dll, ctypes.c_long(number)

    def __call__(self) -> None:
        self._dll.fake_cudnn_run(self._number)

    def __del__(self) -> None:
        self._dll.fake_cudnn_forget(self._number)


class FakeCudnn:
    """The library on a fake GPU; what `install` returns.

    path   of the shared library
    """

    def __init__(self, gpu) -> None:
        self.path, self._gpu = built(), gpu
        self._dll = ctypes.CDLL(str(self.path))
        self._driver = Driver(self._drive)
        self._dll.fake_cudnn_reset()
        self._dll.fake_cudnn_set_driver(self._driver)

    def decline(self, way: str, algorithm: str, off: bool = True) -> None:
        """This chip does not have an algorithm of a pass ("forward", "backward data", ...)."""
        number, names = PASSES[way]
        self._dll.fake_cudnn_decline(number, names.index(algorithm), int(off))

    def objects(self) -> int:
        """Handles and descriptors that exist."""
        self._dll.fake_cudnn_objects.restype = ctypes.c_long
        return int(self._dll.fake_cudnn_objects())

    def works(self) -> int:
        """Calls whose work may still have to be done: in graphs, or waiting in a stream."""
        self._dll.fake_cudnn_works.restype = ctypes.c_long
        return int(self._dll.fake_cudnn_works())

    def close(self) -> None:
        """Do work at once again, and let minidl look for a library anew."""
        library._opened.cache_clear()
        self._dll.fake_cudnn_reset()
        self._dll.fake_cudnn_set_driver(Driver())

    def _drive(self, number, stream, count, touched) -> int:
        """A call of cuDNN's: its work belongs into a stream. Nothing may be raised through C."""
        try:
            current = self._gpu.stream
            assert (stream or 0) == current.ptr, "the handle is bound to another stream"
            if number < 0:
                current.synchronize()
                return 0
            work = Work(self._dll, number)
            self._gpu.submit(work, *(self._memory(touched[i]) for i in range(count)))
            return 0
        except BaseException as error:
            self._dll.fake_cudnn_explain(f"{type(error).__name__}: {error}".encode())
            return 1

    def _memory(self, area: Area):
        found = self._gpu.heap.find(area.start, area.bytes)
        assert found is not None, (
            f"{area.bytes} bytes at {area.start:#x} are not in one piece of device memory"
        )
        return found


def install(monkeypatch, gpu) -> FakeCudnn:
    """Let minidl find the fake until `monkeypatch` is undone; `close()` it then."""
    fake = FakeCudnn(gpu)
    monkeypatch.setenv(library.VARIABLE, str(fake.path))
    library._opened.cache_clear()
    return fake


@functools.cache
def built() -> Path:
    """The shared library; kept in a folder for temporary files, under a name made of its source."""
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler (g++ or c++) to build the fake cuDNN with")
    sources = sorted(HERE.glob("*.cpp"))
    text = "\0".join([compiler, *FLAGS, *(p.read_text() for p in [*sources, *HERE.glob("*.h")])])
    digest = hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
    folder = Path(tempfile.gettempdir()) / f"minidl-fake-cudnn-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    made = folder / f"{digest}.so"
    if not made.exists():
        with tempfile.TemporaryDirectory(dir=folder) as private:
            _build(compiler, sources, Path(private)).replace(made)  # in one step: see parallel runs
    return made


def _build(compiler: str, sources: list[Path], folder: Path) -> Path:
    """All sources at once, then together."""
    objects = [folder / f"{source.stem}.o" for source in sources]
    runs = [
        subprocess.Popen([compiler, *FLAGS, "-c", source, "-o", into], stderr=subprocess.PIPE)
        for source, into in zip(sources, objects, strict=True)
    ]
    problems = b"".join(run.communicate()[1] for run in runs)
    assert not any(run.returncode for run in runs), problems.decode()
    subprocess.run([compiler, "-shared", *objects, "-o", folder / "made.so"], check=True)
    return folder / "made.so"
