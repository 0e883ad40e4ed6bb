"""A schedule with memory: the calls of a net's forward and backward, ready to run."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minidl.blob import Blob, Param
from minidl.device import Device
from minidl.engines import Bindings, Run
from minidl.errors import DeviceError, UsageError
from minidl.graph.layout import Array, Copy, Key
from minidl.memory import Home, Layout, Memory, padded, place
from minidl.schedule import Schedule, Step, name_of, saved_name
from minidl.units import bytes_

Runs = tuple[Run, ...]


class Program:
    """The calls of one net for one schedule.

    blobs     by name, as users see them; made by the net, with views already set up
    params    by owner's key
    old       the program that this one replaces: contents of blobs are carried over
    within    it is replaced within a pass: what its forward left for later steps is, too

    forward[i], backward[i]   what to call for layer i, in order; nothing for one that is idle
    feeding[i]   the part of forward[i] that brings data in from outside: a layer without bottoms
    step         the step that ran last: contents of shared memory are what it left
    """

    def __init__(
        self,
        schedule: Schedule,
        blobs: Mapping[str, Blob],
        params: Mapping[str, Param],
        device: Device,
        dtype: Any,
        old: Program | None = None,
        within: bool = False,
    ) -> None:
        self.schedule, self.blobs, self.device, self.dtype = schedule, blobs, device, dtype
        self.step = -1
        self._carried = old.contents(schedule) if old is not None else {}
        self.forward: list[Runs] = []
        self.backward: list[Runs] = []
        self.feeding: list[Runs] = []
        if old is None:
            self._check_room()
        with device.current():
            self._arena = device.bytes_(schedule.memory.total)
            self._pool = device.bytes_(schedule.scratch)
            self._arrange(params)
            self._memories = self._make_memories()
            if old is not None and within:
                self._take_over(old)
            self._homes = self._show()
            self._carried = {}
            for i, step in enumerate(schedule.steps):
                self._bind(i, step)
        self._held = [p for p, _ in self._params if p.held]  # and plain only for that reason
        self._generations = self._ages()
        self._seen = Home.changes

    def _ages(self) -> list[int]:
        return [engine.generation for engine in self.schedule.engines]

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

    def _arrange(self, params: Mapping[str, Param]) -> None:
        """Bring every parameter into the layout that its plan wants."""
        for key, layout in self.schedule.params.items():
            param = params[key]
            if layout is None and param.borrowed and param.memory.layout is not None:
                param.home.plain_only = True  # or two nets would arrange it in turns
            param.arrange(layout)  # type: ignore[arg-type]
        self._params = [(param, param.memory) for param in params.values()]

    def _make_memories(self) -> list[Memory]:
        memories: list[Memory] = []
        homes = self.schedule.walk.homes
        for array in self.schedule.walk.arrays:
            if array.base is not None:
                base = memories[array.base]
                same = array.layout is not None
                values = base.array if same else base.array.reshape(array.shape)
                memories.append(self._memory(array.shape, array.layout, values))
            elif name_of(array) in self.schedule.memory.offsets:
                memories.append(self._planned(array))
            elif array.layout is None and homes[array.blob, array.kind] == array.number:
                memories.append(self._memory(array.shape, None, self._own(array)))
            else:
                memories.append(place(array.shape, array.layout, self.dtype, self.device))
        return memories

    def _take_over(self, old: Program) -> None:
        """Copy what the old program's arrays hold into those that are the same here."""
        there = old._by_origin()
        for origin, here in self._by_origin().items():
            before = there.get(origin)
            if before is not None and before is not here and before.shape == here.shape:
                here[...] = before

    def _by_origin(self) -> dict[tuple[Any, ...], Any]:
        """All data that a forward leaves behind, by what it is: raw arrays."""
        found: dict[tuple[Any, ...], Any] = {}
        for array, memory in zip(self.schedule.walk.arrays, self._memories, strict=True):
            if array.base is None and array.kind == "data":
                found[array.blob, array.layout, array.first] = memory.array
        for i, step in enumerate(self.schedule.steps):
            for name, size in self.schedule.saved(step).items():
                found[i, name] = self._saved(i, step, name, size).array
        return found

    def _planned(self, array: Array) -> Memory:
        """The array's place in the arena."""
        offset = self.schedule.memory.offsets[name_of(array)]
        if array.layout is not None:
            raw = self._arena[offset : offset + array.layout.nbytes]
            return self._memory(array.shape, array.layout, raw)
        return self._memory(array.shape, None, _cut(self._arena, offset, array.shape, self.dtype))

    def _memory(self, shape: tuple[int, ...], layout: Layout | None, array: Any) -> Memory:
        return Memory(shape, layout, array, self.device)

    def _own(self, array: Array) -> Any:
        """The plain array that the blob itself owns, made if it is not there yet."""
        blob, key = self.blobs[array.blob], (array.blob, array.kind)
        if not blob.is_view(array.kind):
            blob.keep(array.kind, blob.array(array.kind))
        values = blob.data if array.kind == "data" else blob.diff
        if key in self._carried:
            values[...] = self._carried[key]
        return values

    def _show(self) -> dict[Key, Home]:
        """Let users find the blobs where they are now."""
        homes: dict[Key, Home] = {}
        for key, number in self.schedule.walk.homes.items():
            name, kind = key
            array, blob = self.schedule.walk.arrays[number], self.blobs[name]
            if blob.is_view(kind):
                continue
            base = array if array.base is None else self.schedule.walk.arrays[array.base]
            planned = name_of(base) in self.schedule.memory.offsets
            if array.layout is None and not planned:
                continue
            memory = self._memories[number]
            home = homes[key] = Home(array.shape, self.dtype, memory)
            if planned:
                home.temporary = functools.partial(_check, weakref.ref(self), name, base)
            elif key in self._carried:
                memory.assign(self._carried[key])
            blob.live_in(kind, home)
        return homes

    def _check_live(self, name: str, array: Array) -> None:
        """Refuse a blob that is not in the arena now."""
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

    def contents(self, schedule: Schedule) -> dict[Key, Any]:
        """The values of the blobs in an engine's layout that have the same shape in `schedule`."""
        arrays, homes = schedule.walk.arrays, schedule.walk.homes
        return {
            key: home.values()
            for key, home in self._homes.items()
            if home.temporary is None and key in homes and arrays[homes[key]].shape == home.shape
        }

    # ------------------------------------------------------------------ calls

    def _bind(self, i: int, step: Step) -> None:
        place, node = self.schedule.walk.places[i], step.node
        forward: Runs = ()
        backward: Runs = ()
        if step.plan is not None:
            run, run_back = step.plan.bind(self._bindings(i, step))
            forward = () if step.fused else (run,)
            backward = (run_back,) if run_back is not None and node.needs_backward else ()
        elif not step.idle:
            blobs = [
                self._blob(name, shape, data, diff)
                for name, shape, data, diff in zip(
                    node.bottoms,
                    node.bottom_shapes,
                    place.bottom,
                    place.bottom_diff or (None,) * len(node.bottoms),
                    strict=True,
                )
            ]
            tops = [
                blobs[0]
                if j == 0 and node.in_place
                else self._blob(node.tops[j], node.top_shapes[j], place.top[j], diff)
                for j, diff in enumerate(place.top_diff or (None,) * len(node.tops))
            ]
            self._bind_buffers(i, step)
            forward = () if step.fused else (functools.partial(node.layer.forward, blobs, tops),)
            if node.needs_backward:
                backward = (functools.partial(node.layer.backward, tops, node.wanted, blobs),)
        before, after = (
            self._copies(step, place.before_forward),
            self._copies(step, place.after_forward),
        )
        self.feeding.append(() if node.bottoms else forward)
        self.forward.append((*before, *forward, *after))
        before = self._copies(step, place.before_backward)
        self.backward.append((*before, *backward, *self._copies(step, place.after_backward)))

    def _bindings(self, i: int, step: Step) -> Bindings:
        place, plan, memories = self.schedule.walk.places[i], step.plan, self._memories
        assert plan is not None
        layer = step.node.layer
        names = [p.attr for p in step.node.params]
        saved = self._saved(i, step, "saved", plan.saved) if plan.saved else None
        workspace = self._pool[: plan.workspace]
        return Bindings(
            bottom=tuple(memories[n] for n in place.bottom),
            top=tuple(memories[n] for n in place.top),
            bottom_diff=tuple(None if n is None else memories[n] for n in place.bottom_diff),
            top_diff=tuple(memories[n] for n in place.top_diff),
            params=dict(zip(names, layer.params, strict=True)),
            saved=saved,
            workspace=self._memory(workspace.shape, None, workspace) if plan.workspace else None,
        )

    def _saved(self, i: int, step: Step, name: str, size: int) -> Memory:
        offset = self.schedule.memory.offsets[saved_name(i, step, name)]
        raw = self._arena[offset : offset + size]
        return self._memory(raw.shape, None, raw)

    def _blob(self, name: str, shape: tuple[int, ...], data: int, diff: int | None) -> Blob:
        """A blob for a layer: on the memory that the schedule says."""
        blob = Blob(name, shape, self.device, self.dtype)
        if self._memories[data].layout is None:  # otherwise a layer hands it on, and reads nothing
            blob.use(self._memories[data].array.reshape(shape))
        if diff is not None:
            blob.diff = self._memories[diff].array.reshape(shape)
        return blob

    def _bind_buffers(self, i: int, step: Step) -> None:
        start = 0
        for attr, (shape, kept, given, lasting) in step.node.buffers.items():
            dtype = np.dtype(given or self.dtype)
            if lasting:
                self._bind_lasting(step.node.layer, attr, shape, dtype)
                continue
            if kept:
                area = self._arena
                offset = self.schedule.memory.offsets[saved_name(i, step, attr)]
            else:
                area, offset = self._pool, start
            array = _cut(area, offset, shape, dtype)
            setattr(step.node.layer, attr, array)
            if not kept:
                start += padded(array.nbytes)

    def _bind_lasting(self, layer: Any, attr: str, shape: tuple[int, ...], dtype: Any) -> None:
        """An array that outlives this program; the one of the program before it, if it fits."""
        there = getattr(layer, attr, None)
        if there is None or there.shape != shape or there.dtype != dtype:
            setattr(layer, attr, self.device.zeros(shape, dtype))

    def _copies(self, step: Step, copies: Sequence[Copy]) -> Runs:
        return tuple(self._copy(step, copy) for copy in copies)

    def _copy(self, step: Step, copy: Copy) -> Run:
        engine = step.engine or self.schedule.engines[0]
        return engine.converter(self._memories[copy.source], self._memories[copy.target])

    def cuts(self, first: int, last: int) -> bool:
        """Whether a forward from `first` to `last` parts layers that are computed as one."""
        steps = self.schedule.steps
        return steps[first].fused or (last + 1 < len(steps) and steps[last + 1].fused)

    def late_copies(self, first: int) -> Runs:
        """What makes the copies current that layers from `first` on read and earlier ones made."""
        steps = self.schedule.steps
        return tuple(self._copy(steps[first], c) for c in self.schedule.walk.late_copies(first))

    # ------------------------------------------------------------------ what users hold

    def settle(self) -> bool:
        """Take back what was lent since the last pass; whether this program still fits after it.

        It does not in a forked process, or if a parameter or a blob has moved: to an array that
        somebody holds, or because another net with the same parameters arranged them anew.
        """
        let_go = [param for param in self._held if not param.held]
        if Home.changes == self._seen and not let_go and self._ages() == self._generations:
            return True
        for param, _ in self._params:
            param.settle()
        fits = (
            not let_go
            and self._ages() == self._generations
            and all(param.memory is memory for param, memory in self._params)
        )
        for (name, kind), home in self._homes.items():
            bound = home.memory
            home.settle()
            if home.memory is not bound:
                self.blobs[name].keep(kind, home.memory.array)
                fits = False
        self._seen = Home.changes
        return fits


def _check(program: weakref.ref[Program], name: str, array: Array) -> None:
    """Refuse a blob that is not there now; a program that nobody runs any more changes nothing."""
    there = program()
    if there is not None:
        there._check_live(name, array)


def _cut(area: Any, offset: int, shape: tuple[int, ...], dtype: Any) -> Any:
    """An array of this shape in the bytes `area` from `offset` on."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    return area[offset : offset + size].view(dtype).reshape(shape)
