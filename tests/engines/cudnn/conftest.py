"""The cuDNN engine for tests: on the fake library and a fake GPU; and the real one's descriptors."""

from __future__ import annotations

import pytest

from minidl.engines import Declined
from minidl.engines.cudnn import library
from tests.fakegpu import cudnn as fake_cudnn


@pytest.fixture
def cudnn(gpu, monkeypatch):
    """A fake cuDNN on a fake GPU; see tests/fakegpu/cudnn."""
    fake = fake_cudnn.install(monkeypatch, gpu)
    yield fake
    library._opened.cache_clear()
    fake.close()


@pytest.fixture(params=["fake", "real"])
def descriptors(request, monkeypatch):
    """The library whose descriptors are asked: the fake; and the real one, which needs no GPU.

    A cuDNN is not among what the tests install, for its size: it is used where it is there.
    """
    if request.param == "fake":
        monkeypatch.setenv(library.VARIABLE, str(fake_cudnn.built()))
    library._opened.cache_clear()
    found = library.opened()
    if isinstance(found, Declined):
        pytest.skip(f"cuDNN: {found.reason}")
    yield found
    library._opened.cache_clear()
