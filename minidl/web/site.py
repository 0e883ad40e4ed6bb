"""What one server knows: the jobs below its root, their figures, and who is looking."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minidl.errors import MinidlError
from minidl.runs import job
from minidl.web import demo, machine, paths, queue, summary
from minidl.web.asker import Asker
from minidl.web.figures import Figures
from minidl.web.form import Places
from minidl.web.index import Index
from minidl.web.problems import Conflict, NotFound
from minidl.web.stream import Board, Tails
from minidl.web.tree import Entry, Tree

log = logging.getLogger("minidl.web")

EVERY_S = 1.0  # between two looks at the folders while somebody looks or a job runs
SYSTEM_S = 2.0  # between two looks at the machine
FRESH_S = 0.5  # so old may be what a request is answered with
QUIET_S = 10.0  # without anything to do, until memory is given back
KEPT = 24  # runs whose curves stay in memory
PATIENCE_S = 0.25  # for the exact curves of a request
FAR = 1 << 23  # bytes that are too many to wait for
LARGE = 1 << 20  # bytes of an event file whose curves are worth storing
SLICE = 1 << 18  # bytes that are read before others have their turn
POLITE_S = 0.2  # that reading rests when somebody waits for an answer


@dataclass(frozen=True)
class Options:
    """What `minidl serve` was told.

    root           resolved
    program        words that begin every command line: python -m minidl
    data_roots     folders that forms may name, resolved; the root is one of them
    demo           whether to begin the demonstration
    version        of minidl
    helper         words that start the process that answers questions
    slots          trainings that may run at a time without a GPU
    allow_python   whether jobs may run Python layers
    """

    root: Path
    program: tuple[str, ...]
    data_roots: tuple[Path, ...] = ()
    slots: int = 1
    allow_python: bool = False
    demo: bool = False
    version: str = ""
    helper: tuple[str, ...] = ()


class Site:
    """The state of a server. Everything but `Figures` is used from the event loop alone."""

    def __init__(self, options: Options) -> None:
        self.options, self.root = options, options.root
        self.roots = tuple(dict.fromkeys((options.root, *options.data_roots)))
        self.index = Index(self.root / paths.HIDDEN / "index.sqlite")
        self.tree, self.board, self.tails = Tree(self.root), Board(), Tails()
        self.places = Places(self.root, self.roots, options.allow_python)
        self.queue = queue.Queue(
            self.root,
            options.program,
            queue.Lanes.of(options.slots),
            changed=self.wake,
            allow_python=options.allow_python,
        )
        self.summaries: dict[str, dict[str, Any]] = {}
        self._facts: dict[str, tuple[str, dict[str, Any]]] = {}
        self._figures: OrderedDict[str, Figures] = OrderedDict()
        self.fresh_s, self._asked = FRESH_S, -math.inf
        self._looked, self._looking = 0.0, asyncio.Lock()
        self._wake, self._tasks = asyncio.Event(), set[asyncio.Task[Any]]()
        self._reading, self._queueing = asyncio.Semaphore(1), asyncio.Lock()
        self._behind: OrderedDict[str, Entry] = OrderedDict()
        self._more = asyncio.Event()

    # ------------------------------------------------------------------ its life

    @contextlib.asynccontextmanager
    async def open(self) -> Any:
        """Watch the folders while the server runs."""
        self._loop = asyncio.get_running_loop()
        options = self.options
        self.asker = Asker(options.program, options.helper, self.root, options.allow_python)
        gpus = [gpu["id"] for gpu in await asyncio.to_thread(machine.devices)][1:]
        self.queue.lanes = queue.Lanes.of(options.slots, gpus)
        if options.demo:
            demo.begin(self.root, self.queue.last_place())
        self.start(self._watch())
        self.start(self._read_on())
        self.start(self._feel())
        self.wake()
        try:
            yield self
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self.asker.close()
            self.queue.leave()
            self.index.close()

    def start(self, work: Any) -> asyncio.Task[Any]:
        """Run a coroutine beside the requests, and say on the terminal if it fails."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("a task of the server failed", exc_info=error)

    @property
    def busy(self) -> bool:
        """Whether the folders have to be looked at again and again."""
        waiting = any(one["state"] == job.WAITING for one in self.summaries.values())
        return bool(len(self.board)) or self.queue.busy or waiting

    def wake(self) -> None:
        """Look at the folders soon; may be called from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is at its end
            self._loop.call_soon_threadsafe(self._wake.set)

    async def _feel(self) -> None:
        """Tell those who look how the machine is."""
        while True:
            await self.board.some.wait()
            found = await asyncio.to_thread(machine.system, self.root)
            self.board.post("system", "", found)
            await asyncio.sleep(SYSTEM_S)

    async def _watch(self) -> None:
        """Look at the folders while there is a reason to; else wait without a timer."""
        while True:
            if not self.busy:
                await self._rest()
            self._wake.clear()
            try:
                await self._turn()
            except (OSError, MinidlError) as error:
                log.error("the folders cannot be looked at", exc_info=error)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._wake.wait(), EVERY_S)

    async def _rest(self) -> None:
        """Wait for something to do; after a while give back the memory of curves, which the index
        or the files bring again."""
        while not self._wake.is_set():
            asked = time.monotonic() - self._asked < QUIET_S or self._behind
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._wake.wait(), QUIET_S)
                return
            if not asked:
                self._figures.clear()
                await asyncio.to_thread(machine.give_back)
                await self._wake.wait()

    # ------------------------------------------------------------------ jobs

    async def turn(self, fresh_s: float = 0.0) -> None:
        """Look at the jobs, start what can start, and take note of what has ended; then go on
        doing so while there is a reason to."""
        await self._turn(fresh_s)
        if self.busy:
            self.wake()

    async def _turn(self, fresh_s: float = 0.0) -> None:
        await self.look(fresh_s)
        if await self.with_queue(self.queue.step, self.summaries):
            await self.look()
        for name, one in list(self.summaries.items()):
            if one["why"] != self.queue.why.get(name, ""):
                self._put(name, dict(one))

    async def with_queue(self, work: Any, *args: Any) -> Any:
        """Do something with the queue, in a thread; others wait."""
        async with self._queueing:
            return await asyncio.to_thread(work, *args)

    async def look(self, fresh_s: float = 0.0) -> None:
        """Bring the summaries up to date, if they are older than `fresh_s`; tell who looks."""
        async with self._looking:
            if time.monotonic() - self._looked < fresh_s:
                return
            changed, gone = await asyncio.to_thread(self.tree.look)
            self._looked = time.monotonic()
            running = {name for name, one in self.summaries.items() if one["state"] == job.RUNNING}
            for name in gone:
                self.summaries.pop(name, None)
                self._figures.pop(name, None)
                self._facts.pop(name, None)
                self.board.post("gone", name, name)
            await self._sum_up(changed | (running - gone))

    async def _sum_up(self, names: Iterable[str]) -> None:
        """Make the summaries of some jobs anew; inside the lock of `look`, so that none is lost."""
        known = [name for name in names if name in self.tree.entries]
        found = await asyncio.to_thread(self._summarized, known)
        for name, one in found.items():
            self._put(name, one)

    def _summarized(self, names: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return the summaries of some jobs (in a thread)."""
        found = {}
        for name in names:
            entry = self.tree.entries[name]
            found[name] = summary.of(self.root, entry, self._facts_now(entry))
        return found

    def _put(self, name: str, one: dict[str, Any]) -> None:
        one["why"] = self.queue.why.get(name, "")
        if self.summaries.get(name) != one:
            self.summaries[name] = one
            self.board.post("job", name, one)

    def _facts_now(self, entry: Entry) -> dict[str, Any]:
        """Return the facts of a job's curves as they are known now; have the rest read."""
        if entry.events is None:
            return {}
        mark = _mark(entry)
        known = self._facts.get(entry.id)
        if known and known[0] == mark:
            return known[1]
        figures = self._figures.get(entry.id)
        if figures is None and known is None and (found := self.index.facts(entry.id, mark)):
            self._facts[entry.id] = (mark, found)
            return found
        if figures is not None and not figures.look(SLICE):
            found = figures.facts()
            self._facts[entry.id] = (mark, found)
            return found
        self._behind[entry.id] = entry
        self._more_soon()
        return known[1] if known else {}

    def _more_soon(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is at its end
            self._loop.call_soon_threadsafe(self._more.set)

    async def _read_on(self) -> None:
        """Read event files that nobody has read yet, one after the other."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._behind:
                name, _ = self._behind.popitem(last=False)
                entry = self.tree.entries.get(name)
                if entry is None or entry.events is None:
                    continue
                try:
                    await self.read(entry)
                except Exception as error:  # of one file; the others are still to be read
                    log.error("%s cannot be read", entry.events, exc_info=error)
                    self._facts[name] = (_mark(entry), {})  # not again before it changes
                async with self._looking:
                    await self._sum_up([name])

    async def read(self, entry: Entry) -> Figures:
        """Return the figures of a run, read to the end, in slices between which others run."""
        figures = await self.figures(entry)
        mark, begun = _mark(entry), figures.offset
        async with self._reading:
            while await asyncio.to_thread(figures.look, SLICE):
                # Those who wait for an answer have both threads' turns for a moment.
                polite = time.monotonic() - self._asked < POLITE_S
                await asyncio.sleep(POLITE_S if polite else 0.002)
        await self.take_facts(entry, figures, mark)
        if figures.offset - begun > LARGE:
            state, data = await asyncio.to_thread(figures.dump)
            await asyncio.to_thread(self.index.keep_figures, entry.id, state, data)
        return figures

    async def take_facts(self, entry: Entry, figures: Figures, mark: str = "") -> None:
        """Keep what a summary says of figures that are complete."""
        facts = await asyncio.to_thread(figures.facts)
        mark = mark or _mark(entry)
        self._facts[entry.id] = (mark, facts)
        await asyncio.to_thread(self.index.keep_facts, entry.id, mark, facts)

    async def figures(self, entry: Entry) -> Figures:
        """Return the figures of a run, as far as they are read; those used last stay in memory."""
        if entry.events is None:
            raise NotFound("has no events and no log", where=entry.id)
        figures = self._figures.get(entry.id)
        if figures is None or figures.path != entry.events:
            figures = Figures(entry.events)
            stored = await asyncio.to_thread(self.index.figures, entry.id)
            if stored:
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    await asyncio.to_thread(figures.restore, *stored)
            figures = self._figures.setdefault(entry.id, figures)
        self._figures.move_to_end(entry.id)
        while len(self._figures) > KEPT:
            self._figures.popitem(last=False)
        return figures

    async def figures_soon(self, entry: Entry) -> tuple[Figures, bool]:
        """Return the figures of a run, and whether they are complete; the rest follows."""
        self._asked = time.monotonic()
        figures = await self.figures(entry)
        end = time.monotonic() + PATIENCE_S
        if figures.left() > FAR:
            end = 0.0
        while not end or await asyncio.to_thread(figures.look, SLICE):
            if time.monotonic() > end:
                self._behind[entry.id] = entry
                self._more.set()
                return figures, False
        return figures, True

    async def entry(self, name: str) -> Entry:
        """Return the job with this id. Errors: NotFound, Forbidden."""
        paths.job_folder(self.root, name)
        known = self.tree.entries.get(name)
        if known is None:
            await self.look()
        elif known.events is None:  # it may have begun since
            await self.look(self.fresh_s)
        if name not in self.tree.entries:
            raise NotFound("there is no such job", where=name)
        return self.tree.entries[name]

    async def own(self, name: str) -> Entry:
        """Return a job that may be changed. Errors: Conflict for an adopted one; NotFound."""
        entry = await self.entry(name)
        if entry.adopted:
            raise Conflict(
                "was not made by a command that keeps a job.json, so it is only shown",
                where=name,
            )
        return entry

    async def split(self, both: str) -> tuple[str, str]:
        """Return the id and the rest of ID/PATH: the longest id there is."""
        parts = both.split("/")
        for fresh_s in (self.fresh_s, 0.0):
            await self.look(fresh_s)
            for cut in range(len(parts) - 1, 0, -1):
                name = "/".join(parts[:cut])
                if name in self.tree.entries:
                    return name, "/".join(parts[cut:])
        raise NotFound("there is no such job", where=both)

    async def summary(self, name: str) -> dict[str, Any]:
        """Return the summary of a job as it is now."""
        entry = await self.entry(name)
        await self.look(self.fresh_s)
        found = self.summaries.get(name)
        if found is None:
            found = summary.of(self.root, entry, self.facts(name))
        return found

    def facts(self, name: str) -> dict[str, Any]:
        """Return what is known of a job's curves."""
        return self._facts.get(name, ("", {}))[1]

    def dependants(self, name: str) -> list[str]:
        """Return the ids of jobs that need this one."""
        return sorted(
            other
            for other, one in self.summaries.items()
            if name in one["parents"].values() and other != name
        )


def _mark(entry: Entry) -> str:
    """Return what tells one version of a job's event file from another."""
    path = entry.events
    name = path.name if path else ""
    return ":".join(str(part) for facts in entry.signature if facts[0] == name for part in facts)
