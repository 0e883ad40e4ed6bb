"""A schedule with memory: the calls of a net's forward and backward, ready to run."""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from minidl.arrays.arena import Arena
from minidl.arrays.blob import Blob, Param
from minidl.arrays.device import Device
from minidl.arrays.home import USER, Home
from minidl.arrays.memory import Layout, Memory, padded, place
from minidl.arrays.units import bytes_
from minidl.engines.plan import Bindings, Run
from minidl.errors import DeviceError, UsageError
from minidl.net.access import Left, part
from minidl.net.layout import Array, Copy
from minidl.net.schedule import Schedule, Step, name_of, saved_name

Runs = tuple[Run, ...]
Part = tuple[list[tuple[Home, int]], dict[Home, Left]]  # see minidl.net.access.part


class Program:
    """The calls of one net for one schedule.

    blobs     by name, as users see them; made by the net, with views already set up
    params    by owner's key
    old       the program that this one replaces: what its forward left for its backward is taken
              over, where this one has the same
    arena     where parameters that the net learns live

    forward[i], backward[i]   what to call for layer i, in order; nothing for one that is idle
    feeding[i]   the part of forward[i] that brings data in from outside: a layer without bottoms
    step         the step that ran last: contents of shared memory are what it left

    Steps are numbered as in Walk. Code that calls some of them, one after the other, does so while
    they are `running`: before and after, arrays that users hold are taken and given.
    """

    def __init__(
        self,
        schedule: Schedule,
        blobs: Mapping[str, Blob],
        params: Mapping[str, Param],
        device: Device,
        dtype: Any,
        old: Program | None = None,
        arena: Arena | None = None,
    ) -> None:
        self.schedule, self.blobs, self.device, self.dtype = schedule, blobs, device, dtype
        self.step = -1
        self.forward: list[Runs] = []
        self.backward: list[Runs] = []
        self.feeding: list[Runs] = []
        if old is None:
            self._check_room()
        with device.current():
            self._block = device.bytes_(schedule.memory.total)
            self._pool = device.bytes_(schedule.scratch)
            self._arrange(params, arena)
            self._memories = self._make_memories()
            self._homes = self._house()
            if old is not None:
                self._take_over(old)
            for i, step in enumerate(schedule.steps):
                self._bind(i, step)
        self._generations = self._ages()
        self._parts: dict[tuple[int, int], Part] = {}
        self._pending: list[Home] = []
        self._lent: list[Home] = []
        self._seen = -1  # Home.changes at the last look for the two

    def _ages(self) -> list[int]:
        return [engine.generation for engine in self.schedule.engines]

    @property
    def fits(self) -> bool:
        """Whether it may still run: not in a forked process, nor if a parameter has moved because
        another net that has it, too, arranged it again."""
        return self._ages() == self._generations and all(
            param.values.memory is memory for param, memory in self._params
        )

    # ------------------------------------------------------------------ memory

    def _check_room(self) -> None:
        """Refuse a device that has not enough memory, before any of it is taken."""
        needed, room = self.schedule.nbytes, self.device.memory()
        if room is None or needed <= room[0]:
            return
        batch = self.schedule.batch
        fits = batch * room[0] // needed
        raise DeviceError(
            f"the net needs {bytes_(needed)} for its blobs at a batch of {batch}, and "
            f"{self.device.name} has {bytes_(room[0])} of {bytes_(room[1])} free",
            fix=f"a batch_size of {fits} would fit" if fits else "there is no room for one item",
        )

    def _arrange(self, params: Mapping[str, Param], arena: Arena | None) -> None:
        """Bring every parameter into the layout that its plan wants, in the arena if it has one."""
        layouts: dict[Param, Any] = {params[key]: x for key, x in self.schedule.params.items()}
        inside = set(arena.params) if arena is not None else set()
        for param, layout in layouts.items():
            if layout is None and param.borrowed and param.values.memory.layout is not None:
                param.values.plain_only = True  # or two nets would arrange it in turns
            if param.borrowed or param not in inside:
                param.arrange(layout)
        if arena is not None:
            arena.gather(layouts)
        self._params = [(param, param.values.memory) for param in params.values()]
        self._gradients = {param.gradient for param in params.values()}

    def _make_memories(self) -> list[Memory]:
        memories: list[Memory] = []
        self._seen_by_users = self._shown()
        for array in self.schedule.walk.arrays:
            if array.base is not None:
                base = memories[array.base]
                same = array.layout is not None
                values = base.array if same else base.array.reshape(array.shape)
                memories.append(self._memory(array.shape, array.layout, values))
            elif name_of(array) in self.schedule.memory.offsets:
                memories.append(self._planned(array))
            elif array.number in self._seen_by_users:
                values = self._home_of(array.number).array().reshape(array.shape)
                memories.append(self._memory(array.shape, None, values))
            else:
                memories.append(place(array.shape, array.layout, self.dtype, self.device))
        return memories

    def _shown(self) -> dict[int, Home]:
        """Return the arrays that users see themselves: plain, where a blob is after a pass, and
        read by no plan that counts on what its forward left there."""
        walk = self.schedule.walk
        shown: dict[Home, int] = {}
        for number in walk.homes.values():
            array = walk.arrays[number]
            planned = name_of(array) in self.schedule.memory.offsets
            own = array.base is None and not planned and number not in self.schedule.private
            if own and array.layout is None:
                shown.setdefault(self._home_of(number), number)
        return {number: home for home, number in shown.items()}

    def _home_of(self, number: int) -> Home:
        """Return the owner of the values that this array may hold."""
        array = self.schedule.walk.arrays[number]
        return self.blobs[array.blob].home(array.kind)

    def _house(self) -> list[Home]:
        """Let every blob's values live in the arrays of this program; those that may need care."""
        places: dict[Home, dict[int, Memory]] = {}
        refusals: dict[Home, dict[int, Any]] = {}
        for array, memory in zip(self.schedule.walk.arrays, self._memories, strict=True):
            if array.base is not None:
                continue
            home = self._home_of(array.number)
            places.setdefault(home, {})[array.number] = memory
            if self.schedule.share and name_of(array) in self.schedule.memory.offsets:
                refuse = functools.partial(_check, weakref.ref(self), array)
                refusals.setdefault(home, {})[array.number] = refuse
        direct = {home: number for number, home in self._seen_by_users.items()}
        for home, there in places.items():
            home.live_in(there, direct.get(home, USER), refusals.get(home))
        return [h for h, there in places.items() if len(there) > 1 or h not in direct]

    def _take_over(self, old: Program) -> None:
        """Copy what the old program's forward left for its backward."""
        before = dict(old._all_saved())
        for key, here in self._all_saved():
            there = before.get(key)
            if there is not None and there.shape == here.shape:
                here[...] = there

    def _all_saved(self) -> Iterator[tuple[tuple[Any, ...], Any]]:
        """Return what a forward leaves only for its backward, by kind: raw arrays."""
        for i, step in enumerate(self.schedule.steps):
            how = step.plan.algorithm if step.plan is not None else ""
            for name, size in self.schedule.saved(step).items():
                yield (i, name, how), self._saved(i, step, name, size).array
        for number in self.schedule.private:
            array = self.schedule.walk.arrays[number]
            yield (array.blob, array.layout, array.first), self._memories[number].array

    def _planned(self, array: Array) -> Memory:
        """Return the array's place in the block."""
        offset = self.schedule.memory.offsets[name_of(array)]
        if array.layout is not None:
            raw = self._block[offset : offset + array.layout.nbytes]
            return self._memory(array.shape, array.layout, raw)
        return self._memory(array.shape, None, _cut(self._block, offset, array.shape, self.dtype))

    def _memory(self, shape: tuple[int, ...], layout: Layout | None, array: Any) -> Memory:
        return Memory(shape, layout, array, self.device)

    def _check_live(self, array: Array) -> None:
        """Refuse a blob that is not in the block now."""
        name = array.blob
        if self.step < array.first:
            raise UsageError(
                f"blob '{name}' has no {array.kind} yet: memory is shared, and its layer has not "
                "run since the pass began",
                fix=f"keep=['{name}'] gives it memory of its own",
            )
        later = self.schedule.memory.next_writer(name_of(array), array.last)
        if later is not None and self.step >= later.live[0][0]:
            raise UsageError(
                f"the {array.kind} of blob '{name}' is gone: its memory was used again for "
                f"'{later.name.partition(' ')[2]}'",
                fix=f"construct the net with keep=['{name}'], or without share",
            )

    # ------------------------------------------------------------------ calls

    def _bind(self, i: int, step: Step) -> None:
        place, node, copies = self.schedule.walk.places[i], step.node, self._copies
        run: Run | None = None
        run_back: Run | None = None
        if step.plan is not None:
            run, run_back = step.plan.bind(self._bindings(i, step))
        elif not step.idle:
            run, run_back = self._array_code(i, step)
        forward = (run,) if run is not None and not step.fused else ()
        backward = (run_back,) if run_back is not None and node.needs_backward else ()
        self.feeding.append(() if node.bottoms else forward)
        self.forward.append(
            (*copies(step, place.before_forward), *forward, *copies(step, place.after_forward))
        )
        self.backward.append(
            (*copies(step, place.before_backward), *backward, *copies(step, place.after_backward))
        )

    def _array_code(self, i: int, step: Step) -> tuple[Run, Run]:
        """Return the layer's own forward and backward, on blobs in the memory of this program."""
        place, node = self.schedule.walk.places[i], step.node
        bottom_diffs = place.bottom_diff_arrays or (None,) * len(node.bottoms)
        top_diffs = place.top_diff_arrays or (None,) * len(node.tops)
        bottom_shapes, top_shapes = node.bottom_shapes, node.top_shapes
        blobs = list(
            map(self._blob, node.bottoms, bottom_shapes, place.bottom_arrays, bottom_diffs)
        )
        tops = list(map(self._blob, node.tops, top_shapes, place.top_arrays, top_diffs))
        if node.in_place:  # one blob; its gradient is there even where no bottom wants one
            blobs[0] = tops[0]
        self._bind_buffers(i, step)
        return (
            functools.partial(node.layer.forward, blobs, tops),
            functools.partial(node.layer.backward, tops, node.wanted, blobs),
        )

    def _bindings(self, i: int, step: Step) -> Bindings:
        place, plan, memories = self.schedule.walk.places[i], step.plan, self._memories
        assert plan is not None
        layers = [node.layer for node in (step.node, *step.joined)]
        params = (param for layer in layers for param in layer.params)
        saved = self._saved(i, step, "saved", plan.saved) if plan.saved else None
        workspace = self._pool[: plan.workspace]
        return Bindings(
            bottom_memory=tuple(memories[n] for n in place.bottom_arrays),
            top_memory=tuple(memories[n] for n in place.top_arrays),
            bottom_diff_memory=tuple(
                None if n is None else memories[n] for n in place.bottom_diff_arrays
            ),
            top_diff_memory=tuple(memories[n] for n in place.top_diff_arrays),
            params=dict(zip(step.params, params, strict=True)),
            saved=saved,
            workspace=self._memory(workspace.shape, None, workspace) if plan.workspace else None,
        )

    def _saved(self, i: int, step: Step, name: str, size: int) -> Memory:
        offset = self.schedule.memory.offsets[saved_name(i, step, name)]
        raw = self._block[offset : offset + size]
        return self._memory(raw.shape, None, raw)

    def _blob(self, name: str, shape: tuple[int, ...], data: int, diff: int | None) -> Blob:
        """Return a blob for a layer: on the memory that the schedule says."""
        blob = Blob(name, shape, self.device, self.dtype)
        memory = self._memories[data]  # in a layout, if a layer hands it on and reads nothing
        blob.use(
            memory.array.reshape(shape) if memory.layout is None else None,
            self._memories[diff].array.reshape(shape) if diff is not None else None,
        )
        return blob

    def _bind_buffers(self, i: int, step: Step) -> None:
        start = 0
        for attr, (shape, kept, given, lasting) in step.node.buffers.items():
            dtype = np.dtype(given or self.dtype)
            if lasting:
                self._bind_lasting(step.node.layer, attr, shape, dtype)
                continue
            if kept:
                area = self._block
                offset = self.schedule.memory.offsets[saved_name(i, step, attr)]
            else:
                area, offset = self._pool, start
            array = _cut(area, offset, shape, dtype)
            setattr(step.node.layer, attr, array)
            if not kept:
                start += padded(array.nbytes)

    def _bind_lasting(self, layer: Any, attr: str, shape: tuple[int, ...], dtype: Any) -> None:
        """Bind an array that outlives this program; that of the program before it, if it fits."""
        there = layer.bound_as(attr)
        if there is None or there.shape != shape or there.dtype != dtype:
            setattr(layer, attr, self.device.zeros(shape, dtype))

    def _copies(self, step: Step, copies: Sequence[Copy]) -> Runs:
        memories = self._memories
        return tuple(
            (step.engine or self.schedule.engines[0]).converter(memories[source], memories[target])
            for source, target in copies
        )

    def cuts(self, first: int, last: int) -> bool:
        """Return whether a forward from `first` to `last` splits layers computed as one."""
        steps = self.schedule.steps
        return steps[first].fused or (last + 1 < len(steps) and steps[last + 1].fused)

    def cut_backward(self, first: int, last: int, seen: bool) -> int | None:
        """Return a layer at which a backward from `first` down to `last` would stop inside a chain.

        seen   it stops at every layer, for somebody who looks
        """
        parts = [step.part_of is not None for step in self.schedule.steps]
        stops = range(last, first + 1) if seen else (last, first + 1)
        return next((i for i in stops if i < len(parts) and parts[i]), None)

    # ------------------------------------------------------------------ what users hold

    def step_of(self, layer: int, backward: bool) -> int:
        """Return the number of the step that is this layer's forward, or its backward."""
        return 2 * len(self.forward) - 1 - layer if backward else layer

    @contextlib.contextmanager
    def running(self, first: int, last: int) -> Iterator[None]:
        """Begin and end a part: steps `first` to `last`, or up to one that fails."""
        self.begin(first, last)
        try:
            yield
        except BaseException:
            self.end(first, min(last, max(first, self.step)))
            raise
        self.end(first, last)

    def begin(self, first: int, last: int) -> None:
        """Prepare steps `first` to `last`: take what users wrote, make current what is read."""
        if self._seen != Home.changes:
            self._look()
        for home in self._pending:
            home.take()
        for home in self._lent:
            home.settle()
        needs, _ = self._part(first, last)
        for home, number in needs:
            home.want(number)

    def end(self, first: int, last: int) -> None:
        """Record what is current after them, and bring arrays that somebody holds up to date."""
        _, left = self._part(first, last)
        for home, what in left.items():
            if what.written:
                home.wrote(*what.current)
            else:
                home.current |= what.current
        if self._seen != Home.changes:
            self._look()
        for home in self._pending:
            home.give()
        for home in self._lent:
            if last >= len(self.forward) and home in self._gradients and home.places:
                home.wrote(0)
            home.give()
        if self._pending or self._lent:
            self._look()

    def _look(self) -> None:
        """Find what may have to be taken and given."""
        self._seen = Home.changes
        self._pending = [home for home in self._homes if home.pending]
        homes = (home for param, _ in self._params for home in (param.values, param.gradient))
        self._lent = [home for home in homes if home.pending]

    @property
    def lends(self) -> bool:
        """Return whether an array of a blob that will be gone after the pass is held outside."""
        if self._seen != Home.changes:
            self._look()
        return self.schedule.share and bool(self._pending)

    def _part(self, first: int, last: int) -> Part:
        """Return what these steps need and leave, of the values that are in more than one place."""
        found = self._parts.get((first, last))
        if found is None:
            steps = self.schedule.accesses[first : last + 1]
            needs, left = part(steps, self._home_of)
            care = set(self._homes)
            found = self._parts[first, last] = (
                [(home, number) for home, number in needs if home in care],
                {home: what for home, what in left.items() if home in care},
            )
        return found

    # ------------------------------------------------------------------ arrays by name

    def plain(self, blob: str) -> Any:
        """Return where a pass leaves the data of an output or a loss, which is plain."""
        return self._memories[self.schedule.walk.homes[blob, "data"]].array

    def seed(self, blob: str) -> Any:
        """Return where a backward finds the gradient of a loss, which is plain."""
        count = len(self.forward)
        needs, _ = part(self.schedule.accesses[count:], self._home_of)
        home = self.blobs[blob].home("diff")
        return next(self._memories[number].array for whose, number in needs if whose is home)


def _check(program: weakref.ref[Program], array: Array) -> None:
    """Refuse a blob that is not there now; a program that nobody runs any more changes nothing."""
    there = program()
    if there is not None:
        there._check_live(array)


def _cut(area: Any, offset: int, shape: tuple[int, ...], dtype: Any) -> Any:
    """Return an array of this shape in the bytes `area` from `offset` on."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    return area[offset : offset + size].view(dtype).reshape(shape)
