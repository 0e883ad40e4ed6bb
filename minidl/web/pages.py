"""The pages: HTML shells from templates; what is on them is fetched by their scripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from minidl.web.answers import text_of
from minidl.web.site import Site

HERE = Path(__file__).parent
STATIC, TEMPLATES = HERE / "static", HERE / "templates"
BY_KIND = {"train": "run", "dataset": "dataset", "evaluate": "evaluation", "show": "inspection"}
TITLES = {"new/dataset": "New data set", "new/run": "New run", "new/evaluation": "New evaluation"}


def environment() -> jinja2.Environment:
    """Return where templates come from; everything in them is escaped."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )


class Pages:
    """Renders TEMPLATE.html with: page, id, title, job (a summary, or None), version, root,
    allow_python, query (of the address)."""

    def __init__(self, site: Site) -> None:
        self.site, self.jinja = site, environment()

    def render(self, request: Request, page: str, title: str, **more: Any) -> Response:
        """Return a page; `status` in `more` is that of HTTP."""
        facts = {
            "page": page,
            "id": "",
            "title": title,
            "job": None,
            "version": self.site.options.version,
            "root": str(self.site.root),
            "allow_python": self.site.options.allow_python,
            "query": dict(request.query_params),
            "status": 200,
            **more,
        }
        text = self.jinja.get_template(f"{page}.html").render(facts)
        return HTMLResponse(text, facts["status"])

    async def home(self, request: Request) -> Response:
        return self.render(request, "home", "Home")

    async def job(self, request: Request) -> Response:
        """The page of a run, a data set, an evaluation or an inspection."""
        name = request.path_params["id"]
        found = await self.site.summary(name)
        page = BY_KIND.get(found["kind"], "run")
        return self.render(request, page, found["name"], id=name, job=found)

    async def explore(self, request: Request) -> Response:
        name = request.path_params["id"]
        found = await self.site.summary(name)
        return self.render(request, "explore", f"{found['name']}: pictures", id=name, job=found)

    async def new(self, request: Request) -> Response:
        """The form of a new job: /new/dataset, /new/run, /new/evaluation."""
        kind = request.url.path.removeprefix("/new/")
        page, name = f"new_{kind}", text_of(request, "run") if kind == "evaluation" else ""
        found = await self.site.summary(name) if name else None
        return self.render(request, page, TITLES[f"new/{kind}"], id=name, job=found)

    async def compare(self, request: Request) -> Response:
        return self.render(request, "compare", "Compare", id=text_of(request, "ids"))

    async def system(self, request: Request) -> Response:
        return self.render(request, "system", "System")

    def problem(self, request: Request, status: int, error: dict[str, Any]) -> Response:
        """Return the page of an error: its parts, and where to go from there."""
        return self.render(
            request, "error", "Not found" if status == 404 else "Error", status=status, error=error
        )
