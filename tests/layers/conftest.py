"""Layers are tested on the CPU and on the fake GPU, one for each module since tests are many."""

import pytest

from tests import fakegpu


@pytest.fixture(scope="module")
def gpu():
    """The fake GPU in CuPy's place, see tests/fakegpu; what went wrong unseen fails the module."""
    with pytest.MonkeyPatch.context() as patch:
        machine = fakegpu.install(patch)
        yield machine
        machine.check()


@pytest.fixture(params=["cpu", "cuda:0"], scope="module")
def device(request):
    """The name of a device: the test once on the CPU, once on the fake GPU."""
    if request.param != "cpu":
        request.getfixturevalue("gpu")
    return request.param
