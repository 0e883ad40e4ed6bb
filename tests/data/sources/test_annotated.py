"""Stores of AnnotatedDatums: what is in them, and what is not one."""

import numpy as np
import pytest

from minidl import schema
from minidl.data.sources.annotated import AnnotatedDatums
from minidl.data.sources.leveldb import open_store
from minidl.errors import DataError
from tests.data.support import annotated, datum, random_images, write_leveldb, write_lmdb

IMAGES = random_images(3)
OBJECTS = [(2, 0, 0.1, 0.2, 0.5, 0.6, 1), (2, 1, 0, 0, 1, 1, 0), (1, 0, 0.3, 0.3, 0.4, 0.4, 0)]


def store(folder, *values):
    return write_lmdb(folder, [(b"%d" % i, value) for i, value in enumerate(values)])


def opened(tmp_path, *values, **keywords):
    return AnnotatedDatums(store(tmp_path / "db", *values), **keywords)


def test_objects_come_group_by_group(tmp_path):
    source = opened(tmp_path, annotated(IMAGES[0], OBJECTS), annotated(IMAGES[1]))
    np.testing.assert_array_equal(source[0].image, IMAGES[0])
    np.testing.assert_array_equal(source[0].label, np.array(OBJECTS, np.float32))
    assert source[1].label.shape == (0, 7)
    assert source.describe(1, "1") == f"record 1, key '1', of {tmp_path / 'db'}"


def test_a_leveldb_holds_the_same(tmp_path):
    values = [(b"0", annotated(IMAGES[0], OBJECTS))]
    source = AnnotatedDatums(write_leveldb(tmp_path / "db", values))
    np.testing.assert_array_equal(source[0].label, np.array(OBJECTS, np.float32))


def test_without_an_annotation_type_the_datum_has_the_label(tmp_path):
    source = opened(tmp_path, annotated(IMAGES[0], kind=None, label=7))
    assert source[0].label == 7 and source[0].label_shape == ()


def test_the_type_may_be_said_by_the_layer(tmp_path):
    values = [annotated(IMAGES[0], OBJECTS, kind=None), annotated(IMAGES[1], OBJECTS)]
    source = opened(tmp_path, *values, boxes=True)
    assert len(source[0].label) == len(source[1].label) == 3


def test_records_of_two_kinds_are_refused(tmp_path):
    boxes, number = annotated(IMAGES[0], OBJECTS), annotated(IMAGES[1], kind=None, label=1)
    for name, pair, words in (
        ("a", (boxes, number), "record 1, key '1'(.|\n)*no annotation type, unlike the first"),
        ("b", (number, boxes), "record 1(.|\n)*has an annotation type, unlike the first"),
    ):
        source = opened(tmp_path / name, *pair)
        source[0]
        with pytest.raises(DataError, match=words):
            source[1]


def test_a_label_is_asked_for_where_it_is_wanted(tmp_path):
    value = annotated(IMAGES[0], kind=None)
    with pytest.raises(DataError, match="neither an annotation type nor a label"):
        opened(tmp_path / "a", value)[0]
    assert opened(tmp_path / "b", value, labels=False)[0].label == 0


def test_what_is_no_annotated_datum_is_named(tmp_path):
    for name, value, words in (
        ("datum", datum(IMAGES[0]), r'is a Datum, without boxes(.|\n)*type: "Data"'),
        ("image", b"\xff\xd8\xff\xe0....", "is an image file by itself"),
        ("empty", schema.AnnotatedDatum().SerializeToString() + b"\x10\x00", "not such a message"),
    ):
        with pytest.raises(DataError, match=words):
            opened(tmp_path / name, value)[0]


def test_a_data_layers_source_says_which_layer_reads_these(tmp_path):
    source = open_store(store(tmp_path / "db", annotated(IMAGES[0], OBJECTS)))
    with pytest.raises(DataError, match=r'AnnotatedDatum(.|\n)*type: "AnnotatedData" reads these'):
        source[0]
