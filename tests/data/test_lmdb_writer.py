"""The LMDB writer: liblmdb reads what it wrote, and nobody ever sees a part of it."""

import os
import stat

import lmdb
import numpy as np
import pytest

from minidl import schema
from minidl.data import lmdb_writer
from minidl.errors import DataError
from tests.data.support import random_images

IMAGES = random_images(25, (1, 7, 6))
LABELS = np.arange(25) % 10


def contents(folder):
    with lmdb.open(str(folder), readonly=True, lock=False) as env, env.begin() as transaction:
        return list(transaction.cursor())


def test_records_are_caffes(tmp_path, monkeypatch):
    monkeypatch.setattr(lmdb_writer, "AT_ONCE", 10)
    lmdb_writer.write(tmp_path / "a" / "db", IMAGES, LABELS)
    records = contents(tmp_path / "a" / "db")
    assert [key for key, _ in records] == [b"%08d" % i for i in range(25)]
    for i, (_, value) in enumerate(records):
        message = schema.Datum.FromString(value)
        assert (message.channels, message.height, message.width) == (1, 7, 6)
        assert message.data == IMAGES[i].tobytes() and message.label == i % 10
        assert not message.encoded and not message.float_data


@pytest.mark.parametrize("count, shape", [(2500, (3, 1, 1)), (999, (1, 45, 45)), (99, (3, 64, 64))])
def test_there_is_room_for_any_size_of_record(tmp_path, count, shape):
    lmdb_writer.write(tmp_path / "db", random_images(count, shape), np.zeros(count, int))
    assert len(contents(tmp_path / "db")) == count


def test_nothing_but_the_data_set_is_left_and_others_may_read_it(tmp_path):
    lmdb_writer.write(tmp_path / "db", IMAGES, LABELS)
    assert [p.name for p in tmp_path.iterdir()] == ["db"]
    assert [p.name for p in (tmp_path / "db").iterdir()] == ["data.mdb"]
    (tmp_path / "other").mkdir()
    assert stat.S_IMODE(os.stat(tmp_path / "db").st_mode) == stat.S_IMODE(
        os.stat(tmp_path / "other").st_mode
    )


def test_what_was_there_is_replaced(tmp_path):
    lmdb_writer.write(tmp_path / "db", IMAGES, LABELS)
    lmdb_writer.write(tmp_path / "db", IMAGES[:3], LABELS)
    assert len(contents(tmp_path / "db")) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["db"]


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("error", [Interrupted, KeyboardInterrupt])
def test_an_interrupt_leaves_what_was_there(tmp_path, monkeypatch, error):
    lmdb_writer.write(tmp_path / "db", IMAGES[:3], LABELS)

    def encode(image, label):
        if label == 7:
            raise error
        return b"x"

    monkeypatch.setattr(lmdb_writer.datum, "encode", encode)
    with pytest.raises(error):
        lmdb_writer.write(tmp_path / "db", IMAGES, LABELS)
    assert len(contents(tmp_path / "db")) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["db"]


def test_a_renaming_that_fails_puts_the_old_data_set_back(tmp_path, monkeypatch):
    lmdb_writer.write(tmp_path / "db", IMAGES[:3], LABELS)
    rename = lmdb_writer.Path.rename

    def failing(self, target):
        if self.name.endswith(".new"):
            raise OSError("no")
        return rename(self, target)

    monkeypatch.setattr(lmdb_writer.Path, "rename", failing)
    with pytest.raises(DataError, match="db: cannot be written: no"):
        lmdb_writer.write(tmp_path / "db", IMAGES, LABELS)
    assert len(contents(tmp_path / "db")) == 3
    assert [p.name for p in tmp_path.iterdir()] == ["db"]


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        lmdb_writer.write(tmp_path / "file" / "db", IMAGES, LABELS)
