"""minidl dataset store: stores of others, described in place; nothing of them is changed."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

from minidl import preprocess
from minidl.cli import main
from minidl.data import browsing, described, image_mean
from minidl.storage import mean
from tests.data.support import datum, write_leveldb, write_lmdb

image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

RNG = np.random.default_rng(1)
IMAGES = RNG.integers(0, 256, (9, 3, 5, 4), np.uint8)
LABELS = [0, 2, 1, 2, 2, 0, 1, 1, 2]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def records(numbers, prepare=lambda image: image, **fields):
    return [
        (b"%08d_c/%d.png" % (i, n), datum(prepare(IMAGES[n]), LABELS[n], **fields))
        for i, n in enumerate(numbers)
    ]


def described_by(*words):
    assert main(["dataset", "store", *words, "--out", "out"]) == 0
    return described.read("out")


@pytest.mark.parametrize("write, kind", [(write_lmdb, "lmdb"), (write_leveldb, "leveldb")])
def test_a_store_is_described_where_it_is(write, kind, folder, capsys):
    Path("old").mkdir()
    write("old/a", records(range(6)))
    write("old/b", records(range(5, 9)))
    before = {p: p.read_bytes() for p in Path("old").rglob("*") if p.is_file()}
    found = described_by("--train", "old/a", "--val", "old/b")
    assert {p: p.read_bytes() for p in Path("old").rglob("*") if p.is_file()} == before
    assert not list(Path("out").rglob("*.mdb")) and not list(Path("out").rglob("CURRENT"))
    assert (found.size, found.channels, found.encoding) == ((5, 4), 3, "")
    assert found.labels == ("0", "1", "2")
    train, val = found.splits["train"], found.splits["val"]
    assert (train.records, train.classes, train.backend) == (6, (2, 1, 3), kind)
    assert train.store == str(folder / "old/a")
    assert (val.records, val.classes) == (4, (1, 2, 1))
    assert found.duplicates == {"train/val": 1}
    assert found.warnings[0].examples == ("c/5.png = c/5.png",)
    learned = IMAGES[:6].astype("f8")
    np.testing.assert_allclose(found.mean, learned.mean(axis=(0, 2, 3)), atol=1e-3)
    np.testing.assert_allclose(found.std, learned.std(axis=(0, 2, 3)), atol=1e-3)
    np.testing.assert_allclose(mean.read("out/mean.binaryproto"), learned.mean(axis=0), rtol=1e-6)
    assert found.bytes == sum(map(len, before.values()))
    assert Path("out/labels.txt").read_text() == "0\n1\n2\n"
    description = preprocess.read("out/preprocess.json")
    assert description.channels == "BGR" and description.shape() == (3, 5, 4)
    np.testing.assert_allclose(description.transform.mean_value, found.mean)
    assert capsys.readouterr().out.splitlines()[:3] == [
        f"{folder}/old/a  6 records",
        f"{folder}/old/b  4 records",
        "3 classes, 5 x 4, colour",
    ]
    assert Path("out/val.index.npz").exists() == (kind == "leveldb")
    part = browsing.Part("out", "val")
    assert part[1].name == "c/6.png" and list(part.of_label(1)) == [1, 2]
    np.testing.assert_array_equal(part[1].image, IMAGES[6])
    part.close()


def test_it_works_where_nothing_may_be_written(folder):
    write_lmdb("old", records(range(6)))
    for path in ("old/data.mdb", "old/lock.mdb", "old"):
        if os.path.exists(path):
            os.chmod(path, 0o555 if os.path.isdir(path) else 0o444)
    assert described_by("--train", "old").splits["train"].records == 6
    os.chmod("old", 0o755)


@pytest.mark.parametrize("listed", [False, True], ids=["a file", "a list"])
def test_hdf5_files_are_described_by_a_list_that_their_layer_reads(listed, folder):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    numbers = [range(4), range(4, 9)] if listed else [range(9)]
    for i, some in enumerate(numbers):
        with h5py.File(f"{i}.h5", "w") as file:
            file["data"] = (IMAGES[some] / 255).astype("f4")
            file["label"] = np.array(LABELS, "f4")[some]
    Path("list").write_text("".join(f"{i}.h5\n" for i in range(len(numbers))))
    found = described_by("--train", "list" if listed else "0.h5")
    split = found.splits["train"]
    assert (split.store, split.backend, split.records) == ("train_hdf5.txt", "hdf5", 9)
    assert split.classes == (2, 3, 4)
    paths = described.store("out", split).read_text().split()
    assert paths == [str(folder / f"{i}.h5") for i in range(len(numbers))]
    np.testing.assert_allclose(found.mean, IMAGES.mean(axis=(0, 2, 3)) / 255, atol=1e-3)
    assert not preprocess.read("out/preprocess.json").transform.mean_value
    assert main(["dataset", "browse", "out", "--split", "train", "--label", "1", "--json"]) == 0


def test_labels_that_are_no_classes_are_told(folder, capsys):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    with h5py.File("a.h5", "w") as file:
        file["data"] = IMAGES.astype("f4")
        file["label"] = np.linspace(0, 1, 9)
    found = described_by("--train", "a.h5")
    assert found.labels == () and found.splits["train"].classes == ()
    assert [remark.kind for remark in found.warnings] == ["label"]
    assert "real numbers" in capsys.readouterr().err
    assert not Path("out/train.labels").exists()


def test_names_and_a_mean_may_be_given(folder, capsys):
    write_lmdb("old", records(range(9)))
    Path("words.txt").write_text("cat\ndog\n")
    image_mean.write(Path("m.binaryproto"), IMAGES[3].astype("f4"))
    found = described_by("--train", "old", "--labels", "words.txt", "--mean", "m.binaryproto")
    assert found.labels == ("cat", "dog") and found.splits["train"].classes == (2, 3)
    (remark,) = found.warnings
    assert remark.count == 4 and remark.examples[0] == "c/1.png: 2"
    assert "4 records of train have labels that are not 0 to 1" in capsys.readouterr().err
    np.testing.assert_allclose(found.mean, IMAGES[3].mean(axis=(1, 2)), atol=1e-3)
    transform = preprocess.read("out/preprocess.json").transform
    np.testing.assert_array_equal(mean.read(transform.mean_file), IMAGES[3])


def test_records_that_are_files_and_some_that_are_broken(folder, capsys):
    import io

    def png(pixels):
        buffer = io.BytesIO()
        image.fromarray(pixels[::-1].transpose(1, 2, 0)).save(buffer, "PNG")
        return buffer.getvalue()

    good = [
        (b"%08d_%d" % (i, i), datum(x, 1, encoded=True, data=png(x))) for i, x in enumerate(IMAGES)
    ]
    write_lmdb("old", [*good, (b"00000100_bad", b"\xff\xff"), (b"00000101_bad", b"")])
    found = described_by("--train", "old")
    assert (found.encoding, found.size, found.splits["train"].records) == ("png", (5, 4), 11)
    np.testing.assert_allclose(found.mean, IMAGES.mean(axis=(0, 2, 3)), atol=1e-3)
    kinds = {remark.kind: remark for remark in found.warnings}
    assert kinds["unreadable"].count == 2 and "00000100_bad" in kinds["unreadable"].examples[0]


def test_pictures_of_several_shapes_have_no_size(folder):
    odd = [(b"9", datum(np.zeros((3, 7, 7), np.uint8), 1))]
    write_lmdb("old", records(range(3)) + odd)
    found = described_by("--train", "old")
    assert (found.size, found.channels) == ((0, 0), 0)
    assert found.warnings[0].text == "the pictures have 2 shapes, and nets take one"
    assert not Path("out/preprocess.json").exists()


def test_a_store_in_the_folder_itself_has_a_relative_path():
    write_lmdb("out/train_lmdb", records(range(3)))
    assert described_by("--train", "out/train_lmdb").splits["train"].store == "train_lmdb"


REFUSED = {
    "which store": (["--out", "out"], r"which store\?(.|\n)*--train STORE"),
    "where to": (["--train", "old"], r"where to\?(.|\n)*--out DIR"),
    "no store": (["--train", "no", "--out", "out"], "there is no such data set"),
    "an empty store": (["--train", "empty", "--out", "out"], "has no record that can be read"),
    "a picture": (["--train", "x.png", "--out", "out"], "is not a text file"),
    "no labels": (["--train", "old", "--out", "out", "--labels", "no"], "no: cannot be read"),
    "empty labels": (["--train", "old", "--out", "out", "--labels", "none"], "names no class"),
    "an empty HDF5 file": (["--train", "e.h5", "--out", "out"], "has no dataset 'data'"),
    "another mean": (["--train", "old", "--out", "out", "--mean", "m"], "is a mean image of shape"),
}


@pytest.mark.parametrize("words, message", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_refused(words, message, capsys):
    write_lmdb("old", records(range(3)))
    write_lmdb("empty", [])
    image.fromarray(IMAGES[0, 0]).save("x.png")
    Path("none").touch()
    with pytest.importorskip("h5py", reason="h5py is not installed").File("e.h5", "w"):
        pass
    image_mean.write(Path("m"), np.zeros((1, 5, 4), "f4"))
    assert main(["dataset", "store", *words]) == 2
    err = capsys.readouterr().err
    assert re.search(message, err), err
    assert not Path("out").exists()


def test_a_description_is_replaced_only_by_force(capsys):
    write_lmdb("old", records(range(3)))
    assert described_by("--train", "old").splits["train"].records == 3
    words = ["dataset", "store", "--train", "old", "--out", "out"]
    assert main(words) == 2
    assert "holds a data set already" in capsys.readouterr().err
    write_lmdb("old", records(range(5)))
    assert main([*words, "--force"]) == 0
    assert described.read("out").splits["train"].records == 5
    assert main([*words, "--force", "--train", "no"]) == 2
    assert described.is_one("out")  # a store that cannot be read takes nothing away
