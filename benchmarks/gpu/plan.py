"""The parts of a run in their order, and how long each may take."""

from __future__ import annotations

from typing import NamedTuple


class Part(NamedTuple):
    """One part: the module of this name in parts/, perhaps with a word for it.

    name      "plans", or "plans:cudnn"
    title     to be read
    seconds   after which it begins nothing more; what it is at may take GRACE longer
    """

    name: str
    title: str
    seconds: float


GRACE = 30.0

CHECK = (
    Part("device", "what computes here", 20),
    Part("kernels", "our kernels compiled for this chip", 60),
    Part("layers", "every layer's array code against float64 on the CPU", 40),
    Part("plans:cupy", "plans of our kernels against float64 layers", 50),
    Part("plans:cudnn", "plans of cuDNN, every algorithm, against float64 layers", 60),
    Part("golden", "numbers recorded from Caffe", 40),
    Part("nets", "whole nets against the CPU; graphs, masks, the same bits", 70),
    Part("leak", "10,000 steps of LeNet, memory flat", 45),
    Part("algorithms", "minidl time --algorithms on AlexNet", 45),
)
BENCH = (
    Part("races", "training against PyTorch", 200),
    Part("times", "every layer against its floor: minidl time", 60),
    Part("precision", "the error of each arithmetic", 40),
    Part("compare", "CPU beside GPU: minidl time --compare", 90),
)
