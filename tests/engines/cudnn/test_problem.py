"""A convolution in the library's words."""

from dataclasses import replace

import pytest
from hypothesis import assume, given

from minidl.engines.cudnn import api
from minidl.engines.cudnn.convolution import plain_problem
from minidl.engines.cudnn.problem import DATA, FILTER, FORWARD, WAYS, Algorithm, Setup
from minidl.engines.request import Declined
from tests.engines.cudnn.test_algorithms import EASY
from tests.engines.cudnn.test_convolution import convolutions
from tests.engines.onednn.parity import truth


@given(convolutions())
def test_the_library_agrees_with_every_top(engine, drawn):
    """Of a transposed convolution: with its bottom, for a top that is the image."""
    kind, fields, shape = drawn
    made = truth(kind, shape, **fields)
    problem = plain_problem(made.op, made.request())
    assume(not isinstance(problem, Declined))
    setup = Setup(problem)
    assert setup.convolution().out(setup.of["x"], setup.of["w"]) == problem.y


@pytest.mark.parametrize("dtype, size", [("float32", 4), ("float16", 2), ("bfloat16", 2)])
def test_bytes_of_its_arrays(dtype, size):
    found = replace(EASY, dtype=dtype).nbytes
    assert found == {"x": size * 504, "w": size * 216, "y": size * 756}


def test_each_pass_takes_its_arrays_in_the_order_of_its_function():
    of = {"x": 1, "w": 2, "y": 3}
    assert [way.between("c", of) for way in (FORWARD, DATA, FILTER)] == [
        (1, 2, "c", 3),
        (2, 3, "c", 1),
        (1, 3, "c", 2),
    ]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_an_algorithm_without_workspace_is_given_none(engine, way):
    setup, at = Setup(EASY), {"x": 100, "w": 200, "y": 300}
    for size, room in ((0, None), (64, 4096)):
        name, alpha, *args = setup.call(way, Algorithm("any", 1, workspace=size), at, 4096)
        assert name == f"cudnnConvolution{way.word}" and alpha is api.ONE
        assert args[5:8] == [1, room, size]
        assert args[-1] == at[way.writes]
