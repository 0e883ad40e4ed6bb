"""Prototxt read loosely, without a schema: enough to say where two files differ.

>>> fields('base_lr: 0.1  # fast\\nstepvalue: 1 stepvalue: 2\\nlayer { name: "a" p { x: 1 } }')
{'base_lr': '0.1', 'stepvalue': '1, 2', 'a.p.x': '1'}
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

TOKEN = re.compile(
    r"""#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[{}<>:;,\[\]]|[^\s{}<>:;,\[\]#"']+"""
)
OPEN, CLOSE = ("{", "<"), ("}", ">")
DEEPEST, MOST = 30, 200_000
LAYERS = ("layer", "layers")

Message = list[tuple[str, Any]]


def fields(text: str) -> dict[str, str]:
    """Return the values of a prototxt by path; several of one name with commas between them.

    Fields of a layer have its name before them in place of "layer".
    """
    found: dict[str, list[str]] = {}
    for path, value in _flat(_message(_tokens(text), 0), ""):
        found.setdefault(path, []).append(value)
    return {path: ", ".join(values) for path, values in found.items()}


def _tokens(text: str) -> Iterator[str]:
    for number, match in enumerate(TOKEN.finditer(text)):
        if number > MOST:
            return
        if match[0][0] != "#" and match[0] not in (":", ";", ","):
            yield match[0]


def _message(tokens: Iterator[str], depth: int) -> Message:
    found: Message = []
    name = ""
    for token in tokens:
        if token in CLOSE:
            break
        if token in OPEN:
            if depth > DEEPEST:
                break
            found.append((name, _message(tokens, depth + 1)))
            name = ""
        elif token in "[]":
            continue
        elif not name:
            name = token
        else:
            found.append((name, token.strip("\"'")))
            name = ""
    return found


def _flat(message: Message, prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in message:
        if isinstance(value, list):
            called = name
            if name in LAYERS and not prefix:
                called = next((v for n, v in value if n == "name" and isinstance(v, str)), name)
                value = [pair for pair in value if pair[0] != "name"]
            yield from _flat(value, f"{prefix}{called}.")
        else:
            yield prefix + name, value
