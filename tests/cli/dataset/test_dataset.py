"""minidl dataset: names, folders, what is printed."""

import gzip
import shutil
import sys

import numpy as np
import pytest

from minidl import preprocess
from minidl.cli import main
from minidl.cli.dataset import KINDS
from minidl.data import described
from minidl.runs import job


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


def test_it_is_described_like_a_data_set_of_ones_own(idx_files, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)  # needed for pictures only
    words = ["dataset", "fashion-mnist", "--from", str(idx_files), "--out", str(tmp_path / "out")]
    assert main(words) == 0
    found = described.read(tmp_path / "out")
    assert found.labels[:2] == ("T-shirt/top", "Trouser") and len(found.labels) == 10
    assert [(s.store, s.records) for s in found.splits.values()] == [
        ("train_lmdb", 7),
        ("test_lmdb", 3),
    ]
    assert found.splits["train"].classes == (1,) * 7 + (0,) * 3
    assert preprocess.read(tmp_path / "out/preprocess.json").shape() == (1, 28, 28)
    assert job.read(tmp_path / "out").kind == "dataset"
    assert job.status(tmp_path / "out").state == job.DONE
    before = (tmp_path / "out/dataset.json").stat().st_mtime_ns
    assert main(words) == 0  # nothing is new
    assert (tmp_path / "out/dataset.json").stat().st_mtime_ns == before
    shutil.rmtree(tmp_path / "out/test_lmdb")
    assert main(words) == 0
    assert (tmp_path / "out/dataset.json").stat().st_mtime_ns > before


def test_what_is_refused_leaves_no_folder(tmp_path, capsys):
    for words in (["digits", "--from", "x"], ["mnist", "--from", str(tmp_path / "no")]):
        assert main(["dataset", *words, "--out", str(tmp_path / "out")]) == 2
        assert not (tmp_path / "out").exists()
