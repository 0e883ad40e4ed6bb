"""The nets of the zoo as a form offers them, read from its files alone."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parent.parent
SIDES = re.compile(r"dim: *(\d+)\s+dim: *(\d+)\s*\}")
TITLE = re.compile(r"^# *(.+)$", re.MULTILINE)


def folder() -> Path:
    """Return the zoo's folder: inside the installed package, or beside it in a checkout."""
    return next((p for p in (PACKAGE / "zoo", PACKAGE.parent / "zoo") if p.is_dir()), PACKAGE)


@lru_cache(maxsize=2)
def listing(with_text: bool = False) -> list[dict[str, Any]]:
    """Return {"name", "title", "size", "classifies", "text"} of each net."""
    found = []
    for solver in sorted(folder().glob("*/solver.prototxt")):
        place = solver.parent
        nets = sorted(place.glob("*train*.prototxt"))
        text = nets[0].read_text("utf-8") if nets else ""
        readme = place / "README.md"
        title = TITLE.search(readme.read_text("utf-8")) if readme.is_file() else None
        one = {
            "name": place.name,
            "title": title[1] if title else place.name,
            "size": _size(place),
            "classifies": any("SoftmaxWithLoss" in path.read_text("utf-8") for path in nets),
        }
        found.append({**one, "text": text} if with_text else one)
    return found


def _size(place: Path) -> list[int] | None:
    """Return height and width of the pictures that a net was made for."""
    for path in sorted(place.glob("*deploy.prototxt")):
        if match := SIDES.search(path.read_text("utf-8")):
            return [int(match[1]), int(match[2])]
    return None
