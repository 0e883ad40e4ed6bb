"""Weights between a file and a net, beside the bytes of the same file alone.

job["task"]    "load" (Net.copy_from), "read" (all bytes into new memory),
               "save" (Net.save), "write" (the same bytes, kept by the disk as save has them)
job["net"]     whose caffemodel it is
The file lies in the page cache: that of "load" has been read before, that of "save" is replaced.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np


def work(job: dict[str, Any]) -> _Work:
    return {"load": Load, "read": Read, "save": Save, "write": Write}[job["task"]](job)


class _Work:
    def __init__(self, job: dict[str, Any]) -> None:
        self.name, folder = job["net"], Path(job["folder"])
        self.file = folder / f"{self.name}.caffemodel"
        self.copy = folder / f"{job['task']}.caffemodel"

    def result(self) -> list[float]:
        return []

    def facts(self) -> dict[str, Any]:
        return {"bytes": self.file.stat().st_size}


class _WithNet(_Work):
    def __init__(self, job: dict[str, Any]) -> None:
        super().__init__(job)
        import minidl
        from benchmarks import nets

        self.net = minidl.Net(nets.deploy_net(self.name, 1), minidl.TEST)


class Load(_WithNet):
    def step(self) -> None:
        self.net.copy_from(self.file)


class Save(_WithNet):
    def step(self) -> None:
        self.net.save(self.copy)


class Read(_Work):
    def step(self) -> None:
        np.fromfile(self.file, np.uint8)


class Write(_Work):
    def __init__(self, job: dict[str, Any]) -> None:
        super().__init__(job)
        self.bytes = np.fromfile(self.file, np.uint8)

    def step(self) -> None:
        with open(self.copy, "wb") as file:
            file.write(self.bytes)
            file.flush()
            os.fsync(file.fileno())
