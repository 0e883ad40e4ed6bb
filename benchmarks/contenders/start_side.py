"""How long programs take to start: a step runs job["words"] after the Python interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent


def work(job: dict[str, Any]) -> Start:
    return Start(job)


class Start:
    def __init__(self, job: dict[str, Any]) -> None:
        self.command = [sys.executable, *job["words"]]
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self.environment = os.environ | {"PYTHONPATH": path}

    def step(self) -> None:
        subprocess.run(self.command, env=self.environment, stdout=subprocess.DEVNULL, check=True)

    def result(self) -> list[float]:
        return []

    def facts(self) -> dict[str, Any]:
        return {"command": " ".join(["python", *self.command[1:]])}
