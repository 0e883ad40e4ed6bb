"""Progress on a terminal; elsewhere nothing, because the log shows it."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from minidl.cli import log


def steps(count: int, what: str, args: Namespace) -> Iterator[int]:
    """Yield ``range(count)``, with a progress bar if a person watches."""
    with bar(args, total=count, desc=what) as progress:
        for i in range(count):
            yield i
            progress.update()


def bar(args: Namespace, **options: Any) -> Any:
    """Return a tqdm bar on stderr, switched off if that is not a terminal; closing removes it.

    Without tqdm nothing is shown.
    """
    try:
        from tqdm import tqdm
    except ImportError:
        return _NoBar()
    shown = log.on_terminal(args)
    return tqdm(file=sys.stderr, disable=not shown, leave=False, dynamic_ncols=True, **options)


class _NoBar:
    """A bar that shows nothing."""

    format_dict = {"rate": None}  # noqa: RUF012  (tqdm's: nobody writes to it)

    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **options: None
