"""The application: routes, errors as JSON or as a page, everything behind `Safety`."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from minidl.errors import MinidlError
from minidl.web.actions import Actions
from minidl.web.answers import answer
from minidl.web.api import Api
from minidl.web.asking import Asking
from minidl.web.assets import Assets
from minidl.web.digits_api import DigitsApi
from minidl.web.exchange import Exchange
from minidl.web.pages import STATIC, Pages
from minidl.web.problems import as_json
from minidl.web.safety import Rules, Safety
from minidl.web.site import Site

log = logging.getLogger("minidl.web")


def make(site: Site, rules: Rules) -> Safety:
    """Return the application of a site, with who may ask what."""
    pages = Pages(site)

    @contextlib.asynccontextmanager
    async def life(app: Any) -> AsyncIterator[None]:
        async with site.open():
            yield

    async def problem(request: Request, error: Exception) -> Response:
        return _problem(pages, request, error)

    kinds: list[Any] = [MinidlError, OSError, HTTPException, Exception]
    inner = Starlette(
        routes=[
            *_pages(pages),
            *Api(site).routes(),
            *Actions(site).routes(),
            *Asking(site).routes(),
            *Exchange(site).routes(),
            *DigitsApi(site).routes(),
            Route("/static/{name:path}", Assets(STATIC).send),
        ],
        exception_handlers=dict.fromkeys(kinds, problem),
        lifespan=life,
    )
    return Safety(inner, rules)


def _pages(pages: Pages) -> list[Route]:
    return [
        Route("/", pages.home),
        Route("/job/{id:path}", pages.job),
        Route("/explore/{id:path}", pages.explore),
        Route("/new/dataset", pages.new),
        Route("/new/run", pages.new),
        Route("/new/evaluation", pages.new),
        Route("/compare", pages.compare),
        Route("/system", pages.system),
    ]


def _problem(pages: Pages, request: Request, error: Exception) -> Response:
    """Return the answer for an error: JSON for programs, a page for people."""
    if isinstance(error, HTTPException):
        status = error.status_code
        words = {404: "there is no such page", 405: "this address takes another method"}
        message = words.get(status, str(error.detail))
        facts: dict[str, Any] = {
            "error": {"type": "HTTP", "message": message, "expected": "", "fix": "", "where": ""}
        }
    else:
        status, facts = as_json(error)
    if status >= 500:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    wants_page = "text/html" in request.headers.get("accept", "")
    if wants_page and not request.url.path.startswith("/api/"):
        return pages.problem(request, status, {"where": "", **facts["error"]})
    return answer(facts, status)
