"""Progress on a terminal; elsewhere nothing, for the log says it."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from minidl.cli import log


def steps(count: int, what: str, args: Namespace) -> Iterator[int]:
    """``range(count)``, with a progress bar where a person watches."""
    with bar(args, total=count, desc=what) as progress:
        for i in range(count):
            yield i
            progress.update()


def bar(args: Namespace, **options: Any) -> Any:
    """A tqdm bar on stderr, switched off where no terminal is; it vanishes when it is closed.

    Without tqdm nothing is shown.
    """
    try:
        from tqdm import tqdm
    except ImportError:
        return _NoBar()
    shown = log.on_terminal(args)
    return tqdm(file=sys.stderr, disable=not shown, leave=False, dynamic_ncols=True, **options)


class _NoBar:
    """What takes a bar's calls, and shows nothing."""

    format_dict = {"rate": None}  # noqa: RUF012  (tqdm's: nobody writes to it)

    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **options: None
