"""The wire format walked in place, against protobuf's own reading and writing."""

import collections

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import schema
from minidl.errors import FormatError
from minidl.storage import wire


def reader(data):
    return wire.Reader(np.frombuffer(bytes(data), np.uint8), "some.file", "caffemodel")


@given(st.integers(0, 2**64 - 1))
def test_varints_survive_the_round_trip(value):
    data = wire.varint(value)
    assert reader(data).varint(0, len(data)) == (value, len(data))


@given(st.integers(-(2**31), 2**31 - 1), st.text(), st.integers(-(2**31), 2**31 - 1))
def test_fields_are_those_that_protobuf_wrote(number, text, step):
    message = schema.SolverState(iter=number, learned_net=text, current_step=step)
    walk = reader(message.SerializeToString())
    first, second, third = walk.fields()
    assert (walk.integer(first), walk.text(second), walk.integer(third)) == (number, text, step)
    assert [f.number for f in (first, second, third)] == [1, 2, 4]


@given(st.binary(max_size=300))
def test_a_field_we_write_is_read_by_protobuf(payload):
    message = schema.SolverState.FromString(wire.field(3, b"") + wire.field(2, b"x" * len(payload)))
    assert len(message.learned_net) == len(payload)


@pytest.mark.parametrize("count", [1, 2, 3, 63, 64, 65, 500])
@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
def test_unpacked_numbers_come_as_one_field(count, dtype):
    values = np.random.default_rng(count).standard_normal(count).astype(dtype)
    kind = wire.FIXED32 if dtype == "<f4" else wire.FIXED64
    tag = wire.varint(5 << 3 | kind)
    data = b"".join(tag + v.tobytes() for v in values) + wire.field(7, b"end")
    walk = reader(data)
    numbers, end = walk.fields()
    np.testing.assert_array_equal(walk.numbers(numbers, dtype), values)
    assert walk.text(end) == "end"


def test_packed_numbers_are_a_view_of_the_file():
    data = np.frombuffer(wire.field(5, np.arange(3, dtype="<f4").tobytes()), np.uint8)
    walk = wire.Reader(data, "some.file", "caffemodel")
    (field,) = walk.fields()
    assert np.shares_memory(walk.numbers(field, "<f4"), data)


def test_fixed_fields_of_large_numbers_stay_single():
    data = (wire.varint(16 << 3 | wire.FIXED32) + b"abcd") * 2
    assert [f.number for f in reader(data).fields()] == [16, 16]


DAMAGED = {
    "a length beyond the end": (
        wire.head(2, 10_000) + b"abc",
        r"damaged at byte 0 of 6: field 2 declares 10,000 bytes, but only 3 are left",
    ),
    "a huge length": (wire.head(2, 2**63), "declares 9,223,372,036,854,775,808 bytes"),
    "a number cut off": (b"\x08\x80", "damaged at byte 1 of 2: a number that is cut off"),
    "an endless number": (b"\x08" + b"\x80" * 11, "damaged at byte 1 of 12: no number"),
    "a float cut off": (b"\x2d\x00", "field 5 declares 4 bytes, but only 1 are left"),
    "field 0": (b"\x08\x01\x00\x01", "damaged at byte 2 of 4: a field of number 0"),
    "a group": (b"\x08\x01\x0b", "field 1 has the wire type 3"),
}


@pytest.mark.parametrize("data, message", DAMAGED.values(), ids=DAMAGED.keys())
def test_damage_is_named_with_its_place(data, message):
    with pytest.raises(FormatError, match=rf"^some\.file: is {message}|{message}"):
        list(reader(data).fields())


OTHER_KINDS = {
    "text": (b'name: "LeNet"\nlayer {\n', r"is a text file \(a prototxt\?\)"),
    "nothing": (b"", "is empty"),
    "zeros": (bytes(100), "is nothing but zeros"),
    "HDF5": (b"\x89HDF\r\n\x1a\n\x00\x00", "is an HDF5 file"),
    "a web page": (b"\n<!DOCTYPE html><html>\xc3\xa4", "is a web page"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
    "gzip": (b"\x1f\x8b\x08\x00", "is a gzip archive"),
}


@pytest.mark.parametrize("data, message", OTHER_KINDS.values(), ids=OTHER_KINDS.keys())
def test_a_file_of_another_kind_is_called_by_its_name(data, message):
    with pytest.raises(FormatError, match=rf"some\.file: {message}.*\n  expected: a caffemodel"):
        list(reader(data).fields())
        reader(data).fail(0, "", "nothing of use")


def test_millions_of_tiny_fields_are_refused():
    with pytest.raises(FormatError, match="more than 262,144 fields"):
        collections.deque(reader(b"\x08\x01" * 2_000_000).fields(), maxlen=0)


def test_a_field_may_not_reach_beyond_its_message_though_the_file_goes_on():
    walk = reader(wire.head(2, 4) + b"abcd" + wire.field(3, b"next message"))
    with pytest.raises(
        FormatError, match="in inner: field 2 declares 4 bytes, but only 3 are left"
    ):
        list(walk.fields(0, 5, "inner"))
