"""The context of a layer: what it knows of its net."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from minidl import schema
from minidl.arrays.device import Device, default_device
from minidl.arrays.rng import Streams

MIB = 1 << 20
ALLOW_PYTHON = "MINIDL_ALLOW_PYTHON"  # in the environment: 1 lets Python layers run


_allowed = False  # by a call


def allow_python(allowed: bool = True) -> None:
    """Let Python layers of nets made from now on run the code that the nets name, with all the
    rights of this process; False: only as the environment says."""
    global _allowed
    _allowed = allowed


def python_allowed() -> bool:
    """True where a call of `allow_python`, or the environment, lets Python layers run."""
    return _allowed or os.environ.get(ALLOW_PYTHON, "").lower() in ("1", "true", "yes", "t", "y")


@dataclass(frozen=True)
class Context:
    """Device, number type, phase and random streams of one net.

    device           where its arrays live
    dtype            np.float32 or np.float64: the type of every blob and parameter
    phase            schema.TRAIN or schema.TEST
    streams          the net's random numbers
    workspace_limit  bytes that one layer may use for a scratch array such as im2col's columns
    counter          address of the number of the pass, 64 bits, in a GPU's memory; else 0
    absent_data      shape (C, H, W) of random records that stand in for a data set which is not
                     there (`minidl time`, `check`); None: an absent data set is an error
    allow_python     whether Python layers may run the code that a net names; by default what
                     `allow_python()` or the environment said
    """

    device: Device = field(default_factory=default_device)
    dtype: Any = np.float32
    phase: int = schema.TEST
    streams: Streams = field(default_factory=lambda: Streams(0))
    workspace_limit: int = 8 * MIB
    counter: int = 0
    absent_data: tuple[int, ...] | None = None
    allow_python: bool = field(default_factory=python_allowed)

    @property
    def xp(self) -> ModuleType:
        """The device's array module."""
        return self.device.xp

    @property
    def training(self) -> bool:
        """True in phase TRAIN."""
        return self.phase == schema.TRAIN
