"""Where tests run: on which device, by which engine."""

import pytest

from minidl.arrays import device
from minidl.arrays.device import Device
from minidl.engines.onednn import OneDNN
from minidl.engines.request import Declined


class on(list):  # noqa: N801  (read as a word: @on("cpu", "cuda:0"))
    """Each test in every one of these places: for `pytestmark`, or over a test or a class.

    "cpu"             the processor, engines as they come; "cpu/numpy", "cpu/onednn": by this one
    "cuda:0"          a fake GPU with our own kernels, whose streams work as late as CUDA allows
    "cuda:0/cudnn"    the same with a fake cuDNN instead of them
    "cuda:0/numpy"    a fake GPU with array code alone, which works at once

    The device is the default one, and tests may treat its arrays as the host's: see
    tests/fakegpu/lenient.py. A test that is marked `cpu_only(reason)` is skipped on a GPU.
    """

    def __init__(self, *places):
        super().__init__(
            [
                pytest.mark.usefixtures("place"),
                pytest.mark.parametrize("place", places, indirect=True),
            ]
        )

    def __call__(self, test):
        for mark in self:
            test = mark(test)
        return test


def go_to(place, request, monkeypatch):
    """Make the place the default one; yields its name until the test is over."""
    name, _, engine = place.partition("/")
    if engine:
        monkeypatch.setenv("MINIDL_ENGINE", engine)
    if name == "cpu":
        if engine == "onednn" and isinstance(found := OneDNN.load(Device("cpu")), Declined):
            pytest.skip(f"oneDNN is not available: {found.reason}")
        yield place
        return
    for mark in request.node.iter_markers("cpu_only"):
        pytest.skip(mark.args[0])
    gpu = request.getfixturevalue("gpu")
    cudnn = _cudnn(monkeypatch, gpu) if engine == "cudnn" else None
    gpu.lazy = engine != "numpy"
    monkeypatch.setattr(device, "_default", name)
    with gpu.lenient_tests():
        yield place
    if cudnn is not None:
        cudnn.close()


def _cudnn(monkeypatch, gpu):
    from tests.fakegpu import cudnn

    return cudnn.install(monkeypatch, gpu)
