"""The LMDB source: samples with their keys, and a clear word on everything else."""

import logging

import numpy as np
import pytest

from minidl.data.sources import lmdb
from minidl.data.sources.lmdb import Lmdb
from minidl.errors import DataError
from tests.data.support import datum, image_lmdb, random_images, write_lmdb

IMAGES = random_images(7)


def test_a_record_is_key_image_and_label(tmp_path):
    source = Lmdb(image_lmdb(tmp_path / "db", IMAGES, labels=[3, 1, 4, 1, 5, 9, 2]))
    assert len(source) == 7
    sample = source[5]
    assert (sample.key, sample.label) == ("00000005", 9)
    np.testing.assert_array_equal(sample.image, IMAGES[5])


def test_a_record_in_words(tmp_path):
    folder = image_lmdb(tmp_path / "db", IMAGES)
    assert Lmdb(folder).describe(5, "00000005") == f"record 5, key '00000005', of {folder}"


def test_a_bad_record_is_named_by_store_number_and_key(tmp_path):
    good = datum(IMAGES[0])
    folder = write_lmdb(tmp_path / "db", [(b"a.jpg", good), (b"b\xff.jpg", b"\xff\xff")])
    source = Lmdb(folder)
    assert source[0].key == "a.jpg"
    with pytest.raises(DataError) as caught:
        source[1]
    assert str(caught.value).startswith(
        f"{folder}: record 1, key 'b\\xff.jpg': its 2 bytes are not a Datum"
    )


def test_an_empty_store_is_refused(tmp_path):
    with pytest.raises(DataError, match="db: has no records"):
        Lmdb(write_lmdb(tmp_path / "db", []))


def test_a_cut_store_is_refused(tmp_path):
    folder = image_lmdb(tmp_path / "db", IMAGES)
    data = (folder / "data.mdb").read_bytes()
    (folder / "data.mdb").write_bytes(data[: len(data) - 4096])
    with pytest.raises(DataError, match="data.mdb: was cut short"):
        Lmdb(folder)


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(DataError, match="is a folder without data.mdb or CURRENT"):
        Lmdb(tmp_path)


def test_the_file_in_place_of_its_folder_is_refused(tmp_path):
    folder = image_lmdb(tmp_path / "db", IMAGES)
    with pytest.raises(DataError, match="is a file") as caught:
        Lmdb(folder / "data.mdb")
    assert caught.value.fix == f'source: "{folder}"'


ABSENT = {
    "data/mnist/train_lmdb": "fix: run: minidl dataset mnist$",
    "data/mnist/test_lmdb": "fix: run: minidl dataset mnist$",
    "examples/mnist/mnist_test_lmdb": 'dataset mnist, then set source: "data/mnist/test_lmdb"$',
    "/x/FashionMNIST/train": 'dataset fashion-mnist, then set source: "data/fashion-mnist/train_',
    "data/digits/train_lmdb": "fix: run: minidl dataset digits$",
    "examples/imagenet/ilsvrc12_train_lmdb": "fix: make it with convert_imageset",
    "a\0b": "there is no such data set",
    "n" * 5000: "there is no such data set",
}


@pytest.mark.parametrize("path, message", ABSENT.items(), ids=range(len(ABSENT)))
def test_an_absent_data_set_names_the_command_that_gets_it(tmp_path, monkeypatch, path, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        Lmdb(lmdb.Path(path))
    if not path.startswith("/"):
        assert f"(below {tmp_path})" in str(caught.value)


def test_colour_asked_of_plain_bytes_is_said_to_do_nothing_once(tmp_path, caplog):
    source = Lmdb(image_lmdb(tmp_path / "db", IMAGES), color=True)
    with caplog.at_level(logging.WARNING, "minidl"):
        assert source[0].image.shape == source[1].image.shape == (3, 5, 4)
    assert len(caplog.records) == 1
    assert "the records are not encoded images" in caplog.text
