"""Routes of NVIDIA's DIGITS under their own names, for scripts that were written for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from minidl.errors import MinidlError
from minidl.runs import job, store
from minidl.web import paths, scratch, summary, upload
from minidl.web.answers import answer
from minidl.web.asking import MOST_PICTURES, Asking
from minidl.web.problems import NotFound, Refused, Unusable
from minidl.web.site import Site

STATUS = {
    job.WAITING: "Waiting",
    job.RUNNING: "Running",
    job.DONE: "Done",
    job.STOPPED: "Aborted",
    job.PAUSED: "Aborted",
    job.ABORTED: "Aborted",
    job.INTERRUPTED: "Aborted",
    job.FAILED: "Error",
}
CLASSIFICATION = "/models/images/classification"


class DigitsApi:
    """Lists, states, what is known of a model or a data set, and scores of pictures."""

    def __init__(self, site: Site) -> None:
        self.site, self.asking = site, Asking(site)

    def routes(self) -> list[Route]:
        table: list[tuple[str, str, Callable[..., Any]]] = [
            ("GET", "/index.json", self.index),
            ("GET", "/models/{id:path}.json", self.model),
            ("GET", "/datasets/{id:path}.json", self.dataset),
            ("GET", "/jobs/{id:path}/status", self.status),
            ("GET", "/models/{id:path}/status", self.status),
            ("GET", "/datasets/{id:path}/status", self.status),
            ("POST", f"{CLASSIFICATION}/classify_one.json", self.classify_one),
            ("POST", f"{CLASSIFICATION}/classify_many.json", self.classify_many),
        ]
        return [Route(path, what, methods=[how]) for how, path, what in table]

    async def index(self, request: Request) -> Response:
        await self.site.look(self.site.fresh_s)
        found = sorted(self.site.summaries.values(), key=lambda one: one["created"] or 0)
        return answer(
            {
                "version": self.site.options.version,
                "jobs_dir": str(self.site.root),
                "datasets": [_short(one) for one in found if one["kind"] == "dataset"],
                "models": [_short(one) for one in found if one["kind"] == "train"],
            }
        )

    async def status(self, request: Request) -> Response:
        one = await self.site.summary(request.path_params["id"])
        kinds = {"train": "Image Classification Model", "dataset": "Image Classification Dataset"}
        return answer(
            {
                "error": one["error"].get("message"),
                "name": one["name"],
                "status": STATUS[one["state"]],
                "type": kinds.get(one["kind"], one["kind"]),
            }
        )

    async def model(self, request: Request) -> Response:
        name, one = await self._of_kind(request, "train")
        entry = await self.site.entry(name)
        snapshots = summary.snapshots(entry.folder, self.site.facts(name).get("epoch_iters") or 0)
        weights = [found for found in snapshots if found["weights"]]
        data = one["parents"].get("data")
        size = self._dataset_facts(data).get("size") if data else None
        facts = {
            "creation time": one["created"],
            "username": None,
            "dataset_id": data,
            "directory": str(entry.folder),
            "framework": "minidl",
            "solver file": _if_there(entry.folder, store.SOLVER),
            "train_val file": _if_there(entry.folder, store.TRAINING_NET),
            "deploy file": _if_there(entry.folder, store.NET),
            "snapshot file": weights[-1]["weights"] if weights else None,
            "mean file": _if_there(self.site.root / data, "mean.binaryproto") if data else None,
            "labels file": _if_there(self.site.root / data, "labels.txt") if data else None,
            "image dimensions": size,
            "snapshots": [_epoch(found) for found in weights],
        }
        return answer({**_short(one), **facts})

    async def dataset(self, request: Request) -> Response:
        name, one = await self._of_kind(request, "dataset")
        facts = self._dataset_facts(name)
        size = (facts.get("size") or [None, None]) + [facts.get("channels")]
        splits = facts.get("splits") or {}
        tasks = [
            {
                "name": f"Create DB ({split})",
                "entries": found.get("records"),
                "image_height": size[0],
                "image_width": size[1],
                "image_channels": size[2],
                "backend": found.get("backend"),
                "encoding": facts.get("encoding") or "none",
            }
            for split, found in splits.items()
        ]
        counts = {
            f"{split}_count": splits.get(split, {}).get("records", 0)
            for split in ("train", "val", "test")
        }
        parsed = {"name": "Parse Folder", "label_count": len(facts.get("labels") or []), **counts}
        folder = str(self.site.root / name)
        more = {"directory": folder, "CreateDbTasks": tasks, "ParseFolderTasks": [parsed]}
        return answer({**_short(one), **more})

    def _dataset_facts(self, name: str) -> dict[str, Any]:
        found = summary.read_json(self.site.root / name / "dataset.json")
        return found if isinstance(found, dict) else {}

    async def _of_kind(self, request: Request, kind: str) -> tuple[str, dict[str, Any]]:
        name = request.path_params["id"]
        one = await self.site.summary(name)
        if one["kind"] != kind:
            raise NotFound(f"is not a job of the kind {kind}", where=name)
        return name, one

    async def classify_one(self, request: Request) -> Response:
        """Form: job_id, image_file or image_path, snapshot_epoch."""
        form = await _form(request)
        try:
            with scratch.passing(self.site.root) as place:
                picture = await self._picture(form, place)
                found = await self._classified(form, [picture])
        finally:
            await form.close()
        return answer({"predictions": found[0] if found else []})

    async def classify_many(self, request: Request) -> Response:
        """Form: job_id, image_list (a file of paths), image_folder, num_test_images."""
        form = await _form(request)
        try:
            listed = form.get("image_list")
            if not isinstance(listed, UploadFile):
                raise Unusable("image_list is missing", field="image_list")
            lines = (await listed.read(upload.LARGEST)).decode("utf-8", "replace").splitlines()
            folder = str(form.get("image_folder") or "")
            names = [_path_of(line) for line in lines if line.strip()]
            most = str(form.get("num_test_images") or "")
            names = names[: int(most)] if most.isdecimal() else names
            chosen = [str(Path(folder, name)) if folder else name for name in names]
            pictures = [self._argument(name) for name in chosen]
            found = []
            for begin in range(0, len(pictures), MOST_PICTURES):
                part = pictures[begin : begin + MOST_PICTURES]
                found += await self._classified(form, part)
        finally:
            await form.close()
        return answer({"classifications": dict(zip(names, found, strict=False))})

    def _argument(self, name: str) -> str:
        path = self.site.places.path(name)
        return f"./{path}" if path.startswith("-") else path

    async def _picture(self, form: FormData, place: Path) -> str:
        sent = form.get("image_file")
        if isinstance(sent, UploadFile):
            return paths.shown(upload.picture(sent, place), self.site.root)
        named = form.get("image_path")
        if not isinstance(named, str) or not named:
            raise Unusable("image_file or image_path is missing", field="image_file")
        if "://" in named:
            raise Unusable("no address is fetched", where=named[:200], field="image_path")
        return self._argument(named)

    async def _classified(self, form: FormData, pictures: list[str]) -> list[list[list[Any]]]:
        """Return [[label, percent], ...] for each picture."""
        entry = await self.site.entry(str(form.get("job_id") or ""))
        iteration = None
        epoch = str(form.get("snapshot_epoch") or "")
        if epoch:
            iters = self.site.facts(entry.id).get("epoch_iters") or 0
            known = [one for one in summary.snapshots(entry.folder, iters) if one["weights"]]
            match = [one for one in known if str(_epoch(one)) == epoch]
            if not match:
                raise NotFound(f"has no snapshot of epoch {epoch[:20]}", where=entry.id)
            iteration = match[0]["iter"]
        found = await self.asking.classified(entry, pictures, iteration)
        return [
            [[label, round(100 * score, 2)] for label, score in one["top"][:5]]
            for one in found["pictures"]
        ]


def _short(one: dict[str, Any]) -> dict[str, Any]:
    return {"id": one["id"], "name": one["name"], "status": STATUS[one["state"]]}


def _if_there(folder: Path, name: str) -> str | None:
    return name if (folder / name).is_file() else None


def _epoch(snapshot: dict[str, Any]) -> Any:
    """Return the epoch of a snapshot, a whole one without its point; else its iteration."""
    epoch = snapshot["epoch"]
    if epoch is None:
        return snapshot["iter"]
    return int(epoch) if epoch == int(epoch) else epoch


def _path_of(line: str) -> str:
    """Return the path of a line, which may end in a label."""
    path, _, label = line.strip().rpartition(" ")
    return path.strip() if path and label.isdecimal() else line.strip()


async def _form(request: Request) -> FormData:
    try:
        return await request.form(max_files=4, max_fields=50)
    except MinidlError:
        raise
    except (HTTPException, ValueError, KeyError, IndexError, AssertionError):
        raise Refused("the body is not a form as it should be") from None
