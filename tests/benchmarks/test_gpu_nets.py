"""The part of `make gpu-check` about whole nets: which of its cases are left out."""

import pytest

from benchmarks.gpu.cases import LeftOut
from benchmarks.gpu.parts import nets


def test_an_engine_that_is_not_available_is_left_out(gpu, monkeypatch):
    monkeypatch.setenv("MINIDL_CUDNN_LIB", "/nowhere/libcudnn.so")
    with pytest.raises(LeftOut, match="engine cudnn is not available: "):
        nets.on_gpu("lenet", 2, engine="cudnn")
