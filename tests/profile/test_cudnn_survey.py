"""Every algorithm of a convolution, run and compared with the definition."""

from dataclasses import replace

import pytest

from minidl.engines.cudnn.algorithms import Algorithms
from minidl.engines.cudnn.problem import WAYS
from minidl.engines.math import MATHS
from minidl.errors import DeviceError
from minidl.profile import cudnn_survey, samples
from minidl.profile.cudnn_survey import survey
from tests.engines.cudnn.test_algorithms import EASY

# What a result is off by: roundings to float32, of factors to TF32, of results to 16 bits
ERRORS = {"float32": (0, 1e-6), "tf32": (1e-5, 1e-2), "fp16": (1e-5, 1e-2), "bf16": (1e-4, 5e-2)}
DTYPES = {"fp16": "float16", "bf16": "bfloat16"}


def results(engine, problem=EASY, **options):
    return list(survey(engine.device, Algorithms(engine.device), problem, 2, **options))


@pytest.mark.parametrize("math", ERRORS)
def test_every_algorithm_is_there_with_its_time_and_error_or_its_reason(engine, math):
    order = "nhwc" if math in DTYPES else "nchw"
    problem = replace(EASY, math=MATHS[math], dtype=DTYPES.get(math, "float32"), order=order)
    found = results(engine, problem)
    names = [(r.way.name, r.algorithm.name) for r in found]
    assert sorted(names) == sorted((w.name, name) for w in WAYS for name in w.algorithms)
    least, most = ERRORS[math]
    for result in found:
        if result.algorithm.refusal:
            assert result.ms is None and result.error is None
        else:
            assert result.ms >= 0
            assert least <= result.error <= most, result
    assert sum(r.ms is not None for r in found) >= 3


def test_a_wrong_result_is_seen(engine, monkeypatch):
    """As if an algorithm left out the last channel."""
    element = samples.element

    def less(problem, of, writes, place):
        cut = {**of, "x": of["x"].copy()}
        cut["x"][:, -1] = 0
        return element(problem, cut, writes, place)

    monkeypatch.setattr(samples, "element", less)
    forward = [r for r in results(engine) if r.way.name == "forward" and r.ms is not None]
    assert forward and all(result.error > 0.1 for result in forward)


def test_a_result_that_was_never_written_is_no_result(engine, monkeypatch):
    monkeypatch.setattr(cudnn_survey, "sequence", lambda *args: lambda: None)
    errors = [r.error for r in results(engine) if r.ms is not None]
    assert errors and all(error != error for error in errors)  # NaN


def test_what_needs_more_than_the_limit_does_not_run(engine):
    for result in results(engine, limit=0):
        assert result.ms is None or result.algorithm.workspace == 0
    said = {r.algorithm.name: r.algorithm.refusal for r in results(engine, limit=0)}
    assert said["winograd"].endswith("above the limit") or said["winograd"].startswith("not")
    assert said["fft_tiling"].endswith("above the limit")


def test_too_little_memory_is_a_reason_like_others(engine, monkeypatch):
    bytes_ = type(engine.device).bytes_

    def small(self, size):
        if size > 100_000:
            raise DeviceError("cuda:0 has not 1.00 GB left")
        return bytes_(self, size)

    monkeypatch.setattr(type(engine.device), "bytes_", small)
    said = {r.algorithm.name: r.algorithm.refusal for r in results(engine)}
    assert said["fft"] == "cuda:0 has not 1.00 GB left"
    assert said["implicit_gemm"] == ""
