"""minidl dataset folder: from folders of pictures to a data set."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from minidl import preprocess
from minidl.cli import main
from minidl.data import described
from minidl.data.sources.lmdb import Lmdb
from minidl.storage import mean

image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
pytest.importorskip("lmdb", reason="lmdb is not installed")

RNG = np.random.default_rng(1)
COUNTS = {"cat": 8, "dog": 12, "owl": 1}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder with pictures/: colour, sizes that differ, one file that is none."""
    monkeypatch.chdir(tmp_path)
    for name, count in COUNTS.items():
        (tmp_path / "pictures" / name / "deep").mkdir(parents=True)
        for i in range(count):
            pixels = RNG.integers(0, 256, (10 + i, 14, 3), np.uint8)
            place = name if i % 2 else f"{name}/deep"
            image.fromarray(pixels).save(f"pictures/{place}/{i} {name}.png")
    (tmp_path / "pictures/cat/broken.jpg").write_text("<html>")
    (tmp_path / "pictures/cat/notes.txt").write_text("no picture")
    return tmp_path


def records(part, out="data/pictures"):
    store = Lmdb(Path(out, f"{part}_lmdb"))
    try:
        return [store[i] for i in range(len(store))]
    finally:
        store.close()


def test_everything_lies_in_one_folder_and_is_told(capsys, folder):
    assert main(["dataset", "folder", "pictures", "--size", "9,7"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "data/pictures/train_lmdb  15 pictures",
        "data/pictures/val_lmdb  5 pictures",
        "2 classes: cat (8), dog (12)",
        "9 x 7, colour, by squash",
        "1 file left out that could not be read",
        "left out, as they have too few pictures: owl",
        "skipped, not pictures by their names: .txt (1)",
        "data/pictures/preprocess.json  what nets do to a picture",
        "train with: minidl train --net lenet --data data/pictures",
    ]
    assert "broken.jpg" in err and "class 'owl', which has 1 picture" in err
    assert (folder / "data/pictures/labels.txt").read_text() == "cat\ndog\n"


def test_records_are_the_pictures_as_the_description_makes_them(folder):
    words = ["--resize", "half-crop", "--size", "8", "--mean", "none"]
    assert main(["dataset", "folder", "pictures", *words]) == 0
    prepare = preprocess.read("data/pictures/preprocess.json")
    lines = (folder / "data/pictures/val.txt").read_text().splitlines()
    for line, record in zip(lines, records("val"), strict=True):
        path, label = line.rsplit(" ", 1)
        assert prepare.labels[int(label)] in path and record.label == int(label)
        np.testing.assert_array_equal(prepare(path), record.image)


@pytest.mark.parametrize("kind", ["pixel", "image"])
def test_the_mean_is_that_of_what_is_learned_from(kind):
    assert main(["dataset", "folder", "pictures", "--size", "6", "--mean", kind]) == 0
    whole = np.mean([r.image for r in records("train")], axis=0, dtype="f8")
    np.testing.assert_allclose(mean.read("data/pictures/mean.binaryproto"), whole, rtol=1e-5)
    description = preprocess.read("data/pictures/preprocess.json").transform
    if kind == "pixel":
        np.testing.assert_allclose(description.mean_value, whole.mean(axis=(1, 2)), atol=1e-3)
    else:
        assert description.mean_file == "data/pictures/mean.binaryproto"


def test_a_picture_that_breaks_off_is_left_out_and_not_counted(folder, capsys):
    whole = (folder / "pictures/dog/3 dog.png").read_bytes()
    (folder / "pictures/dog/3 dog.png").write_bytes(whole[: len(whole) // 2])
    assert main(["dataset", "folder", "pictures", "--size", "227"]) == 0
    out, err = capsys.readouterr()
    assert "2 classes: cat (8), dog (11)" in out and "2 files left out" in out
    assert "3 dog.png" in err and "--net squeezenet --data" in out


def test_pictures_of_one_size_keep_it_and_grey_ones_have_one_channel(folder, capsys):
    for i in range(8):
        (folder / "grey" / str(i % 2)).mkdir(parents=True, exist_ok=True)
        pixels = RNG.integers(0, 256, (5, 6), np.uint8)
        image.fromarray(pixels).save(f"grey/{i % 2}/{i}.bmp")
    assert main(["dataset", "folder", "grey", "--out", "out", "--test", "25"]) == 0
    assert "5 x 6, grey, by squash" in capsys.readouterr().out
    assert [len(records(part, "out")) for part in ("train", "val", "test")] == [4, 2, 2]
    assert records("test", "out")[0].image.shape == (1, 5, 6)
    words = ["--out", "out", "--color", "--force", "--encode-type", "png"]
    assert main(["dataset", "folder", "grey", *words]) == 0
    assert records("train", "out")[0].image.shape == (3, 5, 6)
    assert not (folder / "out/test_lmdb").exists()  # of the data set that was there before


def test_what_is_split_already_stays_so(folder, capsys):
    for part, classes in {"train": "ab", "val": "abc"}.items():
        for name in classes:
            (folder / "split" / part / name).mkdir(parents=True)
            for i in range(3):
                pixels = RNG.integers(0, 256, (4, 4), np.uint8)
                image.fromarray(pixels).save(f"split/{part}/{name}/{i}.png")
    assert main(["dataset", "folder", "split"]) == 0
    assert [len(records(part, "data/split")) for part in ("train", "val")] == [6, 6]
    assert "val: class 'c' is not in the training part" in capsys.readouterr().err


def test_the_description_counts_and_measures_what_is_there(folder):
    assert main(["dataset", "folder", "pictures", "--size", "6,5", "--resize", "crop"]) == 0
    found = described.read("data/pictures")
    assert (found.task, found.source, found.size) == ("classification", "pictures", (6, 5))
    assert (found.channels, found.resize, found.encoding) == (3, "crop", "")
    assert found.labels == ("cat", "dog") and found.duplicates == {}
    for part, split in found.splits.items():
        labels = [r.label for r in records(part)]
        assert split.records == len(labels) and split.store == f"{part}_lmdb"
        assert split.classes == (labels.count(0), labels.count(1))
        assert described.read_labels("data/pictures", part, split.records).tolist() == labels
    whole = np.stack([r.image for r in records("train")]).astype("f8")
    np.testing.assert_allclose(found.mean, whole.mean(axis=(0, 2, 3)), atol=1e-3)
    np.testing.assert_allclose(found.std, whole.std(axis=(0, 2, 3)), atol=1e-3)
    stores = [*Path("data/pictures").glob("*_lmdb/*"), Path("data/pictures/mean.binaryproto")]
    assert found.bytes == sum(path.stat().st_size for path in stores)
    warnings = {remark.kind: remark for remark in found.warnings}
    assert list(warnings) == ["few", "unreadable", "other"]
    assert warnings["few"].examples == ("owl (1)",)
    assert "broken.jpg" in warnings["unreadable"].examples[0]
    assert warnings["other"].examples == (".txt (1)",)
    mean = np.asarray(image.open("data/pictures/mean.png")).transpose(2, 0, 1)[::-1]
    np.testing.assert_array_equal(mean, np.rint(whole.mean(axis=0)))


def test_a_picture_that_is_learned_from_and_tested_with_is_told(folder, capsys):
    for i in range(8):
        (folder / "same" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        value = 7 if i in (0, 1) else i * 20
        image.fromarray(np.full((4, 4), value, np.uint8)).save(f"same/{'ab'[i % 2]}/{i}.png")
    # One of each class goes to the validation part; every seed puts others there.
    for seed in range(50):
        words = ["dataset", "folder", "same", "--seed", str(seed), "--force"]
        assert main(words) == 0
        found = described.read("data/same")
        paths = {p: Path(f"data/same/{p}.txt").read_text() for p in ("train", "val")}
        apart = sum("a/0.png" in text or "b/1.png" in text for text in paths.values()) == 2
        err = capsys.readouterr().err
        if apart:
            assert found.duplicates == {"train/val": 1}
            (remark,) = found.warnings
            assert remark.kind == "duplicate_across" and "are in train, too" in remark.text
            assert sorted(Path(p).name for p in remark.examples[0].split(" = ")) == [
                "0.png",
                "1.png",
            ]
            assert "flatter a net" in err
            return
        assert list(found.duplicates) in (["train"], ["val"])
    raise AssertionError("no seed parts them")


def test_validation_and_test_may_have_folders_of_their_own(folder, capsys):
    for name, counts in {"v": {"cat": 3, "dog": 1, "owl": 4}, "t": {"cat": 5}}.items():
        for label, count in counts.items():
            (folder / name / label).mkdir(parents=True)
            for i in range(count):
                pixels = RNG.integers(0, 256, (4, 4, 3), np.uint8)
                image.fromarray(pixels).save(f"{name}/{label}/{i}.png")
    words = ["dataset", "folder", "pictures", "--size", "4", "--val-from", "v", "--val-min", "2"]
    assert main([*words, "--test-from", "t", "--test-max", "2"]) == 0
    found = described.read("data/pictures")
    assert {part: split.classes for part, split in found.splits.items()} == {
        "train": (8, 12),
        "val": (3, 0),
        "test": (2, 0),
    }
    assert "too few pictures: owl, dog in val" in capsys.readouterr().out


def test_names_may_be_of_any_bytes(folder, capsys):
    for name in (b"caf\xe9", "naïve ☃".encode(), b'q"uote'):
        place = b"odd/" + name
        try:
            os.makedirs(place)
        except OSError:
            pytest.skip("this file system takes no such names")
        for i in range(2):
            with open(place + b"/%d \xff.png" % i, "wb") as file:
                image.fromarray(RNG.integers(0, 256, (4, 4), np.uint8)).save(file, "PNG")
    assert main(["dataset", "folder", "odd", "--val", "50"]) == 0
    labels = tuple(os.fsdecode(name) for name in (b"caf\xe9", "naïve ☃".encode(), b'q"uote'))
    assert described.read("data/odd").labels == labels
    assert preprocess.read("data/odd/preprocess.json").labels == labels
    assert Path("data/odd/labels.txt").read_bytes().startswith(b"caf\xe9\n")
    capsys.readouterr()
    assert main(["dataset", "browse", "data/odd", "--label", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["items"][0]["class"] == labels[0]


REFUSED = {
    "which folder": (["folder"], "which folder"),
    "a folder for a name": (["pictures"], "minidl dataset folder pictures"),
    "two words": (["digits", "pictures"], "has an unexpected argument 'pictures'"),
    "no such folder": (["folder", "pictuers"], "pictuers: there is no such folder"),
    "one class": (["folder", "pictures", "--min", "9"], r"has 1 classes(.|\n)*too few: cat, owl"),
    "shares": (["folder", "pictures", "--val", "60", "--test", "40"], "leave 0 %"),
    "a share": (["folder", "pictures", "--val", "100"], "not a percentage"),
    "mode": (["folder", "pictures", "--resize", "crush"], "'crush' is not one of squash"),
    "both": (["folder", "pictures", "--gray", "--color"], "--gray and --color"),
    "size": (["folder", "pictures", "--size", "big"], "'big' is not a size"),
    "a bound of no folder": (
        ["folder", "pictures", "--val-max", "3"],
        "--val-max needs --val-from",
    ),
    "no folder for tests": (
        ["folder", "pictures", "--test-from", "no"],
        "no: there is no such fol",
    ),
}


@pytest.mark.parametrize("words, message", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_refused(words, message, capsys, folder):
    assert main(["dataset", *words]) == 2
    err = capsys.readouterr().err
    assert re.search(message, err), err
    assert not (folder / "data").exists()


def test_a_data_set_that_is_there_is_replaced_only_by_force(capsys):
    words = ["dataset", "folder", "pictures", "--size", "5"]
    assert main(words) == 0
    assert main(words) == 2
    assert "holds a data set already" in capsys.readouterr().err
    assert main([*words, "--force", "--max", "4", "--val", "50"]) == 0
    assert len(records("train")) == len(records("val")) == 4


def test_texts_beside_no_data_set_are_somebody_elses(capsys):
    words = ["dataset", "folder", "pictures", "--out", "mine", "--force"]
    Path("mine").mkdir()
    for name in ("train.txt", "labels.txt", "val.labels"):
        Path("mine", name).write_text("years of work")
        assert main(words) == 2
        assert f"{name}: is not a file that minidl wrote" in capsys.readouterr().err
        assert Path("mine", name).read_text() == "years of work"
        Path("mine", name).unlink()
    assert os.listdir("mine") == []
