"""The user's own code, imported before a command runs: --import."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from minidl.errors import UsageError


def load(modules: Iterable[str]) -> None:
    """Import modules by name (the current folder counts), by the path of a .py file or a package.

    Errors: UsageError for anything that a module raises, a call of exit() included.
    """
    for name in modules:
        try:
            _load(name)
        except KeyboardInterrupt:
            raise
        except (Exception, SystemExit) as error:
            raise UsageError(
                f"cannot be imported: {type(error).__name__}: {error}",
                where=f"--import {name}",
                fix="--debug shows the place",
            ) from error


def _load(name: str) -> None:
    path = Path(name)
    if path.suffix == ".py":
        spec: Any = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
        return
    home = ""
    if len(path.parts) > 1 and (path / "__init__.py").is_file():
        home, name = str(path.parent.resolve()), path.name
    if home not in sys.path:
        sys.path.insert(0, home)
    importlib.import_module(name)
