"""idx files: what is read, what is refused, and how little memory nonsense takes."""

import contextlib
import gzip
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidl.data import idx
from minidl.errors import DataError, FormatError, MinidlError

VALUES = np.random.default_rng(0).integers(0, 256, (5, 3, 2), dtype=np.uint8)


def packed(array):
    head = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.tobytes()


WHOLE = packed(VALUES)


@pytest.fixture
def read(tmp_path):
    def read_bytes(data):
        path = tmp_path / "x-idx3-ubyte"
        path.write_bytes(data)
        return idx.read(path)

    return read_bytes


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzipped"])
@pytest.mark.parametrize("shape", [(5, 3, 2), (30,), (6, 5), (0, 28, 28)])
def test_arrays_come_back(read, shape, pack):
    array = VALUES.reshape(-1)[: int(np.prod(shape))].reshape(shape)
    got = read(pack(packed(array)))
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, array)


REFUSED = {
    "nothing": (b"", r"begins with the bytes \(none\)"),
    "text": (b"<html>", "begins with the bytes 3c 68 74 6d"),
    "floats": (b"\0\0\x0d\x01" + bytes(8), "begins with the bytes 00 00 0d 01"),
    "no axes": (b"\0\0\x08\0", "begins with the bytes 00 00 08 00"),
    "sizes cut": (WHOLE[:9], "ends within its first bytes"),
    "values cut": (
        WHOLE[:-1],
        r"has 29 bytes of values(.|\n)*expected: 30, for the shape \(5, 3, 2",
    ),
    "values too many": (WHOLE + b"x", "has more than 30 bytes of values"),
    "a claim of 64 GB": (
        b"\0\0\x08\x02" + struct.pack(">2I", 1 << 18, 1 << 18),
        "claims the shape",
    ),
    "gzip cut": (gzip.compress(WHOLE)[:-9], "cannot be unpacked"),
    "gzip changed": (gzip.compress(WHOLE)[:-8] + bytes(8), "cannot be unpacked"),
    "gzip alone": (b"\x1f\x8b", "cannot be unpacked"),
}


@pytest.mark.parametrize("data, message", REFUSED.values(), ids=REFUSED.keys())
def test_damaged_files_are_refused(read, data, message):
    with pytest.raises(FormatError, match=f"x-idx3-ubyte: {message}"):
        read(data)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.one_of(
        st.binary(max_size=60),
        st.binary(max_size=60).map(lambda tail: b"\0\0\x08" + tail),
        st.binary(max_size=60).map(gzip.compress),
        st.binary(max_size=60).map(lambda tail: b"\x1f\x8b" + tail),
        st.binary(max_size=60).map(lambda tail: gzip.compress(WHOLE)[:12] + tail),
    )
)
def test_arbitrary_bytes_give_an_array_or_an_error_of_ours(read, data):
    with contextlib.suppress(MinidlError):
        assert read(data).dtype == np.uint8


def test_a_folder_or_an_absent_file_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DataError, match="cannot be read"):
            idx.read(path)


@pytest.mark.parametrize(
    "name",
    ["t10k-labels-idx1-ubyte", "t10k-labels-idx1-ubyte.gz", "t10k-labels.idx1-ubyte"],
)
def test_files_are_found_under_the_names_of_the_mirrors(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    assert idx.find(tmp_path, "t10k-labels-idx1-ubyte") == tmp_path / name


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="has no file a-idx1-ubyte(.|\n)*a-idx1-ubyte.gz or a-idx1"):
        idx.find(tmp_path, "a-idx1-ubyte")
    with pytest.raises(DataError, match="nowhere: is not a folder"):
        idx.find(tmp_path / "nowhere", "a-idx1-ubyte")
