"""What a request can be refused for: errors with a status of HTTP."""

from __future__ import annotations

from typing import Any

from minidl.errors import MinidlError, UsageError, legible


class Refused(UsageError):
    """A request that cannot be done.

    status   of HTTP
    field    of the form, where one is to blame
    more     for the answer, beside the error
    """

    status = 400

    def __init__(
        self, found: str, *, field: str = "", more: dict[str, Any] | None = None, **parts: str
    ) -> None:
        super().__init__(found, **parts)
        self.field, self.more = field, more or {}


class Forbidden(Refused):
    """A request from another site, without the token, or for a path outside."""

    status = 403


class NotFound(Refused):
    """There is no such job, file or page."""

    status = 404


class Conflict(Refused):
    """The state of a job does not allow it."""

    status = 409


class TooLarge(Refused):
    """A body or a picture is larger than is taken."""

    status = 413


class Unusable(Refused):
    """A form or an upload that makes no sense."""

    status = 422


def as_json(error: BaseException) -> tuple[int, dict[str, Any]]:
    """Return the status and the JSON of an error."""
    if isinstance(error, MinidlError):
        facts = {
            "type": type(error).__name__,
            "message": legible(error.found),
            "where": legible(error.where),
            "expected": legible(error.expected),
            "fix": legible(error.fix),
        }
        more = {}
        if isinstance(error, Refused):
            facts |= {"field": error.field} if error.field else {}
            more = error.more
        return getattr(error, "status", 400), {"error": facts, **more}
    if isinstance(error, OSError):
        message = error.strerror or str(error)
        return 500, {"error": {"type": "OSError", "message": message, "expected": "", "fix": ""}}
    return 500, {
        "error": {
            "type": type(error).__name__,
            "message": "this is a bug in minidl; the terminal of minidl serve shows where",
            "expected": "",
            "fix": "",
        }
    }
