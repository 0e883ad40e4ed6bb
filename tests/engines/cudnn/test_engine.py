"""The cuDNN engine: where it is available, what it has plans for."""

from dataclasses import replace

import numpy as np
import pytest

from minidl import ops
from minidl.arrays.device import Device
from minidl.engines.cudnn import Cudnn, library
from minidl.engines.cupy_kernels.layout import Dense
from minidl.engines.math import Math
from minidl.engines.request import Declined, Request
from minidl.engines.tuning import describe
from minidl.engines.update import Step
from minidl.errors import DeviceError
from tests.engines.cudnn.test_convolution import CASES, convolved
from tests.engines.harness import memory, plain

ANY = Request(bottom_shapes=((2, 3, 4, 5),), top_shapes=((2, 3, 4, 5),), bottom_layouts=(None,))


def test_a_device_has_one_engine_with_a_name_and_a_version(engine):
    loaded = Cudnn.load(engine.device)
    assert loaded is Cudnn.load(engine.device)
    assert (loaded.name, loaded.version, loaded.generation) == ("cudnn", library.cudnn().version, 0)
    assert loaded.isa == "Fake GPU"


def test_the_cpu_has_none():
    assert "NVIDIA GPUs, not on 'cpu'" in Cudnn.load(Device("cpu")).reason


def test_without_the_library_it_says_so(engine, monkeypatch):
    monkeypatch.setattr(library, "opened", lambda: Declined("there is no libcudnn.so.9"))
    assert (
        Cudnn.load.__func__.__wrapped__(Cudnn, engine.device).reason == "there is no libcudnn.so.9"
    )


@pytest.mark.parametrize(
    "op, changes, said",
    [
        (ops.Sum((1.0,)), {}, "it has nothing for Sum"),
        (ops.Activation("relu"), {"math": Math("int8")}, "tf32, fp16, bf16, not int8"),
        (ops.Activation("relu"), {"top_shapes": ((0, 3),)}, "a bottom or top is empty"),
        (ops.Softmax(1), {"bottom_shapes": ((2**31, 3, 1, 1),)}, "does not fit into the 32 bits"),
    ],
)
def test_what_it_has_no_plans_for(engine, op, changes, said):
    request = Request(**{**vars(ANY), **changes})
    assert said in engine.plans(op, request).reason


def test_no_update_of_single_parameters(engine):
    assert isinstance(engine.updater(Step("sgd"), [], [], 1), Declined)


def test_it_converts_between_layouts(engine):
    shape, values = (2, 3, 4, 5), np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    source = memory(shape, None, values, engine.device)
    target = memory(shape, Dense(shape, "float16", "nhwc"), device=engine.device)
    back = memory(shape, None, device=engine.device)
    with engine.device.current():
        engine.converter(source, target)()
        engine.converter(target, back)()
    np.testing.assert_array_equal(plain(back), values.astype(np.float16).astype(np.float32))


def test_candidates_have_names_apart(engine):
    """By which tuning keeps their times."""
    made = convolved("Convolution", **CASES["plain"])
    names = [describe(plan) for plan in made.plans(engine)]
    assert len(set(names)) == len(names)


def test_what_was_tried_once_is_not_tried_again(engine, monkeypatch):
    def tried(op):
        calls = []
        monkeypatch.setattr(engine.trials, "_tried", lambda *args: calls.append(args) or "")
        list(engine.plans(op, ANY))
        return len(calls)

    op = ops.LRN(3, 0.123, 0.75, 2.0)
    assert [tried(op), tried(op), tried(replace(op, size=5))] == [1, 0, 1]


def test_too_little_memory_to_try_something_is_a_reason(engine, monkeypatch):
    def full(self, size):
        raise DeviceError(f"cuda:0 has not {size} bytes left")

    monkeypatch.setattr(type(engine.device), "bytes_", full)
    answer = engine.plans(ops.LRN(3, 0.321, 0.75, 2.0), ANY)
    assert answer == Declined("cuda:0 has not 992 bytes left")  # x and y


def test_a_large_batch_is_tried_with_a_few_images(engine):
    assert engine.trials.images((4096, 64, 28, 28), arrays=4) == 5
    assert engine.trials.images((2, 64, 28, 28), arrays=4) == 2
    assert engine.trials.images((7, 4096, 512, 512), arrays=4) == 1
