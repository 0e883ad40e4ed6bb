"""The fake against CuPy itself: no names and no arguments that CuPy has not."""

import json
import subprocess
import sys
from importlib import metadata

import pytest

from tests.fakegpu.table import TABLE, signature


def installed():
    """The version of the CuPy that is installed, or None."""
    for name in ("cupy", "cupy-cuda12x", "cupy-cuda13x"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            pass


@pytest.mark.skipif(installed() != TABLE["version"], reason="the table is of another CuPy")
def test_the_table_says_what_the_installed_cupy_says():
    command = [sys.executable, "-m", "tests.fakegpu.extract"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == TABLE


def test_a_signature_is_read_from_the_table():
    assert str(signature("functions", "take")) == "(a, indices, axis=None, out=None)"
    assert str(signature("functions", "copyto")) == "(dst, src, casting=None, where=None)"
    assert str(signature("methods", "reshape")) == "(*shape, order=None, copy=None)"


def names(thing):
    return {name for name in dir(thing) if not name.startswith("_")}


def test_the_fake_has_no_names_that_cupy_has_not(gpu):
    import cupy
    import cupyx

    assert names(cupy) <= set(TABLE["names"])
    assert names(cupyx) <= set(TABLE["cupyx"])
    assert names(cupy.ndarray) <= set(TABLE["ndarray"])
    assert names(cupy.cuda) <= set(TABLE["cuda"])
    assert names(cupy.cuda.runtime) <= set(TABLE["runtime"])


# The fake's is a bytearray: in Python 3.11 a class cannot offer its memory otherwise.
CLASSES = sorted(set(TABLE["classes"]) - {"PinnedMemoryPointer"})


@pytest.mark.parametrize("kind", CLASSES)
def test_its_classes_have_no_more_than_cupys(gpu, kind):
    import cupy

    fakes = getattr(cupy, kind, None) or getattr(cupy.cuda, kind)
    assert names(fakes) <= set(TABLE["classes"][kind])


def test_what_the_fake_lacks_says_whose_fault_it_is(gpu):
    import cupy

    with pytest.raises(AttributeError, match="the fake GPU has no cupy.ElementwiseKernel yet"):
        cupy.ElementwiseKernel  # noqa: B018
    with pytest.raises(AttributeError, match="module 'cupy' has no attribute 'busday_count'"):
        cupy.busday_count  # noqa: B018
