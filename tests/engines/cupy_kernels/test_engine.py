"""The engine itself: where it is available, and what it has plans for."""

from __future__ import annotations

from minidl import ops
from minidl.arrays.device import Device
from minidl.engines.cupy_kernels import CupyKernels
from minidl.engines.request import Declined
from tests.engines.onednn.parity import truth


def test_there_is_one_for_every_gpu_and_none_for_the_processor(gpu):
    engine = CupyKernels.load(Device("cuda:0"))
    assert isinstance(engine, CupyKernels) and (engine.name, engine.generation) == ("cupy", 0)
    answer = CupyKernels.load(Device("cpu"))
    assert isinstance(answer, Declined) and "'cpu'" in answer.reason


def test_what_it_does_not_know_is_declined(engine):
    expected = truth("InnerProduct", (2, 3), num_output=4)
    answer = engine.plans("a description of another kind", expected.request())
    assert answer == Declined("")  # which is no news: nobody has to read of it


def test_empty_bottoms_are_declined(engine):
    request = truth("InnerProduct", (2, 3), num_output=4).request(bottom_shapes=((0, 3),))
    answer = engine.plans(ops.Gemm(4), request)
    assert isinstance(answer, Declined) and "(0, 3)" in answer.reason
