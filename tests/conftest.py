"""Before NumPy loads: one BLAS thread, so that tests beside one another do not fight for cores."""

import os

import pytest
from hypothesis import settings

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

collect_ignore = [
    "layers/user_layers.py",  # imports `caffe`, which is there only for Python layers
    "fakegpu/site",  # its one module has the name of Debian's own, for other processes to find
]

# In CI the same examples each time: a change is not refused for what it did not do. Elsewhere new
# ones are drawn in every run, and those that fail are kept and tried again.
settings.register_profile("ci", derandomize=True, deadline=None)
# No deadlines: how long an example takes depends on who else is using the machine.
settings.register_profile("here", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")


@pytest.fixture(params=["numpy", "onednn"], scope="module")
def engine(request):
    """The test once with array code, once with what oneDNN has plans for (skipped without it)."""
    if request.param == "onednn":
        from minidl.arrays.device import Device
        from minidl.engines.onednn import OneDNN
        from minidl.engines.request import Declined

        found = OneDNN.load(Device("cpu"))
        if isinstance(found, Declined):
            pytest.skip(f"oneDNN is not available: {found.reason}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINIDL_ENGINE", request.param)
        yield request.param


@pytest.fixture
def gpu(monkeypatch):
    """The fake GPU in CuPy's place, see tests/fakegpu; what went wrong unseen fails the test."""
    from tests import fakegpu

    machine = fakegpu.install(monkeypatch)
    yield machine
    machine.check()


@pytest.fixture(params=["cpu", "cuda:0"])
def device(request):
    """The name of a device: the test once on the CPU, once on the fake GPU."""
    if request.param != "cpu":
        request.getfixturevalue("gpu")
    return request.param


@pytest.fixture
def place(request, monkeypatch):
    """A device and an engine, for tests that are marked with tests.places.on."""
    from tests import places

    yield from places.go_to(request.param, request, monkeypatch)
