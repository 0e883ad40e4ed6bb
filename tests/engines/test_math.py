"""Arithmetic: what each kind stores, multiplies and adds up."""

import subprocess
import sys

from minidl import ops
from minidl.arrays.device import Device
from minidl.engines import select, tuning
from minidl.engines.engine import Engine, Operators
from minidl.engines.math import BF16, FLOAT32, MATHS, TF32, Math
from minidl.engines.request import Declined, Request
from tests.engines.fake import FakeEngine
from tests.support import ROOT

REQUEST = Request(bottom_shapes=((2, 3),), top_shapes=((2, 3),), bottom_layouts=(None,))
INT8 = Math("int8", arrays="int8", products="int8", sums="int32")


class Counting(Engine):
    """Serves one operator, in float32 and int8."""

    name, title, kind = "counting", "Counting", "cpu"
    operators = Operators()
    maths = FLOAT32, INT8


@Counting.operators.serves(ops.LRN)
def plans(engine, op, request):
    return [f"{op.size} in {request.math}"]


LRN = ops.LRN(5, 0.1, 0.75, 1.0)


def test_they_are_known_by_name_and_only_half_types_halve_arrays():
    assert {name: str(math) for name, math in MATHS.items()} == {name: name for name in MATHS}
    assert [math.name for math in MATHS.values() if math.halves] == ["fp16", "bf16"]
    assert (TF32.arrays, TF32.products) == ("float32", "tf32")
    assert {math.sums for math in MATHS.values()} == {"float32"}


def test_some_engine_offers_each_of_them_and_the_cpu_those_of_onednn():
    assert select.offered("cpu") == {FLOAT32, BF16}
    assert select.offered("cuda") == set(MATHS.values())


def test_the_command_line_reads_them_without_numpy():
    code = (
        "import sys, minidl.cli.engine_flags as flags; print(*flags.MATHS, 'numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [*MATHS, "False"]


def test_times_are_kept_by_the_name_of_the_arithmetic():
    request = Request(**{**vars(REQUEST), "math": BF16})
    assert "math='bf16'" in tuning.problem(FakeEngine(), LRN, request)


def test_an_engine_may_offer_another_arithmetic():
    engine = Counting(Device("cpu"))
    request = Request(**{**vars(REQUEST), "math": INT8})
    assert engine.plans(LRN, request) == ["5 in int8"]
    request = Request(**{**vars(REQUEST), "math": BF16})
    assert engine.plans(LRN, request) == Declined("it computes in float32, int8, not bf16")


def test_what_an_engine_does_not_serve_is_declined_without_a_word():
    engine = Counting(Device("cpu"))
    assert engine.plans(ops.Softmax(1), REQUEST) == Declined("")
    empty = Request(bottom_shapes=((0, 3),), top_shapes=((0, 3),), bottom_layouts=(None,))
    assert engine.plans(LRN, empty) == Declined("a bottom or top is empty: ((0, 3),)")


def test_by_default_an_engine_prefers_nothing_and_never_goes_stale():
    engine = Counting(Device("cpu"))
    assert not engine.prefers(LRN, FLOAT32)
    assert (engine.generation, engine.version, engine.isa) == (0, "", "")
