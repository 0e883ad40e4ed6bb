"""Sources with their headers in them, and what a kernel's signature is read as."""

from __future__ import annotations

import pytest

from minidl.engines.cupy_kernels import source
from minidl.engines.cupy_kernels.source import Parameter, Signature

INDEX = Parameter("Index", "count")


@pytest.fixture
def files(monkeypatch):
    """Sources made up for a test: name -> text."""
    texts: dict[str, str] = {}
    monkeypatch.setattr(source, "_read", texts.__getitem__)
    source.signatures.cache_clear()
    yield texts
    source.signatures.cache_clear()


def test_defines_come_first_and_each_header_once(files):
    files |= {
        "a.cu": '#include "b.cuh"\n#include "c.cuh"\n#include <math.h>\nlast\n',
        "b.cuh": '#include "c.cuh"\nsecond\n',
        "c.cuh": "first\n",
    }
    text = source.source("a", {"N": 3, "T": "float"})
    assert text == "#define N 3\n#define T float\nfirst\nsecond\n#include <math.h>\nlast\n"


def test_signatures_are_read_from_the_source(files):
    files["a.cu"] = """
        // KERNEL void no(const Index count)
KERNEL void one(const Index count, const float *__restrict__ x, TO *y,  // y: the result
                const long long length, int k, const float slope)
{
}
ROW_KERNEL void two(const Index count) { }
"""
    rest = [("*", "x"), ("*", "y"), ("long long", "length"), ("int", "k"), ("float", "slope")]
    assert source.signatures("a") == {
        "one": Signature(False, (INDEX, *(Parameter(*p) for p in rest))),
        "two": Signature(True, (INDEX,)),
    }


@pytest.mark.parametrize(
    "parameters, why",
    [("const int n", "first parameter"), ("const Index count, double x", "of type 'double'")],
)
def test_a_kernel_that_cannot_be_launched_is_refused(files, parameters, why):
    files["a.cu"] = f"KERNEL void f({parameters}) {{ }}\n"
    with pytest.raises(ValueError, match=why):
        source.signatures("a")


def test_every_source_here_has_kernels_that_can_be_launched():
    assert source.units()
    for unit in source.units():
        assert source.signatures(unit)
