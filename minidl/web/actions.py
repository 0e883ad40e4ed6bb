"""/api/v1: jobs begun, stopped, resumed, put in order, thrown away and brought back."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from minidl.errors import MinidlError
from minidl.runs import job
from minidl.web import commands, machine, paths, queue, summary, trash
from minidl.web.answers import answer, body
from minidl.web.commands import Command
from minidl.web.problems import Conflict, Unusable
from minidl.web.site import Site

HOW = ("stop", "after-epoch", "abort", "pause")
MOST_SLOTS = 64


class Actions:
    """The routes that change something."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def routes(self) -> list[Route]:
        table: list[tuple[str, str, Callable[..., Any]]] = [
            ("POST", "/jobs", self.begin),
            ("POST", "/command", self.command),
            ("POST", "/stop/{id:path}", self.stop),
            ("POST", "/resume/{id:path}", self.resume),
            ("POST", "/clone/{id:path}", self.clone),
            ("POST", "/trash/{id:path}", self.throw_away),
            ("GET", "/trash", self.thrown_away),
            ("POST", "/restore", self.restore),
            ("GET", "/queue", self.queue),
            ("PUT", "/queue", self.order),
            ("GET", "/system", self.system),
            ("PUT", "/system", self.change_system),
        ]
        return [Route(f"/api/v1{path}", what, methods=[how]) for how, path, what in table]

    async def begin(self, request: Request) -> Response:
        """Put the jobs of a form into the queue."""
        asked = await body(request)
        made = self._built(asked)
        ids = await asyncio.to_thread(self._created, made)
        await self.site.turn()
        return answer({"jobs": [{"id": name} for name in ids]}, 201)

    async def command(self, request: Request) -> Response:
        """Return the commands that a form stands for."""
        root, taken = self.site.root, set[str]()
        found = []
        for one in self._built(await body(request)):
            folder = one.proposed(root, taken)
            taken.add(folder)
            found.append(summary.command(one.argv(folder)))
        return answer({"commands": found})

    def _built(self, asked: dict[str, Any]) -> list[Command]:
        form = asked.get("form")
        if not isinstance(form, dict):
            raise Unusable("the form is missing", expected='{"kind": ..., "form": {...}}')
        return commands.build(str(asked.get("kind")), form, self.site.places)

    def _created(self, made: list[Command]) -> list[str]:
        """Write the folders of jobs that are to wait (in a thread); return their ids."""
        return [create(self.site.root, one, self.site.queue.last_place()) for one in made]

    async def stop(self, request: Request) -> Response:
        """Stop a job, or take it out of the queue."""
        entry = await self.site.own(request.path_params["id"])
        how = str((await body(request)).get("how", "stop"))
        if how not in HOW:
            raise Unusable(f"how is '{how[:40]}'", expected=", ".join(HOW), field="how")
        await self.site.with_queue(self.site.queue.stop, entry.id, how)
        await self.site.turn()
        return answer(await self.site.summary(entry.id))

    async def resume(self, request: Request) -> Response:
        """Put a job into the queue again."""
        entry = await self.site.own(request.path_params["id"])
        await self.site.with_queue(self.site.queue.resume, entry.id)
        await self.site.turn()
        return answer(await self.site.summary(entry.id))

    async def clone(self, request: Request) -> Response:
        """Return the form that a job was begun with, to be filled in again."""
        entry = await self.site.own(request.path_params["id"])
        made = job.read(entry.folder)
        form = dict(made.form) or commands.form_of(
            made.argv, self.site.root, entry.folder / made.cwd
        )
        if not form:
            raise Conflict(
                "was begun with a command that no form can hold",
                where=entry.id,
                fix=summary.command(made.argv),
            )
        form["name"] = made.name
        return answer({"kind": made.kind, "form": form})

    async def throw_away(self, request: Request) -> Response:
        """Move a job to the trash, unless it runs or others need it ({"anyway": true})."""
        entry = await self.site.entry(request.path_params["id"])
        asked = await body(request) if request.headers.get("content-type") else {}
        await self.site.look()
        inside = [n for n in self.site.summaries if n.startswith(f"{entry.id}/")]
        for name in (entry.id, *inside):
            found = self.site.summaries.get(name)
            if found and found["state"] == job.RUNNING and not found["adopted"]:
                raise Conflict("runs", where=name, fix="stop it first")
        others = [name for name in self.site.dependants(entry.id) if name not in inside]
        if others and asked.get("anyway") is not True:
            raise Conflict(
                f"is needed by {len(others)} other job{'s' * (len(others) > 1)}",
                where=entry.id,
                expected=", ".join(others[:20]),
                more={"dependants": others},
            )
        called = await asyncio.to_thread(trash.put, self.site.root, entry.id)
        await self.site.look()
        return answer({"trash": called})

    async def thrown_away(self, request: Request) -> Response:
        """Return what is in the trash."""
        return answer({"trash": await asyncio.to_thread(trash.listing, self.site.root)})

    async def restore(self, request: Request) -> Response:
        """Bring a job back from the trash."""
        called = str((await body(request)).get("trash", ""))
        name = await asyncio.to_thread(trash.restore, self.site.root, called)
        await self.site.look()
        return answer({"id": name})

    async def queue(self, request: Request) -> Response:
        """Return the jobs that run, and those that wait, in their order, with what for."""
        await self.site.turn(self.site.fresh_s)
        return self._queue_now()

    def _queue_now(self) -> Response:
        summaries = self.site.summaries
        return answer(
            {
                "running": [n for n, one in summaries.items() if one["state"] == job.RUNNING],
                "waiting": [
                    {"id": name, "why": self.site.queue.why.get(name, "")}
                    for name in self.site.queue.waiting(summaries)
                ],
                "lanes": dict(self.site.queue.lanes.room),
            }
        )

    async def order(self, request: Request) -> Response:
        """Put the waiting jobs in another order."""
        ids = (await body(request)).get("ids")
        if not isinstance(ids, list) or not all(isinstance(name, str) for name in ids):
            raise Unusable("ids is missing", expected='{"ids": [...]}', field="ids")
        await self.site.look()
        await self.site.with_queue(self.site.queue.order, ids, self.site.summaries)
        await self.site.turn()
        return self._queue_now()

    async def system(self, request: Request) -> Response:
        """Return how the machine is, and what the server was told."""
        found = await asyncio.to_thread(machine.system, self.site.root)
        options = self.site.options
        found |= {
            "versions": {"minidl": options.version, "python": machine.python()},
            "slots": self.site.queue.lanes.room["cpu"],
            "devices": machine.devices(),
            "root": str(self.site.root),
            "data_roots": [str(path) for path in self.site.roots],
            "allow_python": options.allow_python,
            "disk_use": await asyncio.to_thread(_disk_use, self.site),
        }
        return answer(found)

    async def change_system(self, request: Request) -> Response:
        """Change how many trainings may run at a time on the CPU."""
        slots = (await body(request)).get("slots")
        if not isinstance(slots, int) or isinstance(slots, bool) or not 1 <= slots <= MOST_SLOTS:
            raise Unusable(
                "slots is not a number of trainings", expected=f"1 to {MOST_SLOTS}", field="slots"
            )
        room = {**self.site.queue.lanes.room, "cpu": slots}
        self.site.queue.lanes = queue.Lanes(room)
        await self.site.turn()
        return answer({"slots": slots})


def create(root: Path, command: Command, place: float) -> str:
    """Write the folder of a job that is to wait; return its id."""
    folder = paths.free(root / command.home, paths.slug(command.name))
    name = folder.relative_to(root).as_posix()
    try:
        needs = {role: root / path for role, path in command.needs.items()}
        made = job.Job(
            command.kind,
            command.argv(name),
            cwd=os.path.relpath(root, folder),
            name=command.name,
            group=command.group,
            needs=job.relative(folder, needs),
            form=command.form,
            created=round(time.time(), 3),
        )
        queue.create(folder, made, place, command.files)
    except (OSError, MinidlError):
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return name


def _disk_use(site: Site) -> list[dict[str, Any]]:
    """Return the bytes of the files of each job, its folders and those of other jobs left out."""
    found = []
    for name, entry in list(site.tree.entries.items()):
        size = 0
        with contextlib.suppress(OSError):
            for item in os.scandir(entry.folder):
                if item.is_file(follow_symlinks=False):
                    size += item.stat(follow_symlinks=False).st_size
                elif item.name.endswith("_lmdb"):
                    size += sum(p.stat().st_size for p in Path(item).iterdir() if p.is_file())
        found.append({"id": name, "bytes": size})
    return sorted(found, key=lambda one: -int(str(one["bytes"])))[:100]
