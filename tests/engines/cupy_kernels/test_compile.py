"""Every CUDA source compiles: for each GPU that NVRTC knows, and as C++ for the tests."""

from __future__ import annotations

import pytest

from minidl.engines.cupy_kernels.source import signatures, source, units
from minidl.engines.cupy_kernels.update import RULES
from tests.engines.cupy_kernels import host, nvrtc

ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)  # from Turing to Blackwell
THOROUGHLY = 90  # the one for which code is optimised as for a launch; otherwise, quickly
WARNINGS = ["-Werror=all-warnings"]

# The #defines of sources whose branches the usual ones do not all reach.
VARIANTS = {
    "convert": [
        dict(FROM=a, TO=b, FROM_LAST=i, TO_LAST=1 - i)
        for i, (a, b) in enumerate([("float", "Half"), ("Bfloat16", "float")])
    ],
    "im2col": [dict(NUMBER="Half")],
    "maps": [dict(NUMBER="Bfloat16")],
    "lrn": [dict(SIZE=31)],
    "update": [dict(RULE=rule.upper()) for rule in RULES],
    "pooling": [dict(KH=30, KW=20, SH=1, SW=1, PLACE="int")],
}
BUILDS = [
    pytest.param(unit, given, id=f"{unit} {given}" if given else unit)
    for unit in units()
    for given in ({}, {"WIDE": 1}, *VARIANTS.get(unit, []))
]


@pytest.fixture(scope="module")
def known():
    """The architectures that the installed NVRTC compiles for; without NVRTC there is no test."""
    if nvrtc.library() is None:
        pytest.skip("NVRTC is not here: pip install nvidia-cuda-nvrtc")
    return nvrtc.architectures()


@pytest.mark.parametrize("unit", units())
def test_nvrtc_compiles_it(known, unit):
    code = nvrtc.compiled(source(unit), THOROUGHLY, *WARNINGS)
    for name in signatures(unit):
        assert name.encode() in code


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_nvrtc_compiles_all_for_every_gpu(known, architecture):
    if architecture not in known:
        pytest.skip(f"this NVRTC knows no sm_{architecture}, but {known}")
    for unit in units():
        assert nvrtc.compiled(source(unit), architecture, *WARNINGS, *nvrtc.quickly())


@pytest.mark.parametrize("unit, defines", [build for build in BUILDS if build.values[1]])
def test_nvrtc_compiles_its_variants(known, unit, defines):
    assert nvrtc.compiled(source(unit, defines), THOROUGHLY, *WARNINGS, *nvrtc.quickly())


@pytest.mark.parametrize("unit, defines", BUILDS)
def test_a_cpp_compiler_builds_it(unit, defines):
    library = host.library(source(unit, defines))
    assert signatures(unit)
    for name in signatures(unit):
        assert hasattr(library, name)
