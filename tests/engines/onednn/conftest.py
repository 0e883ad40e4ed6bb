"""The oneDNN engine for tests; they are skipped, saying why, where it is not to be had."""

import pytest

from minidl.engines import Declined
from minidl.engines.onednn import load


@pytest.fixture(scope="session")
def engine():
    loaded = load()
    if isinstance(loaded, Declined):
        pytest.skip(f"oneDNN: {loaded.reason}")
    return loaded
