"""minidl training on a GPU; a step is as many iterations as the job says, waited for at the end.

job["task"]        "train"
job["net"], job["batch"], job["dropout"]
job["iterations"]  in a step; one where it is compared with others, that is, without dropout
job["options"]     keywords of get_solver: device, math, share
"""

from __future__ import annotations

from typing import Any

import minidl
from benchmarks import nets
from benchmarks.contenders.minidl_side import SOLVER, _Work
from benchmarks.inputs import batch_of
from minidl import prototxt


def work(job: dict[str, Any]) -> Training:
    return Training(job)


def iterations(job: dict[str, Any]) -> int:
    return 1 if job.get("dropout") is False else job["iterations"]


class Training(_Work):
    """Forward, backward and update. Results: losses."""

    def __init__(self, job: dict[str, Any]) -> None:
        super().__init__(job)
        param = prototxt.read_solver(SOLVER)
        param.net_param.CopyFrom(nets.train_net(self.name, self.batch, job.get("dropout", True)))
        self.solver = self.make(minidl.get_solver, param)
        self.net = self.solver.net
        self.net.copy_from(self.folder / f"{self.name}.caffemodel")
        images, labels = batch_of(self.name, self.batch)
        self.net.device.write(self.net.blobs["data"].data, images)
        self.net.device.write(self.net.blobs["label"].data, labels)

    def step(self) -> None:
        self.solver.step(iterations(self.job))
        self.net.device.synchronize()

    def result(self) -> list[float]:
        return [self.net.loss]

    def facts(self) -> dict[str, Any]:
        """With the loss, whether a graph ran, and the most memory that CuPy has taken."""
        found = super().facts() | {"loss": self.net.loss, "iterations": self.job["iterations"]}
        if self.net.device.kind == "cuda":
            pool = self.net.device.xp.get_default_memory_pool()
            found["no graph"] = self.net.graph_off
            found["gpu_bytes"] = int(pool.used_bytes() + pool.free_bytes())
            found["plans"] = [step.describe() for step in self.net.schedule.steps]
        return found
