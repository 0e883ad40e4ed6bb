"""/api/v1: questions that commands answer: scans, previews, nets, pages of pictures, scores."""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from minidl.runs import store
from minidl.web import asker, commands, folders, paths, scratch, summary, zoo
from minidl.web.answers import answer, body, text_of, whole_of
from minidl.web.asker import Answer
from minidl.web.problems import NotFound, Refused, TooLarge, Unusable
from minidl.web.site import Site
from minidl.web.tree import Entry

LONGEST_NET = 2 << 20  # characters
MOST_SHOWN = 500  # records of a page
MOST_PICTURES = 64  # that are classified in one question
LARGEST_PICTURE = "4096"  # the largest side of a record, in pixels
SLOW_S = 300.0  # for a scan of a large folder


class Asking:
    """The routes that ask commands."""

    def __init__(self, site: Site) -> None:
        self.site = site

    def routes(self) -> list[Route]:
        table: list[tuple[str, str, Callable[..., Any]]] = [
            ("POST", "/ask/scan", self.scan),
            ("POST", "/ask/preview", self.preview),
            ("POST", "/ask/check", self.check),
            ("POST", "/ask/plan", self.plan),
            ("POST", "/ask/folder", self.folder),
            ("GET", "/net/{id:path}", self.net),
            ("GET", "/browse/{id:path}", self.browse),
            ("POST", "/classify/{id:path}", self.classify),
            ("GET", "/evaluation/{id:path}/items", self.items),
            ("GET", "/shown/{id:path}", self.shown),
            ("GET", "/zoo", self.zoo),
        ]
        return [Route(f"/api/v1{path}", what, methods=[how]) for how, path, what in table]

    async def ask(self, *argv: str, limit_s: float = asker.LIMIT_S) -> Any:
        """Return the JSON that a command prints."""
        return await self.site.asker.facts(*argv, limit_s=limit_s)

    def _path(self, asked: dict[str, Any], field: str) -> str:
        """Return a path that a request names as an argument."""
        value = asked.get(field)
        if not isinstance(value, str):
            raise Unusable(f"{field} is missing", field=field)
        path = self.site.places.path(value)
        return f"./{path}" if path.startswith("-") else path

    # ------------------------------------------------------------------ before a data set is made

    async def scan(self, request: Request) -> Response:
        """Return what a folder of pictures holds."""
        folder = self._path(await body(request), "folder")
        return answer(await self.ask("dataset", "scan", folder, "--json", limit_s=SLOW_S))

    async def preview(self, request: Request) -> Response:
        """Return a picture as it would be resized."""
        asked = await body(request)
        words = ["dataset", "preview", self._path(asked, "picture")]
        size = str(asked.get("size") or "").replace(" ", "").replace("x", ",")
        resize = str(asked.get("resize") or "squash")
        if not commands.SIZE.fullmatch(size):
            raise Unusable(f"'{size[:40]}' is not a size", expected="28, or 28,32", field="size")
        if resize not in commands.RESIZE:
            expected = ", ".join(commands.RESIZE)
            raise Unusable(
                f"'{resize[:40]}' is not a way to resize", expected=expected, field="resize"
            )
        words += ["--size", size, "--resize", resize, "--json"]
        return answer(await self.ask(*words, *(["--gray"] if asked.get("gray") else [])))

    async def folder(self, request: Request) -> Response:
        """Return the folders and files in a folder; without a path, the folders that are open."""
        asked = str((await body(request)).get("path") or "")
        return answer(folders.listing(self.site.roots, self.site.root, asked))

    # ------------------------------------------------------------------ nets

    async def check(self, request: Request) -> Response:
        """Return what is wrong with the text of a net, or its layers and its drawing."""
        asked = await body(request)
        text = asked.get("text")
        if not isinstance(text, str) or len(text) > LONGEST_NET:
            raise Unusable("the text of a net is missing, or too long", field="text")
        with scratch.passing(self.site.root) as place:
            file = place / commands.NET_FILE
            file.write_text(text, "utf-8", "replace")
            if data := asked.get("data"):
                form = {"net_from": "file", "net": _name(file, self.site.root), "data": data}
                plan = await self._plan(form, place)
                if plan.code:
                    return answer({"errors": _here(asker.errors(plan), file), **_NOTHING})
                return answer(await self._fitted(_first(plan), text, place))
            return answer(await self._described(file, place))

    async def _fitted(self, plan: dict[str, Any], text: str, place: Path) -> dict[str, Any]:
        """Return what a net is with a data set's sources and classes; lines are those of `text`."""
        file = place / store.TRAINING_NET
        file.write_text(str(plan.get("net", text)), "utf-8", "replace")
        found = await self._described(file, place)
        for error in found["errors"]:
            error["line"], error["column"] = _line_of_layer(error["text"], text), None
        return found

    async def net(self, request: Request) -> Response:
        """Return the layers and the drawing of a run's net."""
        entry = await self.site.entry(request.path_params["id"])
        for name in (store.TRAINING_NET, store.NET, commands.NET_FILE):
            if (entry.folder / name).is_file():
                break
        else:
            raise NotFound("has no net yet", where=entry.id)
        with scratch.passing(self.site.root) as place:
            return answer({**await self._described(entry.folder / name, place), "file": name})

    async def _described(self, file: Path, place: Path) -> dict[str, Any]:
        """Return {"errors", "svg", "layers", "totals"} of a net's file.

        place   a folder for the drawing
        """
        name = _name(file, self.site.root)
        found = await self.site.asker.ask("check", name, "--json")
        if found.code:
            return {"errors": _here(asker.errors(found), file), **_NOTHING}
        with contextlib.suppress(ValueError):
            facts = _first(found)
            drawing = place / "net.svg"
            drawn = await self.site.asker.ask("draw", name, "--out", _name(drawing, self.site.root))
            svg = drawing.read_text("utf-8") if not drawn.code and drawing.is_file() else ""
            totals = facts.get("totals", {})
            totals["memory"] = totals.get("memory_bytes")
            return {"errors": [], "svg": svg, "layers": facts.get("layers", []), "totals": totals}
        raise Refused("minidl check printed no JSON", where=name)

    async def plan(self, request: Request) -> Response:
        """Return what a form of training would do: its iterations, and its rates."""
        form = (await body(request)).get("form")
        if not isinstance(form, dict):
            raise Unusable("the form is missing", field="form")
        with scratch.passing(self.site.root) as place:
            found = await self._plan(form, place)
        if found.code:
            raise asker.failure(found)
        with contextlib.suppress(ValueError):
            return answer(_first(found))
        raise Refused("minidl train --plan printed no JSON", where=found.out[:200])

    async def _plan(self, form: dict[str, Any], place: Path) -> Answer:
        """Return the answer of --plan to a form's first run; its net's text lies in `place`."""
        form = {**form, "threads": None}  # of the helper it is fixed
        command = commands.build("train", form, self.site.places)[0]
        for name, text in command.files.items():
            (place / name).write_text(text, "utf-8", "replace")
        there = _name(place, self.site.root)
        out = command.proposed(self.site.root)
        words = [
            out if w == commands.OUT else w.replace(commands.OUT, there) for w in command.words
        ]
        return await self.site.asker.ask(*words, "--plan", "--json")

    async def zoo(self, request: Request) -> Response:
        """Return the nets of the zoo; with ?text=1 their prototxt, too."""
        return answer(zoo.listing(text_of(request, "text") not in ("", "0")))

    # ------------------------------------------------------------------ pictures

    async def browse(self, request: Request) -> Response:
        """Return a page of a data set: ?split=, label=, offset=, count=, thumb=, indices=."""
        entry = await self.site.entry(request.path_params["id"])
        words = ["dataset", "browse", self.site.places.job(entry.id)]
        split = text_of(request, "split", "train")
        if split not in ("train", "val", "test"):
            raise Unusable(
                f"'{split[:40]}' is not a part", expected="train, val, test", field="split"
            )
        words += ["--split", split]
        if text_of(request, "label"):
            words += [f"--label={_plain(text_of(request, 'label'), 'label')}"]
        words += _numbers(request, offset=(0, 1 << 53), count=(1, MOST_SHOWN), thumb=(0, 2048))
        words += _indices(request)
        return answer(await self.ask(*words, "--json"))

    async def items(self, request: Request) -> Response:
        """Return records behind the figures of an evaluation."""
        entry = await self.site.entry(request.path_params["id"])
        words = ["evaluate"]
        if text_of(request, "indices"):
            words += ["thumbs", self.site.places.job(entry.id), *_indices(request)]
            words += _numbers(request, thumb=(0, 2048))
            return answer(await self.ask(*words, "--json"))
        words += ["show", self.site.places.job(entry.id)]
        for name in ("truth", "predicted"):
            if text_of(request, name):
                words.append(f"--{name}={_plain(text_of(request, name), name)}")
        for name in ("wrong", "right"):
            words += [f"--{name}"] if text_of(request, name) not in ("", "0") else []
        sort = text_of(request, "sort")
        if sort:
            if sort not in ("index", "confident", "unsure", "loss"):
                raise Unusable(f"'{sort[:40]}' is not an order", field="sort")
            words += ["--sort", sort]
        most = (1, MOST_SHOWN)
        words += _numbers(request, offset=(0, 1 << 53), count=most, thumb=(0, 2048), worst=most)
        if text_of(request, "best_per_class"):
            words += ["--best-per-class", str(whole_of(request, "best_per_class", 9, 1, 100))]
        return answer(await self.ask(*words, "--json"))

    async def shown(self, request: Request) -> Response:
        """Return what an inspection has found in each layer."""
        entry = await self.site.entry(request.path_params["id"])
        found = summary.read_json(paths.file_of(entry.folder, "layers.json"))
        if not isinstance(found, dict):
            raise NotFound("has no layers.json yet", where=entry.id)
        return answer(found)

    async def classify(self, request: Request) -> Response:
        """Return what a run says of some pictures, or of a record of its data set."""
        entry = await self.site.entry(request.path_params["id"])
        asked = await body(request)
        iteration = asked.get("snapshot")
        if iteration in (None, ""):
            iteration = None
        elif not str(iteration).isdecimal():
            raise Unusable("snapshot is not an iteration", field="snapshot")
        if isinstance(record := asked.get("record"), dict):
            with scratch.passing(self.site.root) as place:
                file, label = await self._record(entry, record, place)
                found = await self.classified(entry, [_name(file, self.site.root)], iteration)
                picture = base64.b64encode(file.read_bytes()).decode()
                return answer({**found, "record": {"label": label, "png": picture}})
        names = asked.get("paths")
        if not isinstance(names, list) or not names or len(names) > MOST_PICTURES:
            raise Unusable(f"paths are 1 to {MOST_PICTURES} pictures", field="paths")
        pictures = [self._path({"paths": name}, "paths") for name in names]
        return answer(await self.classified(entry, pictures, iteration))

    async def classified(self, entry: Entry, pictures: list[str], iteration: Any) -> Any:
        """Return what `minidl classify` says of pictures, which are arguments."""
        words = ["classify", *pictures, "--run", self.site.places.job(entry.id), "--json"]
        words += ["--snapshot", str(iteration)] if iteration is not None else []
        words += ["--allow-python"] if self.site.options.allow_python else []
        return await self.ask(*words)

    async def _record(self, entry: Entry, record: dict[str, Any], place: Path) -> tuple[Path, Any]:
        """Write a record of the run's data set as a picture; return its path and its label."""
        parents = self.site.summaries.get(entry.id, {}).get("parents", {})
        data, split, index = parents.get("data"), record.get("split", "val"), record.get("index")
        if not data or split not in ("train", "val", "test") or not isinstance(index, int):
            raise Unusable("there is no such record", field="record")
        words = ["dataset", "browse", self.site.places.job(data), "--split", str(split)]
        found = await self.ask(
            *words, "--indices", str(index), "--thumb", LARGEST_PICTURE, "--json"
        )
        items = found.get("items") or []
        if not items:
            raise NotFound(f"has no record {index}", where=f"{data}, {split}")
        file = place / "record.png"
        file.write_bytes(base64.b64decode(items[0]["png"]))
        return file, items[0].get("label")


_NOTHING: dict[str, Any] = {"svg": "", "layers": [], "totals": {}}


def _first(found: Answer) -> dict[str, Any]:
    """Return the JSON of an answer; the first object of a list. Errors: ValueError."""
    import json

    facts = json.loads(found.out)
    facts = facts[0] if isinstance(facts, list) and facts else facts
    if not isinstance(facts, dict):
        raise ValueError("no object")
    return facts


def _name(path: Path, root: Path) -> str:
    return paths.shown(path, root)


def _here(found: list[dict[str, Any]], file: Path) -> list[dict[str, Any]]:
    """Return errors without the name of a file that the reader has never seen."""
    for error in found:
        if error["file"].endswith(file.name):
            error["file"] = ""
        for part in ("text", "expected", "fix"):
            error[part] = error[part].replace(str(file), file.name)
    return found


def _line_of_layer(sentence: str, text: str) -> int | None:
    """Return the line of a net's text with the name of the layer that a sentence is about.

    >>> _line_of_layer("ReLU layer 'b': no bottom", 'layer {\\n  name: "b"\\n}')
    2
    """
    if found := re.search(r"layer '([^']+)'", sentence):
        named = re.compile(rf"""\bname\s*:\s*["']{re.escape(found[1])}["']""")
        for number, line in enumerate(text.splitlines(), 1):
            if named.search(line):
                return number
    return None


def _plain(value: str, name: str) -> str:
    if len(value) > 300 or not value.isprintable():
        raise Unusable(f"{name} is too long, or has control characters", field=name)
    return value


def _numbers(request: Request, **limits: tuple[int, int]) -> list[str]:
    """Return flags for those whole numbers that a request has."""
    words = []
    for name, (low, high) in limits.items():
        if text_of(request, name):
            words += [f"--{name}", str(whole_of(request, name, low, low, high))]
    return words


def _indices(request: Request) -> list[str]:
    text = text_of(request, "indices")
    if not text:
        return []
    parts = text.split(",")
    if len(parts) > MOST_SHOWN or not all(
        p.isascii() and p.isdecimal() and len(p) < 16 for p in parts
    ):
        raise TooLarge(f"indices are at most {MOST_SHOWN} whole numbers")
    return ["--indices", text]
