"""PyTorch: training and inference, eager, as its documentation shows them.

job["task"]             "train" or "infer"
job["net"], job["batch"], job["dropout"]
job["channels_last"]    weights and images in that memory format
job["math"]             "bf16": forward and loss under autocast
job["fused"]            the update in one kernel, torch.optim.SGD(fused=True)
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.contenders import torch_layers, torch_nets
from benchmarks.inputs import DECAY, MOMENTUM, RATE, batch_of


def work(job: dict[str, Any]) -> _Work:
    return {"train": Training, "infer": Inference}[job["task"]](job)


class _Work:
    def __init__(self, job: dict[str, Any]) -> None:
        torch.set_num_threads(job["threads"])
        self.job, self.folder = job, Path(job["folder"])
        self.net = torch_nets.made(job["net"])
        load(self.net, self.folder / f"{job['net']}.npz")
        if job.get("dropout") is False:
            for module in self.net.modules():
                if isinstance(module, nn.Dropout):
                    module.p = 0.0
        images, labels = batch_of(job["net"], job["batch"])
        self.images, self.labels = torch.from_numpy(images), torch.from_numpy(labels)
        if job.get("channels_last"):
            self.net = self.net.to(memory_format=torch.channels_last)
            self.images = self.images.to(memory_format=torch.channels_last)

    def facts(self) -> dict[str, Any]:
        variables = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")
        return {
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "math": self.job.get("math", "float32"),
            "memory format": "channels last" if self.job.get("channels_last") else "plain",
            "batch": self.job["batch"],
            "environment": {k: v for k, v in os.environ.items() if k.startswith(variables)},
        }


class Training(_Work):
    """Forward, backward and update by SGD. Results: losses."""

    def __init__(self, job: dict[str, Any]) -> None:
        super().__init__(job)
        self.net.train()
        fused = True if job.get("fused") else None
        groups = parameter_groups(self.net, self.folder / f"{job['net']}.json")
        self.optimizer = torch.optim.SGD(groups, lr=RATE, momentum=MOMENTUM, fused=fused)
        self.criterion = nn.CrossEntropyLoss()
        self.autocast = torch.autocast(
            "cpu", dtype=torch.bfloat16, enabled=job.get("math") == "bf16"
        )

    def step(self) -> None:
        self.optimizer.zero_grad()
        with self.autocast:
            self.loss = self.criterion(self.net(self.images), self.labels)
        self.loss.backward()
        self.optimizer.step()

    def result(self) -> list[float]:
        return [self.loss.item()]

    def facts(self) -> dict[str, Any]:
        return super().facts() | {"loss": self.loss.item()}


class Inference(_Work):
    """Images in, probabilities out."""

    def __init__(self, job: dict[str, Any]) -> None:
        super().__init__(job)
        self.net = nn.Sequential(self.net, nn.Softmax(1)).eval()

    @torch.no_grad()
    def step(self) -> None:
        self.output = self.net(self.images)

    def result(self) -> list[float]:
        return self.output.flatten().tolist()


def load(net: nn.Module, file: Path) -> None:
    """Give every module the parameters of the layer of its name."""
    with np.load(file) as arrays, torch.no_grad():
        for key, parameter in net.named_parameters():
            parameter.copy_(torch.from_numpy(arrays[caffe_name(net, key)]))


def parameter_groups(net: nn.Module, file: Path) -> list[dict[str, Any]]:
    """SGD's groups: the parameters that share lr_mult and decay_mult."""
    multipliers = json.loads(file.read_text())
    groups = defaultdict(list)
    for key, parameter in net.named_parameters():
        mults = multipliers.get(caffe_name(net, key), {"lr_mult": 1.0, "decay_mult": 1.0})
        groups[mults["lr_mult"], mults["decay_mult"]].append(parameter)
    return [
        {"params": params, "lr": RATE * lr_mult, "weight_decay": DECAY * decay_mult}
        for (lr_mult, decay_mult), params in groups.items()
    ]


def caffe_name(net: nn.Module, key: str) -> str:
    """'fire2.conv1x1_1.bias' is parameter 1 of layer 'fire2/conv1x1_1': 'fire2/conv1x1_1/1'."""
    layer, _, kind = key.rpartition(".")
    if isinstance(net, torch_layers.Layers):
        layer = net.names[layer]
    return f"{layer.replace('.', '/')}/{('weight', 'bias').index(kind)}"
