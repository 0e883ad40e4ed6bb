"""What a part consists of: named cases, each of which runs, is left out, or fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

Facts = dict[str, Any]


class LeftOut(Exception):
    """A case cannot be run here; the text says why. That is no failure."""


class Wrong(Exception):
    """What came out is not what it should be.

    facts   what was found all the same
    """

    def __init__(self, text: str, facts: Facts | None = None) -> None:
        super().__init__(text)
        self.facts = facts or {}


@dataclass(frozen=True)
class Case:
    """One thing to find out.

    run   returns what is to be known of it, for the JSON file; "text" in it is printed, too, and
          "declined" says that there was nothing to run. Errors: LeftOut; anything else is a failure
    """

    name: str
    run: Callable[[], Facts | None]


@dataclass(frozen=True)
class Settings:
    """How a part is to run.

    word    what stands behind the colon in its name
    tiny    next to nothing to do: shows whether it runs, on a machine where that takes long
    left    seconds that are left to the part
    """

    word: str
    tiny: bool
    left: Callable[[], float]


class Module(Protocol):
    """A module in parts/. Naming the cases does nothing that could fail on the device."""

    def cases(self, settings: Settings) -> Iterator[Case]: ...
