"""Mean images."""

import numpy as np
import pytest

from minidl import schema
from minidl.errors import FormatError
from minidl.storage import mean
from tests.support import shared

IMAGE = np.arange(24, dtype=np.float32).reshape(2, 3, 4) - 5


def save(path, **fields):
    path.write_bytes(schema.BlobProto(data=IMAGE.reshape(-1), **fields).SerializeToString())
    return path


SHAPES = {
    "old axes": dict(num=1, channels=2, height=3, width=4),
    "four axes": dict(shape={"dim": [1, 2, 3, 4]}),
    "three axes": dict(shape={"dim": [2, 3, 4]}),
}


@pytest.mark.parametrize("fields", SHAPES.values(), ids=SHAPES.keys())
def test_every_form_gives_channels_rows_columns(tmp_path, fields):
    image = mean.read(save(tmp_path / "mean.binaryproto", **fields))
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, IMAGE)
    image += 1  # its own memory, not the file's


def test_a_mean_in_64_bits_is_read(tmp_path):
    blob = schema.BlobProto(double_data=IMAGE.reshape(-1), shape={"dim": [2, 3, 4]})
    (tmp_path / "mean").write_bytes(blob.SerializeToString())
    image = mean.read(tmp_path / "mean")
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, IMAGE)


def test_caffes_own_mean_file_is_read():
    path = shared("golden/data/mean.binaryproto")
    proto = schema.BlobProto.FromString(path.read_bytes())
    image = mean.read(path)
    assert image.shape == (proto.channels, proto.height, proto.width)
    np.testing.assert_array_equal(image.reshape(-1), np.array(proto.data, np.float32))


@pytest.mark.parametrize("dims", [[2, 1, 3, 4], [24], [4, 6]], ids=str)
def test_what_is_no_single_image_is_refused(tmp_path, dims):
    path = save(tmp_path / "mean.binaryproto", shape={"dim": dims})
    with pytest.raises(FormatError, match=r"mean\.binaryproto: holds an array of shape"):
        mean.read(path)


def test_a_text_file_is_refused(tmp_path):
    (tmp_path / "mean.txt").write_text("mean_value: 104\n")
    with pytest.raises(FormatError, match="is a text file(.|\n)*expected: a mean image"):
        mean.read(tmp_path / "mean.txt")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "mean").touch()
    with pytest.raises(FormatError, match="is empty"):
        mean.read(tmp_path / "mean")
