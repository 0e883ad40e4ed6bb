"""Datums: bytes, floats, image files; what does not add up is refused."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl import schema
from minidl.data.sources import datum
from minidl.errors import DataError
from tests.data import support


def values(message_bytes, color=None):
    return datum.to_array(datum.parse(message_bytes), color)


def test_bytes_come_in_channels_rows_columns():
    image = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4) + 230  # above 127: not signed
    got = values(support.datum(image))
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, image)


def test_floats_are_kept_as_they_are():
    image = np.random.default_rng(0).standard_normal((3, 1, 5)).astype(np.float32)
    got = values(support.datum(image))
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, image)


def test_bytes_count_where_a_record_has_both():
    message = schema.Datum(channels=1, height=1, width=2, data=b"\x01\x02")
    message.float_data.extend([8.0, 9.0])
    assert values(message.SerializeToString()).tolist() == [[[1, 2]]]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_encode_is_undone_by_parsing(dtype):
    image = support.random_images(1, (2, 3, 5))[0].astype(dtype)
    message = datum.parse(datum.encode(image, -7))
    assert message.label == -7 and not message.encoded
    np.testing.assert_array_equal(datum.to_array(message), image)


WRONG = {
    "too few bytes": (dict(channels=2, height=3, width=4, data=bytes(23)), "23 bytes"),
    "too many bytes": (dict(channels=2, height=3, width=4, data=bytes(25)), "25 bytes"),
    "too few floats": (dict(channels=1, height=1, width=3, float_data=[1.0]), "1 floats"),
    "nothing": (dict(channels=1, height=2, width=2), "0 floats"),
    "no shape": (dict(data=bytes(12)), r"shape \(0, 0, 0\) and 12 bytes"),
    "a negative shape": (dict(channels=-1, height=-3, width=4, data=bytes(12)), r"\(-1, -3, 4\)"),
    "a huge shape": (dict(channels=1 << 30, height=1 << 30, width=4, data=b"1"), "1 bytes"),
}


@pytest.mark.parametrize("fields, message", WRONG.values(), ids=WRONG.keys())
def test_values_that_do_not_fit_the_shape_are_refused(fields, message):
    with pytest.raises(DataError, match=message):
        values(schema.Datum(**fields).SerializeToString())


def test_bytes_that_are_no_message_are_refused():
    with pytest.raises(DataError, match="its 4 bytes are not a Datum"):
        datum.parse(b"\xff\xff\xff\xff")


@given(st.binary(max_size=300))
def test_arbitrary_bytes_give_a_data_error_or_an_array_no_larger_than_they(data):
    with contextlib.suppress(DataError):
        assert values(data).size <= len(data)


def annotated(**inner):
    """SSD's AnnotatedDatum: a Datum as field 1, type: BBOX as field 2, a group of boxes."""
    part = schema.Datum(**inner).SerializeToString()
    assert len(part) < 128
    return b"\x0a" + bytes([len(part)]) + part + b"\x10\x00" + b"\x1a\x02\x08\x03"


OTHERS = {
    "SSD's": (annotated(encoded=True, data=b"..."), "is an AnnotatedDatum, SSD's message"),
    "SSD's, of floats": (annotated(channels=1, float_data=[1.0]), "is an AnnotatedDatum"),
    "of another program": (b"\x0a\x02\x08\x03", "its first field is a message"),
    "a picture": (b"\xff\xd8\xff\xe0" + bytes(30), "is an image file by itself"),
    "text": (b"label: {3}", "its 10 bytes are not a Datum: a text file"),
    "nothing but a cut one": (b"\x0a\x7f\x08", "its 3 bytes are not a Datum"),
}


@pytest.mark.parametrize("value, message", OTHERS.values(), ids=OTHERS.keys())
def test_records_of_other_kinds_are_called_what_they_are(value, message):
    with pytest.raises(DataError, match=message + "(.|\n)*expected: Caffe's Datum message"):
        datum.parse(value)
