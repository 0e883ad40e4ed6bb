"""Answers in JSON, and what requests ask for, read from them."""

from __future__ import annotations

import json
import math
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from minidl.web.problems import Refused


def answer(data: Any, status: int = 200) -> Response:
    """Return data as a response; NaN and infinity become null."""
    try:
        text = json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    except ValueError:
        text = json.dumps(finite(data), separators=(",", ":"), ensure_ascii=False)
    return Response(text.encode("utf-8", "replace"), status, media_type="application/json")


def finite(value: Any) -> Any:
    """Return a value with null in the place of numbers that JSON lacks."""
    if isinstance(value, dict):
        return {key: finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def text_of(request: Request, name: str, otherwise: str = "") -> str:
    """Return a value of the query."""
    return request.query_params.get(name, otherwise)


def number_of(request: Request, name: str, otherwise: float) -> float:
    """Return a number of the query. Errors: Refused."""
    text = text_of(request, name)
    if not text:
        return otherwise
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Refused(f"{name} is '{text[:40]}'", expected="a number", field=name)
    return value


def whole_of(request: Request, name: str, otherwise: int, low: int = 0, high: int = 1 << 53) -> int:
    """Return a whole number of the query, from `low` to `high`. Errors: Refused."""
    value = number_of(request, name, otherwise)
    if value != int(value) or not low <= value <= high:
        raise Refused(
            f"{name} is {value:g}", expected=f"a whole number from {low} to {high}", field=name
        )
    return int(value)


def names_of(request: Request, name: str) -> list[str] | None:
    """Return a list, separated by commas, of the query; None where it is absent."""
    text = text_of(request, name)
    return [part for part in text.split(",") if part] if text else None


async def body(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request. Errors: Refused."""
    kind = request.headers.get("content-type", "").split(";")[0].strip()
    if kind != "application/json":
        raise Refused(
            f"the body is of type '{kind[:60]}'", expected="Content-Type: application/json"
        )
    text = await request.body()
    try:
        found = json.loads(text or b"{}")
    except (ValueError, RecursionError):
        raise Refused("the body is not JSON") from None
    if not isinstance(found, dict):
        raise Refused("the body is not a JSON object")
    return found
