"""/api/v1: what goes out and comes in whole: comparisons, uploads, downloads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from minidl.runs import store
from minidl.web import asker, compare, download, files, paths, scratch, upload
from minidl.web.answers import answer, names_of, text_of, whole_of
from minidl.web.api import POINTS
from minidl.web.problems import NotFound, Refused, Unusable
from minidl.web.site import Site
from minidl.web.tree import Entry

MOST_COMPARED = 50


class Exchange:
    """The routes over several jobs, and whole files."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def routes(self) -> list[Route]:
        table: list[tuple[str, str, Callable[..., Any]]] = [
            ("GET", "/compare", self.compare),
            ("POST", "/upload", self.upload),
            ("GET", "/download/{id:path}", self.download),
        ]
        return [Route(f"/api/v1{path}", what, methods=[how]) for how, path, what in table]

    async def compare(self, request: Request) -> Response:
        """Return runs side by side; format=csv: as a table, with &points=1 their curves."""
        ids = names_of(request, "ids") or []
        if not ids or len(ids) > MOST_COMPARED:
            raise Unusable(f"ids are 1 to {MOST_COMPARED} jobs", field="ids")
        await self.site.look(self.site.fresh_s)
        entries = [await self.site.entry(name) for name in dict.fromkeys(ids)]
        runs, fields, series = [], [], {}
        names = names_of(request, "names")
        most = whole_of(request, "points", POINTS, 2, 20_000)
        as_csv = text_of(request, "format") == "csv"
        for entry in entries:
            if entry.events is not None:
                series[entry.id] = await self._curves(entry, names, most)
            one = await self.site.summary(entry.id)
            runs.append(one)
            fields.append(await asyncio.to_thread(compare.fields_of, entry.folder, one))
        differing = compare.differing(fields)
        if as_csv:
            curves = "points" in request.query_params
            text = compare.points(series) if curves else compare.table(runs, differing)
            headers = {"content-disposition": files.disposition("compared.csv")}
            return PlainTextResponse(text, media_type="text/csv; charset=utf-8", headers=headers)
        return answer({"runs": runs, "fields": differing, "series": series})

    async def _curves(self, entry: Entry, names: list[str] | None, most: int) -> dict[str, Any]:
        figures, complete = await self.site.figures_soon(entry)
        if complete:
            await self.site.take_facts(entry, figures)
        low, high = float("-inf"), float("inf")
        work = figures.curves if complete else figures.sample
        return await asyncio.to_thread(work, names, most, low, high)

    async def upload(self, request: Request) -> Response:
        """Store files; return their paths, for forms and questions."""
        found = await upload.receive(request, self.site.root)
        return answer({"path": found[0]["path"], "files": found}, 201)

    async def download(self, request: Request) -> Response:
        """Return a job as tar.gz or zip, or its net as ONNX."""
        entry = await self.site.entry(request.path_params["id"])
        form = text_of(request, "format", "tar.gz")
        iteration = whole_of(request, "snapshot", 0) if text_of(request, "snapshot") else None
        name = paths.slug(entry.folder.name)
        if form == "onnx":
            return await self._onnx(entry, iteration, name)
        makers: dict[str, Any] = {
            "tar.gz": (download.tar_gz, "application/gzip"),
            "zip": (download.zipped, "application/zip"),
        }
        if form not in makers:
            raise Unusable(f"'{form[:40]}' is not a format", expected="tar.gz, zip, onnx")
        data = self._data(entry)
        members = await asyncio.to_thread(download.files, entry.folder, data, iteration)
        if not members:
            raise NotFound("has nothing to download yet", where=entry.id)
        make, kind = makers[form]
        headers = {"content-disposition": files.disposition(f"{name}.{form}")}
        return StreamingResponse(make(name, members), media_type=kind, headers=headers)

    def _data(self, entry: Entry) -> Path | None:
        data = self.site.summaries.get(entry.id, {}).get("parents", {}).get("data")
        return self.site.tree.entries[data].folder if data in self.site.tree.entries else None

    async def _onnx(self, entry: Entry, iteration: int | None, name: str) -> Response:
        weights = download.weights_of(entry.folder, iteration)
        net = entry.folder / store.NET
        if weights is None or not net.is_file():
            raise NotFound("has no weights yet", where=entry.id)
        root = self.site.root
        with scratch.passing(root) as place:
            file = place / f"{name}.onnx"
            words = ["export", paths.shown(net, root), "--weights", paths.shown(weights, root)]
            found = await self.site.asker.ask(*words, "--onnx", paths.shown(file, root))
            if found.code:
                raise asker.failure(found)
            if not file.is_file():
                raise Refused("minidl export wrote no file", where=entry.id)
            opened = open(file, "rb")  # noqa: SIM115  (its name goes, its bytes stay)
        headers = {"content-disposition": files.disposition(file.name)}
        return StreamingResponse(_chunks(opened), media_type="application/onnx", headers=headers)


def _chunks(file: Any) -> Iterator[bytes]:
    with file:
        while chunk := file.read(download.CHUNK):
            yield chunk
