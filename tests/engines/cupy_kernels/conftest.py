"""A GPU that is not there, and the engine on it."""

import pytest

from tests import fakegpu


@pytest.fixture(scope="module")
def gpu():
    with pytest.MonkeyPatch.context() as patch:
        yield fakegpu.install(patch)


@pytest.fixture(scope="module")
def engine(gpu):
    from minidl.arrays.device import Device
    from minidl.engines.cupy_kernels import CupyKernels

    return CupyKernels(Device("cuda"))
