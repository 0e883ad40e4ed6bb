"""`minidl dataset`: what it writes, and that it does not do it twice."""

import gzip
import hashlib
import struct

import numpy as np
import pytest

from minidl.data import datasets, download, lmdb_writer
from minidl.data.sources.lmdb import Lmdb
from minidl.errors import DataError, FormatError, UsageError
from tests.support import shared

RNG = np.random.default_rng(0)
IMAGES = {"train": RNG.integers(0, 256, (12, 28, 28), np.uint8), "test": np.ones((5, 28, 28), "u1")}
LABELS = {"train": RNG.integers(0, 10, 12, np.uint8), "test": np.arange(5, dtype=np.uint8)}


def write_idx(path, array):
    head = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    data = head + array.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def write_files(folder, suffix=".gz"):
    folder.mkdir(exist_ok=True)
    for part, (images, labels) in datasets.IDX_FILES.items():
        write_idx(folder / (images + suffix), IMAGES[part])
        write_idx(folder / (labels + suffix), LABELS[part])
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_files_become_two_data_sets(tmp_path, suffix):
    source = write_files(tmp_path / "idx", suffix)
    out = tmp_path / "out"
    counts = datasets.prepare("mnist", source=source, out=out)
    assert counts == {str(out / "train_lmdb"): 12, str(out / "test_lmdb"): 5}
    for part in datasets.PARTS:
        lmdb = Lmdb(out / f"{part}_lmdb")
        assert len(lmdb) == len(LABELS[part])
        for i in range(len(lmdb)):
            key, image, label = lmdb[i]
            assert (key, label) == (f"{i:08d}", LABELS[part][i])
            np.testing.assert_array_equal(image, IMAGES[part][i : i + 1])
        lmdb.close()


def test_the_place_is_data_and_the_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    counts = datasets.prepare("fashion-mnist", source=write_files(tmp_path / "idx"))
    assert [p.replace("\\", "/") for p in counts] == [
        "data/fashion-mnist/train_lmdb",
        "data/fashion-mnist/test_lmdb",
    ]


def test_what_is_there_is_left_alone_unless_forced(tmp_path, monkeypatch):
    source, out = write_files(tmp_path / "idx"), tmp_path / "out"
    first = datasets.prepare("mnist", source=source, out=out)
    written = []
    monkeypatch.setattr(lmdb_writer, "write", lambda path, *_: written.append(path.name))
    assert datasets.prepare("mnist", source=tmp_path / "gone", out=out) == first
    assert written == []
    datasets.prepare("mnist", source=source, out=out, force=True)
    assert written == ["train_lmdb", "test_lmdb"]


def test_only_the_missing_part_is_written(tmp_path, monkeypatch):
    source, out = write_files(tmp_path / "idx"), tmp_path / "out"
    datasets.prepare("mnist", source=source, out=out)
    (out / "test_lmdb" / "data.mdb").unlink()
    (out / "test_lmdb").rmdir()
    written = []
    monkeypatch.setattr(lmdb_writer, "write", lambda path, *_: written.append(path.name))
    datasets.prepare("mnist", source=source, out=out)
    assert written == ["test_lmdb"]


def test_a_damaged_data_set_is_not_called_there_already(tmp_path):
    source, out = write_files(tmp_path / "idx"), tmp_path / "out"
    datasets.prepare("mnist", source=source, out=out)
    whole = (out / "train_lmdb" / "data.mdb").read_bytes()
    (out / "train_lmdb" / "data.mdb").write_bytes(whole[:100])
    with pytest.raises(DataError, match="not an LMDB file(.|\n)*write it again with --force"):
        datasets.prepare("mnist", source=source, out=out)
    assert (
        datasets.prepare("mnist", source=source, out=out, force=True)[str(out / "train_lmdb")] == 12
    )


def test_files_that_do_not_belong_together_are_refused(tmp_path):
    source = write_files(tmp_path / "idx")
    write_idx(source / "train-labels-idx1-ubyte.gz", LABELS["train"][:11])
    with pytest.raises(DataError, match=r"\(12, 28, 28\), .* labels of shape \(11,\)"):
        datasets.prepare("mnist", source=source, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_file_is_refused_and_nothing_is_written(tmp_path):
    source = write_files(tmp_path / "idx")
    path = source / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(FormatError, match="t10k-images-idx3-ubyte.gz"):
        datasets.prepare("mnist", source=source, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_name_is_corrected_and_digits_take_no_folder(tmp_path):
    with pytest.raises(UsageError, match="no data set 'mnst'(.|\n)*did you mean 'mnist'"):
        datasets.prepare("mnst")
    with pytest.raises(UsageError, match="digits come with scikit-learn"):
        datasets.prepare("digits", source=tmp_path)


def test_files_are_downloaded_into_the_folder_and_kept(tmp_path, monkeypatch):
    asked = []

    def fetch(file, bases, folder, progress):
        asked.append((file.name, bases, progress))
        if not folder.exists():
            folder.parent.mkdir()
            write_files(folder)

    monkeypatch.setattr(download, "fetch", fetch)
    out = tmp_path / "out"
    assert list(datasets.prepare("mnist", out=out, progress=False).values()) == [12, 5]
    assert [name for name, _, _ in asked] == [file.name for file in datasets.FILES["mnist"]]
    assert all(bases == datasets.MIRRORS["mnist"] and not bar for _, bases, bar in asked)
    assert (out / "downloads").is_dir()


def test_every_name_has_a_line():
    assert set(datasets.listing()) == {"digits", *datasets.FILES, *datasets.MIRRORS}


@pytest.mark.parametrize("name", datasets.FILES)
def test_the_checksums_are_those_of_the_official_files(name):
    folder = shared("data") / name
    assert {file.name for file in datasets.FILES[name]} == {p.name for p in folder.iterdir()}
    for file in datasets.FILES[name]:
        data = (folder / file.name).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.size, file.sha256)


def test_digits_are_written(tmp_path):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    counts = datasets.prepare("digits", out=tmp_path)
    assert list(counts.values()) == [1437, 360]
    lmdb = Lmdb(tmp_path / "train_lmdb")
    assert lmdb[1436].image.shape == (1, 28, 28)
    lmdb.close()


@pytest.mark.parametrize("file", ["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"])
def test_files_of_another_data_set_are_refused_by_their_checksum(tmp_path, monkeypatch, file):
    source = write_files(tmp_path / "idx")
    data = (source / file).read_bytes()
    remote = download.Remote(file, len(data), hashlib.sha256(data).hexdigest())
    monkeypatch.setitem(datasets.FILES, "fashion-mnist", (remote,))
    with pytest.raises(DataError, match="not of mnist(.|\n)*dataset fashion-mnist --from") as error:
        datasets.prepare("mnist", source=source, out=tmp_path / "out")
    assert error.value.where == str(source / file)
    assert not (tmp_path / "out").exists()
    datasets.prepare("fashion-mnist", source=source, out=tmp_path / "out")
