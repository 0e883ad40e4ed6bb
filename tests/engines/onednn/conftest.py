"""The oneDNN engine for tests; they are skipped, saying why, where it is not available."""

import pytest

from minidl.arrays.device import Device
from minidl.engines.onednn import OneDNN
from minidl.engines.request import Declined


@pytest.fixture(scope="session")
def engine():
    loaded = OneDNN.load(Device("cpu"))
    if isinstance(loaded, Declined):
        pytest.skip(f"oneDNN: {loaded.reason}")
    return loaded
