"""BlobProto and NumPy, against protobuf's own fields."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import schema
from minidl.errors import FormatError
from minidl.storage import arrays

SHAPES = {"scalar": (), "vector": (7,), "filters": (4, 3, 2, 5), "nothing": (0, 3), "long": (300,)}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_an_array_survives_the_round_trip(shape, dtype):
    array = np.random.default_rng(3).standard_normal(shape).astype(dtype)
    blob = arrays.to_blob(array, diff=-array)
    single = dtype == np.float32
    assert tuple(blob.shape.dim) == shape
    assert list(blob.data if single else blob.double_data) == array.reshape(-1).tolist()
    assert list(blob.diff if single else blob.double_diff) == (-array).reshape(-1).tolist()
    back = arrays.from_blob(blob)
    assert back.dtype == dtype or not array.size  # protobuf does not keep an empty field
    np.testing.assert_array_equal(back, array)


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=40))
def test_every_float_arrives_bit_for_bit(values):
    array = np.array(values, np.float32)
    assert arrays.from_blob(arrays.to_blob(array)).tobytes() == array.tobytes()


def test_an_array_that_is_not_contiguous_is_written_in_c_order():
    array = np.arange(6, dtype=np.float32).reshape(2, 3).T
    assert list(arrays.to_blob(array).data) == [0, 3, 1, 4, 2, 5]


def test_the_old_four_axes_are_taken_as_they_stand():
    blob = schema.BlobProto(num=1, channels=1, height=1, width=3, data=[1, 2, 3])
    assert arrays.from_blob(blob).shape == (1, 1, 1, 3)
    blob.shape.dim.append(3)  # Caffe looks at the old fields first
    assert arrays.from_blob(blob).shape == (1, 1, 1, 3)


def test_doubles_win_over_floats_as_in_caffe():
    blob = schema.BlobProto(data=[1, 2], double_data=[3, 4], shape={"dim": [2]})
    array = arrays.from_blob(blob)
    assert (array.tolist(), array.dtype) == ([3, 4], np.float64)


def test_several_packed_chunks_are_one_array():
    pieces = [schema.BlobProto(data=[1, 2]), schema.BlobProto(data=[3], shape={"dim": [3]})]
    data = b"".join(p.SerializeToString() for p in pieces)
    reader = arrays.Reader(np.frombuffer(data, np.uint8), "f", "blob")
    assert arrays.parse(reader, 0, len(data), "")[0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("kind, dtype", [(0, "<f8"), (1, "<f4"), (2, "<f2")])
def test_values_may_lie_in_raw_data_as_nvidia_has_it(kind, dtype):
    values = np.array([[1.5, -2.25, 65504], [0, 6.1e-5, -0.125]], dtype)
    blob = schema.BlobProto(shape={"dim": [2, 3]}, raw_data_type=kind, raw_data=values.tobytes())
    array = arrays.from_blob(blob)
    assert array.dtype == (np.float64 if kind == 0 else np.float32)
    assert array.tolist() == values.tolist()


REFUSED = {
    "raw whole numbers": (dict(raw_data_type=3, raw_data=b"1234"), "raw_data of type 3"),
    "half a raw number": (dict(raw_data_type=2, raw_data=b"123"), "3 bytes of 2-byte numbers"),
    "too few values": (dict(data=[1, 2], shape={"dim": [3]}), r"2 values for the shape \(3,\)"),
    "no shape": (dict(data=[1, 2]), r"2 values for the shape \(\)"),
    "nothing at all": (dict(), "is empty"),
    "a negative extent": (dict(data=[1], shape={"dim": [-1, -1]}), r"the shape \(-1, -1\)"),
    "a huge shape": (dict(shape={"dim": [2**40, 2**40]}), "the shape"),
    "a huge empty shape": (dict(shape={"dim": [0] + [2**62] * 4}), "the shape"),
    "33 axes": (dict(data=[1], shape={"dim": [1] * 33}), "the shape"),
    "a missing old axis": (dict(data=[1], width=1), r"1 values for the shape \(0, 0, 0, 1\)"),
}


@pytest.mark.parametrize("fields, message", REFUSED.values(), ids=REFUSED.keys())
def test_values_and_shape_must_agree(fields, message):
    blob = schema.BlobProto(**fields)
    with pytest.raises(FormatError, match=message):
        arrays.from_blob(blob)


def test_a_gradient_of_another_shape_is_our_own_mistake():
    with pytest.raises(ValueError, match="gradient of shape"):
        arrays.serialize(np.zeros(3), np.zeros(2))
