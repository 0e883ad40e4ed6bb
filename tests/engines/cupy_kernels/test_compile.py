"""Every CUDA source compiles: for each GPU that NVRTC knows, and as C++ for the tests."""

from __future__ import annotations

import pytest

from minidl.engines.cupy_kernels.source import signatures, source, units
from tests.engines.cupy_kernels import host, nvrtc

ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)  # from Turing to Blackwell
THOROUGHLY = 90  # the one for which code is optimised as for a launch; for the others, quickly
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
    "pooling": [dict(KH=30, KW=20, SH=1, SW=1, PLACE="int")],
}
BUILDS = [
    pytest.param(unit, given, id=f"{unit} {given}" if given else unit)
    for unit in units()
    for given in ({}, *VARIANTS.get(unit, []))
]


@pytest.mark.parametrize("unit, defines", BUILDS)
def test_nvrtc_compiles_it_for_every_gpu(unit, defines):
    if nvrtc.library() is None:
        pytest.skip("NVRTC is not here: pip install nvidia-cuda-nvrtc")
    known = set(nvrtc.architectures()) & set(ARCHITECTURES)
    assert known
    for architecture in sorted(known):
        speed = [] if architecture == THOROUGHLY else nvrtc.quickly()
        code = nvrtc.compiled(source(unit, defines), architecture, *WARNINGS, *speed)
        for name in signatures(unit):
            assert name.encode() in code


@pytest.mark.parametrize("unit", units())
def test_it_also_compiles_with_wide_indices(unit):
    if nvrtc.library() is None:
        pytest.skip("NVRTC is not here: pip install nvidia-cuda-nvrtc")
    assert nvrtc.compiled(source(unit, {"WIDE": 1}), THOROUGHLY, *WARNINGS, *nvrtc.quickly())
    assert host.library(source(unit, {"WIDE": 1}))


@pytest.mark.parametrize("unit, defines", BUILDS)
def test_a_cpp_compiler_builds_it(unit, defines):
    library = host.library(source(unit, defines))
    assert signatures(unit)
    for name in signatures(unit):
        assert hasattr(library, name)
