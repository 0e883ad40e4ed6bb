"""cuDNN in tests: the engine on a fake library and a fake GPU; the real one's descriptors."""

from __future__ import annotations

import pytest

from minidl.arrays.device import Device
from minidl.engines.cudnn import Cudnn, library
from minidl.engines.request import Declined
from tests import fakegpu
from tests.fakegpu import cudnn as fake_cudnn


@pytest.fixture
def cudnn(gpu, monkeypatch):
    """A fake cuDNN on a fake GPU; see tests/fakegpu/cudnn."""
    fake = fake_cudnn.install(monkeypatch, gpu)
    yield fake
    fake.close()


@pytest.fixture
def real():
    """The real library, of which descriptors work without a GPU.

    It is not among what the tests install, for its size: it is used where it is there.
    """
    library._opened.cache_clear()
    found = library.opened()
    if isinstance(found, Declined):
        pytest.skip(f"cuDNN: {found.reason}")
    yield found
    library._opened.cache_clear()


@pytest.fixture(params=["fake", "real"])
def descriptors(request, monkeypatch):
    """The library whose descriptors are asked: the fake; and the real one, where it is there."""
    if request.param == "fake":
        monkeypatch.setenv(library.VARIABLE, str(fake_cudnn.built()))
    return request.getfixturevalue("real")


@pytest.fixture(scope="module")
def fake():
    """The same for a whole module."""
    with pytest.MonkeyPatch.context() as patch:
        machine = fakegpu.install(patch)
        made = fake_cudnn.install(patch, machine)
        yield made
        made.close()
        machine.check()


@pytest.fixture(scope="module")
def engine(fake):
    """The engine on it, which remembers what it was told of algorithms and trials."""
    return Cudnn(Device("cuda"), library.cudnn())


@pytest.fixture
def without(fake):
    """without(way, algorithm, ...): an engine on a chip that does not have these algorithms."""
    gone = []

    def engine(way, *algorithms):
        for algorithm in algorithms:
            fake.decline(way, algorithm)
            gone.append((way, algorithm))
        return Cudnn(Device("cuda"), library.cudnn())

    yield engine
    for way, algorithm in gone:
        fake.decline(way, algorithm, off=False)
