"""minidl dataset: names, folders, what is printed."""

import gzip

import numpy as np
import pytest

from minidl.cli import main
from minidl.cli.dataset import KINDS


def test_without_a_name_it_lists_what_there_is(capsys):
    assert main(["dataset"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["digits", "mnist", "fashion-mnist", *KINDS]


def test_a_misspelt_name_gets_the_nearest(capsys):
    assert main(["dataset", "mnits"]) == 2
    assert "did you mean 'mnist'?" in capsys.readouterr().err


@pytest.fixture
def idx_files(tmp_path):
    folder = tmp_path / "idx"
    folder.mkdir()
    for stem, count in [("train", 7), ("t10k", 3)]:
        images = np.arange(count * 784, dtype=np.uint8)
        head = b"\0\0\x08\x03" + np.array([count, 28, 28], ">i4").tobytes()
        (folder / f"{stem}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        head = b"\0\0\x08\x01" + np.array([count], ">i4").tobytes()
        labels = gzip.compress(head + bytes(range(count)))
        (folder / f"{stem}-labels-idx1-ubyte.gz").write_bytes(labels)
    return folder


def test_from_a_folder_to_lmdb(idx_files, tmp_path, capsys):
    words = ["dataset", "mnist", "--from", str(idx_files), "--out", str(tmp_path / "out")]
    assert main([*words, "-v"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"{tmp_path}/out/train_lmdb  7 records",
        f"{tmp_path}/out/test_lmdb  3 records",
    ]
    assert "Wrote" in err
    assert main([*words, "-v"]) == 0
    assert "exists already (7 records)" in capsys.readouterr().err
    assert main([*words, "--force", "-v"]) == 0
    assert "Wrote" in capsys.readouterr().err


def test_a_folder_without_the_files_is_refused(tmp_path, capsys):
    words = ["dataset", "mnist", "--from", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "train-images" in capsys.readouterr().err
