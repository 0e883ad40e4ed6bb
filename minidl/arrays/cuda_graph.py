"""CUDA graphs: a pass is recorded once and launched again as a whole, without Python in between."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

from minidl.arrays.device import Device

log = logging.getLogger("minidl")
SWITCH = "MINIDL_CUDA_GRAPHS"  # in the environment: 0 launches every kernel by itself


@dataclass
class Replay:
    """Work that is the same every time, on one device.

    A small net's kernels take less time than Python needs to launch them. So the first call of
    `run` for a key runs the work as it is (which also lets libraries allocate what they need), the
    second records it as a CUDA graph, and from then on one launch does all of it.

    The work may only launch: addresses are those of the recording for ever. Where it does something
    that cannot be recorded, such as waiting for the device, the reason is logged once, and it is
    run as it is from then on.

    off    why nothing is recorded; "" if it is
    """

    device: Device
    off: str = ""
    _seen: set[Hashable] = field(default_factory=set)
    _graphs: dict[Hashable, Any] = field(default_factory=dict)
    _pool: Any = None

    def __post_init__(self) -> None:
        if self.device.kind != "cuda":
            self.off = f"{self.device.name} has none"
        elif os.environ.get(SWITCH) == "0":
            self.off = f"{SWITCH} is 0"

    def run(self, key: Hashable, work: Callable[[], None]) -> bool:
        """Do the work, or launch what was recorded of it; whether Python ran it.

        key    another one for work of other kernels or addresses
        """
        recorded = key in self._graphs
        if not recorded and key in self._seen and not self.off:
            self._record(key, work)
        if key in self._graphs:
            self._graphs[key].launch(self.device.stream)  # type: ignore[attr-defined]
            return not recorded
        work()
        self._seen.add(key)
        return True

    def forget(self) -> None:
        """Drop all recordings: memory has moved."""
        self._seen.clear()
        self._graphs.clear()
        self._pool = None

    def _record(self, key: Hashable, work: Callable[[], None]) -> None:
        """Keep the work as a graph, without running it; or say why not."""
        cuda, stream = self.device.xp.cuda, self.device.stream  # type: ignore[attr-defined]
        if self._pool is None:
            self._pool = cuda.MemoryPool()  # what array code allocates on the way stays its own
        failure = ""  # in words: an exception kept here would keep the net, by its frames
        graph = None
        with cuda.using_allocator(self._pool.malloc), _no_garbage_collected():
            stream.begin_capture()
            try:
                work()
            except Exception as error:
                failure = _in_words(error)
            finally:  # after Ctrl-C, too: a stream that goes on recording computes nothing
                try:
                    graph = stream.end_capture()
                except Exception as error:
                    failure = failure or _in_words(error)
        if not failure:
            self._graphs[key] = graph
            return
        self.off = failure
        log.warning("CUDA graphs are not used, every kernel is launched by itself: %s", self.off)


@contextlib.contextmanager
def _no_garbage_collected() -> Iterator[None]:
    """Pause garbage collection: the end of an array, stream or graph cannot be recorded."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _in_words(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
