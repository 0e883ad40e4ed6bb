"""CUDA sources as text: a `.cu` with what it includes, and the signatures of its kernels.

The same string goes to CuPy, to NVRTC in a test that has no GPU, and to a C++ compiler.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent
INCLUDE = re.compile(r'^#include "([\w.]+)"\n', re.MULTILINE)
KERNEL = re.compile(r"^(KERNEL|ROW_KERNEL)\s+void\s+(\w+)\s*\(([^)]*)\)", re.MULTILINE)

# What a parameter can be, as a kernel's source names it; any pointer is "*".
TYPES = ("*", "Index", "int", "long long", "float")


class Parameter(NamedTuple):
    """One parameter of a kernel: `type` is one of TYPES."""

    type: str
    name: str


class Signature(NamedTuple):
    """The parameters of a kernel.

    rows         it has a warp for each turn of its loop (ROW_KERNEL), not a thread
    parameters   all of them in order; the first is `count`
    """

    rows: bool
    parameters: tuple[Parameter, ...]


def units() -> list[str]:
    """List the names of all sources: "im2col" for im2col.cu."""
    return sorted(path.stem for path in FOLDER.glob("*.cu"))


def source(unit: str, defines: Mapping[str, object] | None = None) -> str:
    """Return the text of a `.cu` after these #defines, each header where it is first included.

    >>> source("convert", {"FROM": "Half"}).splitlines()[0]
    '#define FROM Half'
    """
    seen: set[str] = set()

    def inline(name: str) -> str:
        if name in seen:
            return ""
        seen.add(name)
        text = _read(name)
        return INCLUDE.sub(lambda found: inline(found[1]), text)

    given = "".join(f"#define {name} {value}\n" for name, value in (defines or {}).items())
    return given + inline(f"{unit}.cu")


@functools.cache
def signatures(unit: str) -> dict[str, Signature]:
    """Parse the kernels of a `.cu`, by name."""
    text = _without_comments(_read(f"{unit}.cu"))
    found = {}
    for kind, name, inside in KERNEL.findall(text):
        parameters = tuple(_parameter(unit, name, part) for part in inside.split(","))
        if parameters[0] != Parameter("Index", "count"):
            raise ValueError(f"{unit}.cu: {name}'s first parameter has to be const Index count")
        found[name] = Signature(kind == "ROW_KERNEL", parameters)
    return found


def _parameter(unit: str, kernel: str, text: str) -> Parameter:
    words = [word for word in re.findall(r"\w+|\*", text) if word not in ("const", "__restrict__")]
    *type_, name = words
    kind = "*" if "*" in type_ else " ".join(type_)
    if kind not in TYPES:
        raise ValueError(
            f"{unit}.cu: {kernel} has a parameter of type {kind!r}, not one of {TYPES}"
        )
    return Parameter(kind, name)


@functools.cache
def _read(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")


def _without_comments(text: str) -> str:
    return re.sub(r"//[^\n]*", "", text)
