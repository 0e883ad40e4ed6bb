"""minidl convert_imageset, by its words and flags."""

import numpy as np
import pytest

from minidl.cli import main
from minidl.data.sources.lmdb import Lmdb

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
RGB = np.random.default_rng(0).integers(0, 256, (6, 5, 7, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder: images/0.png to 5.png and list.txt."""
    (tmp_path / "images").mkdir()
    for i, pixels in enumerate(RGB):
        Image.fromarray(pixels).save(tmp_path / "images" / f"{i}.png")
    (tmp_path / "list.txt").write_text("".join(f"{i}.png {i}\n" for i in range(6)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


WORDS = ["images/", "list.txt", "db"]


def labels(path):
    source = Lmdb(path)
    return [source[i].label for i in range(len(source))]


def test_images_are_stretched_and_counted(folder, capsys):
    assert main(["convert_imageset", "-resize_height=4", "--resize_width", "3", *WORDS]) == 0
    assert capsys.readouterr().out == "db  6 images\n"
    source = Lmdb(folder / "db")
    assert len(source) == 6 and source[0].image.shape == (3, 4, 3)
    assert labels(folder / "db") == list(range(6))


def test_shuffling_follows_the_seed(folder):
    orders = []
    for seed in ("1", "1", "2"):
        words = ["convert_imageset", "-shuffle", "--seed", seed, "--force", "-gray", *WORDS]
        assert main(words) == 0
        orders.append(labels(folder / "db"))
    assert orders[0] == orders[1] != orders[2] and sorted(orders[0]) == list(range(6))


def test_unreadable_images_are_named_and_counted(folder, capsys):
    (folder / "images" / "2.png").write_bytes(b"")
    assert main(["convert_imageset", *WORDS]) == 0
    out, err = capsys.readouterr()
    assert out == "db  5 images; 1 could not be read and were left out (see the log)\n"
    assert "left out: '2.png', line 3 of list.txt: holds 0 bytes" in err
    assert labels(folder / "db") == [0, 1, 3, 4, 5]


REFUSED = {
    "leveldb": (["-backend", "leveldb"], "cannot write the kind 'leveldb'"),
    "one side": (["-resize_height", "4"], "resize_height is 4 and resize_width 0"),
    "a kind that is none": (["-encode_type", "tiff"], "cannot encode as 'tiff'"),
}


@pytest.mark.parametrize("flags, message", REFUSED.values(), ids=REFUSED.keys())
def test_flags_that_do_not_fit_are_refused(folder, capsys, flags, message):
    assert main(["convert_imageset", *flags, *WORDS]) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "db").exists()


def test_what_is_there_is_not_overwritten_unasked(folder, capsys):
    (folder / "db").mkdir()
    assert main(["convert_imageset", *WORDS]) == 2
    assert "db: exists already" in capsys.readouterr().err
    assert main(["convert_imageset", "--force", *WORDS]) == 0


def test_bad_input_is_status_2(folder, capsys):
    (folder / "list.txt").write_text("0.png\n")
    assert main(["convert_imageset", *WORDS]) == 2
    assert "list.txt:1: '0.png' has no label" in capsys.readouterr().err
