"""The conversion kernel against NumPy's own 16-bit floats and transpositions."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.arrays.memory import place
from minidl.engines.cupy_kernels.layout import Dense
from minidl.errors import RunError
from tests.engines.cupy_kernels import host
from tests.engines.fake import FakeLayout

TYPES = {"float": np.float32, "Half": np.float16, "Bfloat16": np.uint16}


def to_bfloat16(x: np.ndarray) -> np.ndarray:
    """The upper half of the nearest float32 whose lower half is empty, ties to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def stored(kind: str, x: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return to_bfloat16(x) if kind == "Bfloat16" else x.astype(TYPES[kind])


def values(kind: str, array: np.ndarray) -> np.ndarray:
    if kind == "Bfloat16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float32)


def convert(x, start, end, from_last=0, to_last=0):
    source = stored(start, x.transpose(0, 2, 1) if from_last else x)
    source = np.ascontiguousarray(source)
    n, c, p = x.shape
    target = np.zeros((n, p, c) if to_last else (n, c, p), TYPES[end])
    defines = dict(FROM=start, TO=end, FROM_LAST=from_last, TO_LAST=to_last)
    host.run("convert", "convert", x.size, source, target, c, p, **defines)
    return target


@pytest.mark.parametrize("to_last", [0, 1])
@pytest.mark.parametrize("from_last", [0, 1])
def test_channels_move_where_they_are_asked_to(from_last, to_last):
    x = np.arange(2 * 3 * 5, dtype=np.float32).reshape(2, 3, 5)
    moved = convert(x, "float", "float", from_last, to_last)
    np.testing.assert_array_equal(moved.transpose(0, 2, 1) if to_last else moved, x)


@pytest.mark.parametrize("kind", ["Half", "Bfloat16"])
def test_every_number_of_16_bits_survives_the_way_there_and_back(kind):
    every = np.arange(1 << 16, dtype=np.uint16).reshape(1, 1, -1).view(TYPES[kind])
    x = np.zeros(every.shape, np.float32)
    host.run("convert", "convert", x.size, every, x, 1, x.size, FROM=kind, TO="float")
    back = np.zeros_like(every)
    host.run("convert", "convert", x.size, x, back, 1, x.size, FROM="float", TO=kind)
    np.testing.assert_array_equal(x, values(kind, every))
    finite = ~np.isnan(x)
    np.testing.assert_array_equal(back.view(np.uint16)[finite], every.view(np.uint16)[finite])
    assert np.isnan(values(kind, back)[~finite]).all()


@pytest.mark.parametrize("kind", ["Half", "Bfloat16"])
def test_floats_are_rounded_to_the_nearest_ties_to_even(kind):
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 1 << 32, 1 << 16, dtype=np.uint32)
    ties = bits & 0xFFFFF000 | 0x1000, bits & 0xFFFF0000 | 0x8000
    borders = [65519.99, 65520.0, -65520.0, 2.0**-14, 2.0**-24, 2.0**-25, 3 * 2.0**-25, 0.0, -0.0]
    borders = np.array([*borders, np.inf, -np.inf], np.float32)
    x = np.concatenate([a.view(np.float32) for a in (bits, *ties)] + [borders]).reshape(1, 1, -1)
    x = x[~np.isnan(x)].reshape(1, 1, -1)
    got = convert(x, "float", kind)
    np.testing.assert_array_equal(got.view(np.uint16), stored(kind, x).view(np.uint16))


# ------------------------------------------------------------------ between memories on a device

WAYS = [
    None,
    *(
        (dtype, order)
        for dtype in ("float16", "bfloat16", "float32")
        for order in ("nchw", "nhwc")
        if (dtype, order) != ("float32", "nchw")
    ),
]


@pytest.mark.parametrize("start", WAYS, ids=str)
def test_any_layout_is_converted_to_any_other_by_one_launch(gpu, engine, start):
    """To plain float32, and to the one after it: each kernel takes a while to build."""
    x = np.random.default_rng(0).integers(-99, 99, (2, 3, 5, 4)).astype(np.float32)
    for end in (None, WAYS[(WAYS.index(start) + 1) % len(WAYS)]):
        ways = [None if way is None else Dense(x.shape, *way) for way in (start, end)]
        source, target = (place(x.shape, way, np.float32, engine.device) for way in ways)
        source.assign(x)
        with engine.device.current():
            convert = engine.converter(source, target)
            before = gpu.launches
            with gpu.strict():
                convert()
            assert gpu.launches == before + 1
        np.testing.assert_array_equal(engine.device.to_host(target.plain(np.float32)), x)


def test_memories_of_two_shapes_are_refused(engine):
    one, other = (place(shape, None, np.float32, engine.device) for shape in ((2, 3), (3, 2)))
    with pytest.raises(RunError, match=r"from shape \(2, 3\) to \(3, 2\)"):
        engine.converter(one, other)


def test_a_layout_of_another_engine_is_refused(engine):
    one = place((2, 3), None, np.float32, engine.device)
    other = place((2, 3), FakeLayout("nChw16c", (2, 3)), np.float32, engine.device)
    with pytest.raises(RunError, match="cannot read the layout nChw16c"):
        engine.converter(one, other)
