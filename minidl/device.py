"""Where arrays live and which array module computes with them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from minidl.errors import DeviceError


class Device:
    """A place for arrays: `name` and `xp`, the array module (NumPy's API) that works there.

    An argument, never a global mode: nets on different devices live side by side.

    name    "cpu"; other devices are refused by name until their code is there
    """

    def __init__(self, name: str = "cpu") -> None:
        if name != "cpu":
            raise DeviceError(
                f"there is no device {name!r}: this version of minidl computes on the CPU only",
                expected="cpu",
                fix="leave out -gpu / device=, or use device='cpu'",
            )
        self.name = name
        self.xp: ModuleType = np

    def zeros(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """A zeroed array of its own in this device's memory."""
        return self.xp.zeros(shape, dtype)

    def to_host(self, array: Any) -> np.ndarray:
        """The values as a NumPy array (no copy on the CPU)."""
        return np.asarray(array)

    def __repr__(self) -> str:
        return f"Device({self.name!r})"


_default = "cpu"


def set_device(name: str) -> None:
    """Choose the device of nets made from now on; nets that exist stay where they are."""
    global _default
    _default = Device(name).name


def set_mode_cpu() -> None:
    """pycaffe's name for ``set_device("cpu")``."""
    set_device("cpu")


def set_mode_gpu() -> None:
    """pycaffe's name for ``set_device("cuda:0")``, which this version refuses."""
    set_device("cuda:0")


def default_device() -> Device:
    """The device that `set_device` chose, "cpu" at first."""
    return Device(_default)
