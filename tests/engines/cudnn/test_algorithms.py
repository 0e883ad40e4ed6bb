"""What cuDNN says of its algorithms."""

from dataclasses import replace

import pytest

from minidl.engines.cudnn import api
from minidl.engines.cudnn.algorithms import Algorithms, each_once
from minidl.engines.cudnn.library import cudnn
from minidl.engines.cudnn.problem import DATA, FILTER, FORWARD, WAYS, Problem
from minidl.engines.math import MATHS

# A convolution that all implemented algorithms can do, forward
EASY = Problem(
    x=(2, 4, 9, 7), w=(6, 4, 3, 3), y=(2, 6, 9, 7), pad=(1, 1), stride=(1, 1), dilation=(1, 1)
)


@pytest.fixture
def known(engine):
    """What the library answers, with nothing asked yet."""
    return Algorithms(engine.device)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_each_algorithm_is_there_once_and_those_that_cannot_run_are_last(known, way):
    found = known.expected(EASY, way)
    assert sorted(a.name for a in found) == sorted(way.algorithms)
    assert all(way.algorithms[a.number] == a.name for a in found)
    refused = [bool(a.refusal) for a in found]
    assert refused == sorted(refused)


def test_what_is_known_of_an_algorithm(known):
    found = {a.name: a for a in known.expected(EASY, FILTER)}
    assert not found["algo0"].deterministic and found["algo1"].deterministic
    assert found["fft"].workspace > 0 and not found["fft"].refusal
    assert found["winograd"].refusal == "not supported for this shape and chip"
    forward = {a.name: a for a in known.expected(EASY, FORWARD)}
    assert forward["implicit_gemm"].workspace == 0
    assert forward["direct"].refusal


def test_each_question_is_asked_once(known, monkeypatch):
    asked = []
    call = cudnn().call

    def counted(name, *args):
        asked.append(name)
        call(name, *args)

    monkeypatch.setattr(cudnn(), "call", counted)
    for _ in range(3):
        known.expected(EASY, FORWARD)
        known.expected(replace(EASY), DATA)
    assert [n for n in asked if n.endswith("_v7")] == [
        "cudnnGetConvolutionForwardAlgorithm_v7",
        "cudnnGetConvolutionBackwardDataAlgorithm_v7",
    ]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_measured_ones_are_in_the_order_of_their_times(known, way):
    found = [a for a in known.measured(EASY, way) if not a.refusal]
    times = [a.ms for a in found]
    assert times == sorted(times) and times[0] > 0
    assert {a.name for a in found} == {a.name for a in known.expected(EASY, way) if not a.refusal}


def test_what_needs_more_than_the_limit_is_not_run(known):
    limit = 1000
    ran = {a.name for a in known.measured(EASY, FORWARD, limit) if not a.refusal}
    fits = {a.name for a in known.expected(EASY, FORWARD) if a.workspace <= limit and not a.refusal}
    assert "implicit_gemm" in ran <= fits


def test_true_float32_never_multiplies_on_tensor_cores(known):
    for math, tensor_cores in dict(float32=False, fp16=True).items():
        dtype = "float16" if math == "fp16" else "float32"
        for way in WAYS:
            found = known.expected(replace(EASY, math=MATHS[math], dtype=dtype), way)
            kinds = {a.math for a in found if not a.refusal}
            assert (api.TENSOR_OP_MATH in kinds) == tensor_cores
            assert kinds <= ({api.FMA_MATH} if math == "float32" else {0, 1})


def test_of_several_entries_the_first_that_can_run_counts(engine):
    """The library lists an algorithm once for each way to multiply; in true float32 those that
    round factors do not count, whatever is asked of it."""

    def entry(name, status, math, memory):
        return api.Perf(api.FORWARD_ALGORITHMS.index(name), status, -1, memory, 1, math)

    fma, tensor_cores, refused = api.FMA_MATH, api.TENSOR_OP_MATH, 3000
    found = [
        entry("gemm", 0, tensor_cores, 1),
        entry("winograd", refused, fma, 2),
        entry("winograd", 0, fma, 3),
        entry("winograd", 0, fma, 4),
        entry("fft", refused, fma, 5),
        api.Perf(99, 0),  # of a version to come
    ]
    known = list(each_once(found, FORWARD, EASY))
    assert [(a.name, bool(a.refusal), a.workspace) for a in known] == [
        ("winograd", False, 3),
        ("fft", True, 0),
    ]
    rounding = list(each_once(found, FORWARD, replace(EASY, math=MATHS["tf32"])))
    assert [(a.name, a.math) for a in rounding if not a.refusal] == [
        ("gemm", tensor_cores),
        ("winograd", fma),
    ]


def test_an_algorithm_that_is_refused_as_it_will_be_called_is_not_settled_on(known):
    by_name = {a.name: a for a in known.expected(EASY, FORWARD)}
    assert known.settled(EASY, FORWARD, by_name["direct"]) is None
    asked = replace(by_name["winograd"], workspace=0)
    assert known.settled(EASY, FORWARD, asked).workspace == by_name["winograd"].workspace
