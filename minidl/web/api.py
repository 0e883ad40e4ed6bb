"""/api/v1: jobs as JSON, read and changed."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from minidl.runs import job
from minidl.web import files, machine, stream, summary
from minidl.web.answers import answer, body, names_of, number_of, text_of, whole_of
from minidl.web.paths import file_of
from minidl.web.problems import NotFound, Unusable
from minidl.web.site import Site

PREFIX = "/api/v1"
POINTS, MOST_POINTS = 1500, 20_000
CHANGEABLE: dict[str, Any] = {"name": str, "group": str, "notes": str, "tags": list}
LONGEST = {"name": 200, "group": 200, "notes": 100_000, "tags": 100}


class Api:
    """The routes over what job folders hold."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def routes(self) -> list[Route]:
        table: list[tuple[str, str, Callable[..., Any]]] = [
            ("GET", "/jobs", self.jobs),
            ("GET", "/job/{id:path}", self.job),
            ("PATCH", "/job/{id:path}", self.change),
            ("POST", "/job/{id:path}", self.change),
            ("GET", "/metrics/{id:path}", self.metrics),
            ("GET", "/events", self.all_events),
            ("GET", "/events/{id:path}", self.events),
            ("GET", "/log/{id:path}", self.log),
            ("GET", "/file/{both:path}", self.file),
            ("GET", "/histograms/{id:path}", self.histograms),
            ("GET", "/samples/{id:path}", self.samples),
        ]
        return [Route(PREFIX + path, what, methods=[how]) for how, path, what in table]

    async def jobs(self, request: Request) -> Response:
        """Return all jobs, newest first, or those that ?kind=, state=, group=, q= choose."""
        await self.site.look(self.site.fresh_s)
        found = list(self.site.summaries.values())
        for name in ("kind", "state", "group"):
            if name in request.query_params:
                wanted = text_of(request, name).split(",")
                found = [one for one in found if one[name] in wanted]
        if words := text_of(request, "q").casefold().split():
            found = [one for one in found if all(word in _words(one) for word in words)]
        found.sort(key=lambda one: (-(one["created"] or 0), one["id"]))
        return answer(
            {
                "jobs": found,
                "version": self.site.options.version,
                "root": str(self.site.root),
                "devices": machine.devices(),
                "truncated": self.site.tree.truncated,
            }
        )

    async def job(self, request: Request) -> Response:
        """Return one job in full."""
        name = request.path_params["id"]
        entry = await self.site.entry(name)
        await self.site.look(self.site.fresh_s)
        curves = self.site.facts(name)
        found = await asyncio.to_thread(summary.details, self.site.root, entry, curves)
        found["dependants"] = self.site.dependants(name)
        found["alarm_list"] = []
        if entry.events is not None:
            figures, _ = await self.site.figures_soon(entry)
            found["alarm_list"] = figures.alarms
            found["start"] = figures.start
        return answer(found)

    async def change(self, request: Request) -> Response:
        """Change name, group, notes or tags."""
        entry = await self.site.own(request.path_params["id"])
        changes: dict[str, Any] = {}
        for name, value in (await body(request)).items():
            kind = CHANGEABLE.get(name)
            if kind is None or not isinstance(value, kind) or len(value) > LONGEST[name]:
                raise Unusable(
                    f"'{name}' cannot be changed to this",
                    expected="name, group, notes: text; tags: a list",
                    field=name,
                )
            if kind is list:
                value = tuple(dict.fromkeys(str(tag).strip()[:60] for tag in value if tag))
            changes[name] = value
        await asyncio.to_thread(lambda: job.change(entry.folder, **changes))
        await self.site.look()
        return answer(await self.site.summary(entry.id))

    async def metrics(self, request: Request) -> Response:
        """Return curves, thinned to ?points=; ?names=, from=, to= choose. While a long file is
        being read for the first time, "partial" is true and the curves come from samples of it."""
        entry = await self.site.entry(request.path_params["id"])
        names = names_of(request, "names")
        most = whole_of(request, "points", POINTS, 2, MOST_POINTS)
        low, high = number_of(request, "from", -math.inf), number_of(request, "to", math.inf)
        if entry.events is None:
            return answer({"series": {}, "offset": 0, "partial": False, "read": 0, "size": 0})
        figures, complete = await self.site.figures_soon(entry)
        work = figures.curves if complete else figures.sample
        size = entry.events.stat().st_size
        if not complete:
            most = min(most, POINTS)
        found = await asyncio.to_thread(work, names, most, low, high)
        return answer(
            {
                "series": found,
                "offset": figures.offset if complete else size,
                "partial": not complete,
                "read": figures.offset,
                "size": size,
            }
        )

    async def events(self, request: Request) -> Response:
        """Send what happens to one job."""
        entry = await self.site.entry(request.path_params["id"])
        log = None
        if text_of(request, "log") not in ("", "0"):
            names = files.logs(entry)
            log = entry.folder / (names[0] if names else files.OUTPUT)
        begin = stream.start(text_of(request, "offset"), request.headers.get("last-event-id"))
        messages = stream.of_job(
            self.site.tails,
            entry.folder / "events.jsonl",
            entry.folder / job.STATUS,
            log,
            begin,
            lambda: summary.of(self.site.root, entry, self.site.facts(entry.id)),
        )
        return _sent(messages)

    async def all_events(self, request: Request) -> Response:
        """Send what changes among all jobs, and how the machine is."""
        return _sent(self.site.board.messages(self.site.wake, self.site.wake))

    async def log(self, request: Request) -> Response:
        """Return a part of a log, and lines of it that hold ?q=."""
        entry = await self.site.entry(request.path_params["id"])
        names = files.logs(entry)
        if not names:
            nothing = {"text": "", "offset": 0, "start": 0, "size": 0}
            return answer({**nothing, "matches": [], "file": "", "files": []})
        path = files.log(entry, text_of(request, "file"))
        offset = whole_of(request, "offset", -files.PART, low=-(1 << 53))
        limit = whole_of(request, "limit", files.PART, 1, files.MOST)
        found = await asyncio.to_thread(files.part, path, offset, limit)
        words = text_of(request, "q")
        matches = await asyncio.to_thread(files.search, path, words) if words else []
        return answer({**found, "matches": matches, "file": path.name, "files": names})

    async def file(self, request: Request) -> Response:
        """Return a file of a job's folder."""
        name, rest = await self.site.split(request.path_params["both"])
        entry = await self.site.entry(name)
        path = file_of(entry.folder, rest)
        return files.send(path, text_of(request, "download") not in ("", "0"))

    async def histograms(self, request: Request) -> Response:
        """Return the histograms of ?name= over time, or the names that there are."""
        entry = await self.site.entry(request.path_params["id"])
        places = []
        if entry.events is not None:
            figures, _ = await self.site.figures_soon(entry)
            places = list(figures.histograms)
        name = text_of(request, "name")
        return answer(await asyncio.to_thread(files.histograms, entry.folder, places, name))

    async def samples(self, request: Request) -> Response:
        """Return the iterations at which samples were drawn, or those of ?iter=."""
        entry = await self.site.entry(request.path_params["id"])
        if text_of(request, "iter"):
            iteration = whole_of(request, "iter", 0)
            place = f"samples/{iteration:06d}"
            found = summary.read_json(file_of(entry.folder, f"{place}/samples.json"))
            if not isinstance(found, dict):
                raise NotFound("has no samples of this iteration", where=entry.id)
            return answer({**found, "folder": place})
        if entry.events is None:
            return answer({"iters": []})
        figures, _ = await self.site.figures_soon(entry)
        return answer({"iters": list(dict.fromkeys(figures.samples))})


def _words(one: dict[str, Any]) -> str:
    parts = [one["id"], one["name"], one["group"], one["kind"], one["state"], *one["tags"]]
    return " ".join(map(str, parts)).casefold()


def _sent(messages: AsyncIterator[bytes]) -> Response:
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(messages, media_type="text/event-stream", headers=headers)
