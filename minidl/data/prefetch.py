"""Make numbered items ahead of their use, in a thread of its own."""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from minidl.errors import RunError

T = TypeVar("T")
PATIENCE_S = 5.0  # for a thread that is asked to stop: it may wait for a slow disk
# A signal that comes as the main thread begins to wait for a lock is not seen until it wakes.
LOOK_S = 1


class Prefetcher(Generic[T]):
    """``get(n)``, ``get(n + 1)``, ...: a thread keeps at most `depth` items ready.

    make   ``make(n, spare)`` returns item n, a pure function of n; `spare` is an item no longer in
           use whose memory it may reuse, or None. It must not hold on to the Prefetcher.
    depth  how many items may be ready; one more is in use, and one being made

    Any number other than the next one starts again from there. What `make` raises is raised by
    the `get` or `peek` that wanted that item, in the thread that asked; asking again tries again.

    Neither Ctrl-C in a waiting `get` nor the end of the interpreter hangs: the thread is a daemon,
    is told to stop by `close`, at exit, or when the Prefetcher is garbage, whichever comes first.
    """

    def __init__(self, make: Callable[[int, T | None], T], depth: int, name: str = "") -> None:
        self._make, self._depth, self._name = make, depth, name
        self._run: _Run[T] | None = None
        self._stop: Callable[[], object] = lambda: None
        self._used: T | None = None

    def get(self, number: int) -> T:
        """Return item `number`; it is in use, and not overwritten, until the next `get`."""
        run = self._running(number)
        item = self._wait(run)
        run.take(spare=self._used)
        self._used = item
        return item

    def take(self, number: int) -> T:
        """Return item `number`, in use until it is given back."""
        run = self._running(number)
        item = self._wait(run)
        run.take(spare=None)
        return item

    def give_back(self, item: T) -> None:
        """Let the thread overwrite an item that `take` gave."""
        if self._run is not None:
            self._run.offer(item)

    def ready(self, number: int) -> bool:
        """Return whether item `number` is the next one and ready."""
        return self._run is not None and self._run.holds(number)

    def peek(self, number: int) -> T:
        """Return item `number`, which stays the next one."""
        return self._wait(self._running(number))

    def close(self) -> None:
        """Stop the thread and release all items; `get` starts again."""
        self._stop()
        self._run = self._used = None

    def _running(self, number: int) -> _Run[T]:
        if self._run is None or not self._run.offers(number):
            self.close()
            self._run = _Run(self._make, number, self._depth, self._name)
            self._stop = weakref.finalize(self, self._run.stop)
            self._start(self._run)
        return self._run

    def _start(self, run: _Run[T]) -> None:
        try:
            run.thread.start()
        except RuntimeError as error:  # the system has no more for this user or container
            self.close()
            raise RunError(
                f"a thread that reads ahead cannot be started: {error}",
                where=self._name,
                fix="close other nets (net.close()), or raise the limit (ulimit -u)",
            ) from None

    def _wait(self, run: _Run[T]) -> T:
        try:
            return run.wait()
        except Exception:
            self.close()
            raise


class _Run(Generic[T]):
    """One thread and what it shares with its Prefetcher, from one starting number onwards."""

    def __init__(
        self, make: Callable[[int, T | None], T], first: int, depth: int, name: str
    ) -> None:
        self._make, self._depth = make, depth
        self._making = first  # number of the item being made, or to be made next
        # Reentrant: garbage collection may call `stop` in a thread that is inside of it.
        self._changed = threading.Condition(threading.RLock())
        self._ready: deque[tuple[int, T]] = deque()
        self._spares: list[T] = []
        self._error: BaseException | None = None
        self._stopped = threading.Event()
        self.thread = threading.Thread(target=self._work, name=name, daemon=True)

    def offers(self, number: int) -> bool:
        """Return whether `wait` gives item `number` (Ctrl-C may have lost one that was taken)."""
        with self._changed:
            return (self._ready[0][0] if self._ready else self._making) == number

    def holds(self, number: int) -> bool:
        """Return whether item `number` is ready and the next one."""
        with self._changed:
            return bool(self._ready) and self._ready[0][0] == number

    def offer(self, spare: T) -> None:
        """Let `spare` be overwritten from now on."""
        with self._changed:
            if not self._stopped.is_set():
                self._spares.append(spare)

    def wait(self) -> T:
        """Return the next item, once it is ready."""
        with self._changed:
            while not self._ready:
                if self._error is not None:
                    raise self._error
                self._changed.wait(LOOK_S)
            return self._ready[0][1]

    def take(self, spare: T | None) -> None:
        """Remove the item that `wait` gave; `spare` may be overwritten from now on."""
        with self._changed:
            self._ready.popleft()
            if spare is not None:
                self._spares.append(spare)
            self._changed.notify_all()

    def stop(self) -> None:
        with self._changed:
            self._stopped.set()
            self._ready.clear()
            self._spares.clear()
            self._changed.notify_all()
        if self.thread.is_alive() and self.thread is not threading.current_thread():
            self.thread.join(PATIENCE_S)

    def _work(self) -> None:
        while True:
            with self._changed:
                while len(self._ready) >= self._depth and not self._stopped.is_set():
                    self._changed.wait()
                if self._stopped.is_set():
                    return
                spare = self._spares.pop() if self._spares else None
            try:
                item = self._make(self._making, spare)
            except BaseException as error:  # it belongs to whoever asks for the item
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                return
            with self._changed:
                if self._stopped.is_set():
                    return
                self._ready.append((self._making, item))
                self._making += 1
                self._changed.notify_all()
            del item, spare  # not kept alive while waiting
