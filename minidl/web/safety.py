"""Who may ask what: pure ASGI, around every request.

A page of another site can make a browser send requests here. So the Host header has to be ours
(else a name of theirs could be pointed at this machine), a request that changes something has to
come from a page of ours, and whoever listens beyond the loopback needs a token.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode

from minidl.web.problems import Forbidden, Refused, TooLarge, as_json

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("localhost", "127.0.0.1", "::1")
COOKIE = "minidl_token"
READING = ("GET", "HEAD", "OPTIONS")
LARGEST_BODY = 8 << 20
LARGEST_UPLOAD = 2 << 30
UPLOAD = "/api/v1/upload"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


@dataclass(frozen=True)
class Rules:
    """Who is let in.

    hosts   names that the Host header may hold, without port
    port    that it may hold; 0 for any
    token   that every request has to show; "" for none
    """

    hosts: frozenset[str] = field(default_factory=lambda: frozenset(LOOPBACK))
    port: int = 0
    token: str = ""


def is_loopback(host: str) -> bool:
    """Return whether a host that is to be bound is this machine's own."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def hosts(bound: str, allowed: Iterable[str]) -> frozenset[str]:
    """Return the names for the Host header: the bound address, and those that were allowed."""
    ours = LOOPBACK if is_loopback(bound) or bound in ("0.0.0.0", "::") else ()
    return frozenset(name.lower().strip("[]") for name in (*ours, bound, *allowed))


def check(rules: Rules, method: str, headers: MutableMapping[str, str]) -> None:
    """Refuse a request by its Host, Origin and Sec-Fetch-Site. Errors: Forbidden."""
    host = headers.get("host", "")
    name, port = _split(host)
    if name not in rules.hosts or (rules.port and port not in (rules.port, None)):
        raise Forbidden(
            "the Host header is not this server's",
            where=host[:200],
            expected=", ".join(sorted(rules.hosts)),
            fix="minidl serve --allow-host NAME",
        )
    if method in READING:
        return
    site = headers.get("sec-fetch-site")
    if site not in (None, "same-origin", "none"):
        raise Forbidden("the request comes from another site", where=f"Sec-Fetch-Site: {site}")
    origin = headers.get("origin")
    if origin is not None and origin.lower() not in (
        f"http://{host}".lower(),
        f"https://{host}".lower(),
    ):
        raise Forbidden("the request comes from another site", where=f"Origin: {origin[:200]}")
    if site is None and origin is None and "cookie" in headers:
        raise Forbidden("a browser's request does not say where it comes from")


def _split(host: str) -> tuple[str, int | None]:
    """Return the name and the port of a Host header."""
    name, colon, port = host.rpartition(":")
    if not colon or "]" in port:
        return host.lower().strip("[]"), None
    return name.lower().strip("[]"), int(port) if port.isascii() and port.isdecimal() else -1


class Safety:
    """The application inside, with every request checked and every answer given its headers."""

    def __init__(self, app: App, rules: Rules) -> None:
        self.app, self.rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}
        path = scope["path"]
        sending = _with_headers(send, cached=path.startswith("/static/"))
        try:
            check(self.rules, scope["method"], headers)
            if self.rules.token and not await self._known(scope, headers, sending):
                return
            most = LARGEST_UPLOAD if path == UPLOAD else LARGEST_BODY
            bounded = _bounded(receive, headers, most)
        except Refused as error:
            await _refuse(error, sending)
            return
        await self.app(scope, bounded, sending)

    async def _known(self, scope: Scope, headers: dict[str, str], send: Send) -> bool:
        """Return whether the request may go on: it shows the token, or has been answered."""
        asked = parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        given = next((value for name, value in asked if name == "token"), None)
        if given is not None and self._right(given) and scope["method"] == "GET":
            rest = urlencode([pair for pair in asked if pair[0] != "token"])
            await _to_cookie(scope["path"], rest, self.rules.token, send)
            return False
        bearer = headers.get("authorization", "").removeprefix("Bearer ").strip()
        if self._right(bearer) or self._right(_cookie(headers.get("cookie", ""))):
            return True
        raise Forbidden(
            "the token is missing or wrong",
            expected="the address that minidl serve printed, with ?token=...",
        )

    def _right(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.rules.token.encode())


def _cookie(text: str) -> str:
    try:
        found = SimpleCookie(text).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


async def _to_cookie(path: str, query: str, token: str, send: Send) -> None:
    """Answer with the token as a cookie, and send the browser to the address without it."""
    local = "/" + path.lstrip("/\\")  # not //elsewhere
    where = local + (f"?{query}" if query else "")
    cookie = f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000"
    headers = [
        (b"location", where.encode("utf-8", "replace")),
        (b"set-cookie", cookie.encode("latin-1")),
        (b"content-length", b"0"),
    ]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _refuse(error: Refused, send: Send) -> None:
    status, facts = as_json(error)
    body = json.dumps(facts).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _with_headers(send: Send, cached: bool) -> Send:
    """Return `send` that adds the headers of every answer."""
    ours = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    freshness = (b"cache-control", b"no-cache" if cached else b"no-store")

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            found = list(message.get("headers", ()))
            names = {name.lower() for name, _ in found}
            found += [pair for pair in [*ours, freshness] if pair[0] not in names]
            message = {**message, "headers": found}
        await send(message)

    return sending


def _bounded(receive: Receive, headers: dict[str, str], most: int) -> Receive:
    """Return `receive` that refuses bodies of more than `most` bytes. Errors: TooLarge."""
    length = headers.get("content-length", "0")
    if length.isascii() and length.isdecimal() and int(length[:20]) > most:
        raise _too_large(most)
    seen = 0

    async def receiving() -> MutableMapping[str, Any]:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise _too_large(most)
        return message

    return receiving


def _too_large(most: int) -> TooLarge:
    return TooLarge("the body is too large", expected=f"{most:,} bytes at most")
