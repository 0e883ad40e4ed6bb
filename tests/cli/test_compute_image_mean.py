"""minidl compute_image_mean, by its words."""

import numpy as np
import pytest

from minidl.cli import main
from minidl.storage import mean
from tests.data.support import datum, image_lmdb, random_images, write_lmdb

IMAGES = random_images(7, (3, 4, 5))
MEAN = IMAGES.mean(0, dtype=float)
CHANNELS = [f"mean_value channel [{i}]: {v:g}" for i, v in enumerate(MEAN.mean((1, 2)))]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image_lmdb(tmp_path / "db", IMAGES)
    return tmp_path


def test_the_mean_image_is_written_and_its_channels_printed(folder, capsys):
    assert main(["compute_image_mean", "-backend=lmdb", "db", "mean.binaryproto"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out == [*CHANNELS, "mean.binaryproto  7 images"]
    np.testing.assert_allclose(mean.read("mean.binaryproto"), MEAN, rtol=1e-6)


def test_without_a_file_the_channels_are_printed(folder, capsys):
    assert main(["compute_image_mean", "db"]) == 0
    assert capsys.readouterr().out.splitlines() == [*CHANNELS, "db  7 images"]


def test_unreadable_records_are_named_and_counted(folder, capsys):
    write_lmdb(folder / "two", [(b"0", datum(IMAGES[0])), (b"1", b"\xff\xff")])
    assert main(["compute_image_mean", "two"]) == 0
    out, err = capsys.readouterr()
    assert "two  1 images; 1 could not be read" in out
    assert "left out: two: record 1, key '1'" in err


@pytest.mark.parametrize("words, message", [
    (["nowhere"], "there is no such data set"),
    (["db", "no/mean.binaryproto"], "no/mean.binaryproto: cannot be written"),
])  # fmt: skip
def test_bad_input_is_status_2(folder, capsys, words, message):
    assert main(["compute_image_mean", *words]) == 2
    assert message in capsys.readouterr().err
