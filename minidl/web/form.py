"""A form, read field by field, and the words of a command line that come of it.

Nothing in it is trusted: numbers are read as numbers, choices are checked, names of files are
resolved and have to lie below the root or a data root, and no value can become a flag.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minidl.web import paths
from minidl.web.problems import Refused, Unusable

Form = Mapping[str, Any]


@dataclass(frozen=True)
class Places:
    """Where names in forms are looked up: the root, which job ids count from, and data roots."""

    root: Path
    roots: tuple[Path, ...]
    allow_python: bool = False

    def path(self, name: str) -> str:
        """Return the path of a file or folder for a command line."""
        return paths.shown(paths.readable(self.roots, name, self.root), self.root)

    def job(self, name: str) -> str:
        """Return a job's id as a path for a command line."""
        return paths.shown(paths.job_folder(self.root, name), self.root)


def as_argument(path: str) -> str:
    """Return a path that no command takes for a flag."""
    return f"./{path}" if path.startswith("-") else path


class Reader:
    """A form, read field by field, and the words that come of it."""

    def __init__(self, form: Form, places: Places) -> None:
        self.form, self.places = form, places
        self._words: list[str] = []

    def words(self) -> tuple[str, ...]:
        return tuple(self._words)

    def add(self, *words: str) -> None:
        """Add words; a value after a flag that begins with '-' is joined to it with '='."""
        for word in words:
            if len(word) > 1 and word[0] == "-" and not word.startswith("--"):
                self._words[-1] += f"={word}"
            else:
                self._words.append(word)

    def get(self, name: str) -> Any:
        return self.form.get(name)

    def empty(self, name: str) -> bool:
        return self.form.get(name) in (None, "", [])

    def text(self, name: str, most: int) -> str:
        value = self.form.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise Unusable(f"{name} is not text", field=name)
        return self.clean(value, name, most)

    def clean(self, value: str, name: str, most: int) -> str:
        value = value.strip()
        if len(value) > most or not value.isprintable():
            raise Unusable(f"{name} has control characters or more than {most}", field=name)
        return value

    def required(self, name: str) -> str:
        value = self.text(name, paths.LONGEST)
        if not value:
            raise Unusable(f"{name.replace('_', ' ')} is missing", field=name)
        return value

    def one_of(self, name: str, *choices: str) -> str:
        """Return a choice; the first one by default."""
        return self.checked_choice(name, *choices) or choices[0]

    def checked_choice(self, name: str, *choices: str) -> str:
        value = self.form.get(name)
        if value in (None, ""):
            return ""
        if value not in choices:
            raise Unusable(
                f"{name} is '{str(value)[:40]}'", expected=", ".join(choices), field=name
            )
        return str(value)

    def choice(self, name: str, *choices: str, flag: str = "") -> None:
        if value := self.checked_choice(name, *choices):
            self.add(f"--{flag or name}", value)

    def word(self, name: str) -> None:
        """Add a flag with a name, such as that of a layer."""
        value = self.text(name, 200)
        if value:
            self._words += [_flag(name), value] if value[0] != "-" else [f"{_flag(name)}={value}"]

    def switch(self, name: str) -> None:
        value = self.form.get(name)
        if value in (True, "true", "on", "1", 1):
            self.add(_flag(name))
        elif value not in (None, "", False, "false", "off", "0", 0):
            raise Unusable(f"{name} is '{str(value)[:40]}'", expected="true or false", field=name)

    def checked_whole(self, name: str, low: int, high: int) -> int:
        value = self.checked_number(name, low, high)
        if value != int(value):
            raise Unusable(f"{name} is {value:g}", expected="a whole number", field=name)
        return int(value)

    def checked_number(self, name: str, low: float, high: float) -> float:
        value = self.form.get(name)
        try:
            number = math.nan if isinstance(value, bool) else float(str(value).strip()[:40])
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            raise Unusable(
                f"{name} is '{str(value)[:40]}'",
                expected=f"a number from {low:g} to {high:g}",
                field=name,
            )
        return number

    def whole(self, name: str, low: int = 0, high: int = 1 << 53) -> None:
        if not self.empty(name):
            self.add(_flag(name), str(self.checked_whole(name, low, high)))

    def number(self, name: str, low: float = -1e30, high: float = 1e30) -> None:
        if not self.empty(name):
            self.add(_flag(name), f"{self.checked_number(name, low, high):.12g}")

    def path(self, name: str) -> str:
        """Return a path that the form must have, for a command line."""
        return self._found(self.places.path, name)

    def paths(self, *names: str, **others: str) -> None:
        """Add paths that may be absent: names of fields, which are the flags, and FLAG=FIELD."""
        for flag, name in [*((name, name) for name in names), *others.items()]:
            if not self.empty(name):
                path = self.path(name)
                self._words += [f"{_flag(flag)}={path}"] if path[0] == "-" else [_flag(flag), path]

    def job(self, name: str) -> str:
        """Return a job's id that the form must have, for a command line."""
        return self._found(self.places.job, name)

    def _found(self, look: Callable[[str], str], name: str) -> str:
        value = self.required(name)
        try:
            return look(value)
        except Refused as error:
            error.field = name
            raise

    def source(self, name: str) -> tuple[str, str]:
        """Return a job's id or a path as an argument, and the id if it is one ("" if not)."""
        value = self.required(name)
        below = self.places.root / value
        if not value.startswith(("/", "~")) and below.is_dir():
            found = self.job(name)
            return as_argument(found), found
        return as_argument(self.path(name)), ""


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
