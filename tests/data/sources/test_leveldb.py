"""The LevelDB source: Datums as from an LMDB; the folder says which it is."""

import numpy as np
import pytest

from minidl.data.sources.leveldb import LevelDb, holds_one, open_store
from minidl.data.sources.lmdb import Lmdb
from minidl.errors import DataError
from tests.data.support import datum, image_lmdb, random_images, write_leveldb

IMAGES = random_images(7)
RECORDS = [(b"%08d_a.jpg" % i, datum(image, i + 2)) for i, image in enumerate(IMAGES)]


def test_a_record_is_key_image_and_label(tmp_path):
    source = LevelDb(write_leveldb(tmp_path / "db", RECORDS))
    assert len(source) == 7
    sample = source[5]
    assert (sample.key, sample.label) == ("00000005_a.jpg", 7)
    np.testing.assert_array_equal(sample.image, IMAGES[5])
    assert source.describe(5, sample.key) == f"record 5, key '00000005_a.jpg', of {tmp_path}/db"


def test_a_bad_record_is_named_by_store_number_and_key(tmp_path):
    source = LevelDb(write_leveldb(tmp_path / "db", [(b"a", b"\xff\xff")]))
    with pytest.raises(DataError, match=r"db: record 0, key 'a': its 2 bytes are not a Datum"):
        source[0]


def test_an_empty_store_is_refused(tmp_path):
    with pytest.raises(DataError, match="db: has no records"):
        LevelDb(write_leveldb(tmp_path / "db", []))


def test_the_folder_says_which_store_it_is(tmp_path):
    level, light = write_leveldb(tmp_path / "a", RECORDS), image_lmdb(tmp_path / "b", IMAGES)
    assert isinstance(open_store(level), LevelDb) and holds_one(level)
    assert isinstance(open_store(light), Lmdb) and not holds_one(light)
    with pytest.raises(DataError, match="there is no such data set"):
        open_store(tmp_path / "c")
    (tmp_path / "d").mkdir()
    with pytest.raises(DataError, match=r"expected: an LMDB .* or a LevelDB \(one with CURRENT\)"):
        open_store(tmp_path / "d")
