"""Mean images: exact, in Caffe's form, and of what can be read."""

import numpy as np
import pytest

from minidl import schema
from minidl.data import image_mean
from minidl.data.sources.lmdb import Lmdb
from minidl.errors import DataError
from minidl.storage import mean
from tests.data.support import datum, image_lmdb, random_images, write_lmdb

IMAGES = random_images(11, (3, 5, 4))


def test_the_mean_of_bytes_is_exact(tmp_path):
    got, report = image_mean.compute(Lmdb(image_lmdb(tmp_path / "db", IMAGES)))
    np.testing.assert_array_equal(got, IMAGES.mean(0, dtype=float).astype("f4"))
    assert got.dtype == np.float32 and report.written == 11


def test_floats_are_added_up_in_float64(tmp_path):
    images = np.float32([1e8, 1, -1e8]).reshape(3, 1, 1, 1)
    got, _ = image_mean.compute(Lmdb(image_lmdb(tmp_path / "db", images)))
    np.testing.assert_allclose(got, 1 / 3, rtol=1e-6)


def test_the_file_is_caffes_and_is_read_back(tmp_path):
    image_mean.write(tmp_path / "mean.binaryproto", IMAGES[0].astype("f4"))
    blob = schema.BlobProto.FromString((tmp_path / "mean.binaryproto").read_bytes())
    assert (blob.num, blob.channels, blob.height, blob.width) == (1, 3, 5, 4)
    np.testing.assert_array_equal(mean.read(tmp_path / "mean.binaryproto"), IMAGES[0])


def test_what_cannot_be_read_is_left_out_and_reported(tmp_path):
    records = [(b"0", datum(IMAGES[0])), (b"1", b"\xff\xff"), (b"2", datum(IMAGES[2]))]
    ticks = []
    source = Lmdb(write_lmdb(tmp_path / "db", records))
    got, report = image_mean.compute(source, lambda: ticks.append(1))
    np.testing.assert_array_equal(got, (IMAGES[0].astype(float) + IMAGES[2]) / 2)
    assert len(report.unreadable) == 1 and "record 1, key '1'" in str(report.unreadable[0])
    assert len(ticks) == 3


def test_records_of_different_sizes_are_refused_by_name(tmp_path):
    records = [(b"a", datum(IMAGES[0])), (b"b", datum(IMAGES[1][:, :4]))]
    with pytest.raises(
        DataError, match=r"record 1, key 'b', .* \(3, 4, 4\), but record 0, key 'a'"
    ):
        image_mean.compute(Lmdb(write_lmdb(tmp_path / "db", records)))


def test_no_record_at_all_is_an_error(tmp_path):
    with pytest.raises(DataError, match="not a Datum"):
        image_mean.compute(Lmdb(write_lmdb(tmp_path / "db", [(b"1", b"\xff\xff")])))
