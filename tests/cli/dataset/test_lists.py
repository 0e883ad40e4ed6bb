"""minidl dataset lists: pictures and classes as text files say."""

import re
from pathlib import Path

import numpy as np
import pytest

from minidl import preprocess
from minidl.cli import main
from minidl.data import described
from minidl.data.sources.lmdb import Lmdb

image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
pytest.importorskip("lmdb", reason="lmdb is not installed")

RNG = np.random.default_rng(1)
WORDS = ["dataset", "lists", "--train", "t", "--val", "v", "--root", "pictures", "--out", "out"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("pictures/deep").mkdir(parents=True)
    for i in range(12):
        pixels = RNG.integers(0, 256, (8, 9, 3), np.uint8)
        image.fromarray(pixels).save(f"pictures/deep/a {i}.png")
    Path("t").write_text("".join(f"deep/a {i}.png {i % 3}\n" for i in range(9)))
    Path("v").write_text("".join(f"{tmp_path}/pictures/deep/a {i}.png 1\n" for i in (9, 10, 11)))
    Path("names").write_text("cat\nold dog\nowl\n")
    return tmp_path


def records(part):
    store = Lmdb(Path(f"out/{part}_lmdb"))
    try:
        return [store[i] for i in range(len(store))]
    finally:
        store.close()


def test_listed_pictures_become_a_data_set(folder, capsys):
    assert main([*WORDS, "--labels", "names", "--size", "5,6"]) == 0
    found = described.read("out")
    assert (found.labels, found.source) == (("cat", "old dog", "owl"), "t, v")
    assert {p: s.classes for p, s in found.splits.items()} == {"train": (3, 3, 3), "val": (0, 3, 0)}
    prepare = preprocess.read("out/preprocess.json")
    prepare.transform.ClearField("mean_value")
    lines = Path("out/train.txt").read_text().splitlines()
    for line, record in zip(lines, records("train"), strict=True):
        path, label = line.rsplit(" ", 1)
        assert record.label == int(label) == int(path.split()[-1].split(".")[0]) % 3
        np.testing.assert_array_equal(prepare(path), record.image)
    assert [r.label for r in records("train")] != [0, 1, 2] * 3  # mixed
    out = capsys.readouterr().out
    assert "out/train_lmdb  9 records" in out and "3 classes, 5 x 6, colour" in out


def test_the_order_may_be_that_of_the_list():
    assert main([*WORDS, "--in-order"]) == 0
    assert [r.label for r in records("train")] == [0, 1, 2] * 3
    assert described.read("out").labels == ("0", "1", "2")
    assert described.read_labels("out", "train", 9).tolist() == [0, 1, 2] * 3


def test_a_picture_in_both_lists_is_told(folder, capsys):
    Path("v").write_text("deep/a 3.png 0\n")
    assert main(WORDS) == 0
    assert described.read("out").duplicates == {"train/val": 1}
    assert "1 of the 1 pictures in val are in train, too" in capsys.readouterr().err


def test_what_cannot_be_read_is_left_out(folder, capsys):
    Path("pictures/deep/a 2.png").write_text("<html>")
    Path("pictures/deep/a 4.png").unlink()
    whole = Path("pictures/deep/a 5.png").read_bytes()
    Path("pictures/deep/a 5.png").write_bytes(whole[:-40])
    assert main([*WORDS, "--in-order"]) == 0
    found = described.read("out")
    assert found.splits["train"].classes == (3, 2, 1)
    (remark,) = found.warnings
    assert remark.kind == "unreadable" and remark.count == 3
    err = capsys.readouterr().err
    assert all(f"a {i}.png" in err for i in (2, 4, 5))


REFUSED = {
    "which list": (["--out", "out"], r"which list\?"),
    "where to": (["--train", "t"], r"where to\?"),
    "no list": (["--train", "no", "--out", "out"], "no: cannot be read"),
    "no label": (["--train", "bad", "--out", "out"], r"bad:2: 'x\.png' has no label"),
    "real label": (["--train", "real", "--out", "out"], r"real:1: the label is 0\.5(.|\n)*whole"),
    "unnamed": (
        ["--train", "t", "--labels", "one", "--out", "out"],
        r"t:3: the label is 2(.|\n)*0 to 1",
    ),
    "no root": (["--train", "t", "--out", "out"], r"t: names no picture(.|\n)*--root DIR"),
}


@pytest.mark.parametrize("words, message", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_refused(words, message, capsys):
    Path("bad").write_text("x.png 1\nx.png\n")
    Path("real").write_text("x.png 0.5\n")
    Path("one").write_text("cat\ndog\n")
    assert main(["dataset", "lists", *words]) == 2
    err = capsys.readouterr().err
    assert re.search(message, err), err
    assert not Path("out").exists()
