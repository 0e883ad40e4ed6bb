"""What CuPy has and takes, from api.json (see extract.py), and the check of a call against it."""

import inspect
import json
from functools import cache
from pathlib import Path

TABLE = json.loads(Path(__file__).with_name("api.json").read_text("utf-8"))


@cache
def signature(kind, name):
    """The `inspect.Signature` of a function ("functions") or of an array's method ("methods")."""
    found, named_only = [], False
    for text in TABLE[kind][name]:
        if text == "*":
            named_only = True
        elif text.startswith("**"):
            found.append(inspect.Parameter(text[2:], inspect.Parameter.VAR_KEYWORD))
        elif text.startswith("*"):
            found.append(inspect.Parameter(text[1:], inspect.Parameter.VAR_POSITIONAL))
            named_only = True
        else:
            p = inspect.Parameter
            where = p.KEYWORD_ONLY if named_only else p.POSITIONAL_OR_KEYWORD
            default = None if text.endswith("=") else p.empty
            found.append(p(text.rstrip("="), where, default=default))
    return inspect.Signature(found)


def bind(kind, name, args, kwargs):
    """Refuse, as CuPy does, arguments that it has not; -> the arguments by their names."""
    try:
        return signature(kind, name).bind(*args, **kwargs).arguments
    except TypeError as error:
        raise TypeError(f"cupy's {name}(): {error}") from None
