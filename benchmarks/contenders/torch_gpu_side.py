"""PyTorch training on a GPU; a step is as many iterations as the job says, waited for at the end.

job["task"]           "train"
job["net"], job["batch"], job["dropout"]
job["iterations"]     in a step; one where it is compared with others, that is, without dropout
job["math"]           "float32", "tf32", or "bf16": forward and loss under autocast
job["channels_last"]  weights and images in that memory format
job["graph"]          the whole iteration as one CUDA graph
job["device"]         "cuda", unless a test says "cpu"

As its manual advises: cudnn.benchmark, a fused update, gradients set to None.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.alternate import Declined
from benchmarks.contenders import torch_nets
from benchmarks.contenders.torch_side import load, parameter_groups
from benchmarks.inputs import MOMENTUM, RATE, batch_of

WARM = 3  # iterations before one is recorded


def work(job: dict[str, Any]) -> Training:
    name = job.get("device", "cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise Declined("this PyTorch has no GPU")
    return Training(job, torch.device(name))


class Training:
    """Forward, backward and update by SGD. Results: losses."""

    def __init__(self, job: dict[str, Any], device: torch.device) -> None:
        torch.set_num_threads(job["threads"])
        tf32 = job["math"] == "tf32"
        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.backends.cudnn.allow_tf32 = tf32
        torch.backends.cudnn.benchmark = True
        self.job, self.device, folder = job, device, Path(job["folder"])
        net = getattr(torch_nets, job["net"])()
        load(net, folder / f"{job['net']}.npz")
        if job.get("dropout") is False:
            for module in net.modules():
                if isinstance(module, nn.Dropout):
                    module.p = 0.0
        form = torch.channels_last if job.get("channels_last") else torch.contiguous_format
        self.net = net.to(device, memory_format=form).train()
        images, labels = batch_of(job["net"], job["batch"])
        self.images = torch.from_numpy(images).to(device).contiguous(memory_format=form)
        self.labels = torch.from_numpy(labels).to(device)
        groups = parameter_groups(self.net, folder / f"{job['net']}.json")
        self.optimizer = torch.optim.SGD(groups, lr=RATE, momentum=MOMENTUM, fused=True)
        self.criterion = nn.CrossEntropyLoss()
        self.autocast = torch.autocast(
            device.type, dtype=torch.bfloat16, enabled=job["math"] == "bf16"
        )
        self.iterations = 1 if job.get("dropout") is False else job["iterations"]
        self.once = self._recorded() if job.get("graph") else self._once

    def step(self) -> None:
        for _ in range(self.iterations):
            self.once()
        self._wait()

    def result(self) -> list[float]:
        return [self.loss.item()]

    def facts(self) -> dict[str, Any]:
        cuda = self.device.type == "cuda"
        return {
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "math": self.job["math"],
            "memory format": "channels last" if self.job.get("channels_last") else "plain",
            "graph": bool(self.job.get("graph")),
            "batch": self.job["batch"],
            "iterations": self.iterations,
            "loss": self.loss.item(),
            "gpu_bytes": torch.cuda.max_memory_reserved() if cuda else None,
        }

    def _once(self) -> None:
        self.optimizer.zero_grad()
        with self.autocast:
            self.loss = self.criterion(self.net(self.images), self.labels)
        self.loss.backward()
        self.optimizer.step()

    def _recorded(self) -> Any:
        """One iteration as a graph. The iterations before it, which libraries need, are undone."""
        weights = [parameter.detach().clone() for parameter in self.net.parameters()]
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM):
                self._once()
        torch.cuda.current_stream().wait_stream(aside)
        self.optimizer.zero_grad()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._once()
        with torch.no_grad():
            for parameter, before in zip(self.net.parameters(), weights, strict=True):
                parameter.copy_(before)
                self.optimizer.state[parameter]["momentum_buffer"].zero_()
        return graph.replay

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
