"""minidl dataset browse: a page of records, in words and in JSON."""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

from minidl.cli import main
from minidl.data import described
from minidl.data.sources.lmdb import Lmdb

image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
pytest.importorskip("lmdb", reason="lmdb is not installed")

RNG = np.random.default_rng(1)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i in range(20):
        Path("pictures", "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        pixels = RNG.integers(0, 256, (40, 60, 3), np.uint8)
        image.fromarray(pixels).save(f"pictures/{'ab'[i % 2]}/{i}.png")
    assert main(["dataset", "folder", "pictures", "--out", "data", "--size", "40,60"]) == 0
    return tmp_path


def browsed(capsys, *words):
    capsys.readouterr()
    assert main(["dataset", "browse", "data", "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)


def records(part):
    store = Lmdb(Path(f"data/{part}_lmdb"))
    try:
        return [store[i] for i in range(len(store))]
    finally:
        store.close()


def test_items_are_the_records_with_their_pictures(capsys):
    found = browsed(capsys, "--split", "train", "--thumb", "64")
    stored = records("train")
    assert (found["split"], found["total"], found["offset"]) == ("train", 16, 0)
    for item, record in zip(found["items"], stored, strict=True):
        assert item["label"] == record.label and item["class"] == "ab"[record.label]
        assert record.key.endswith(item["name"]) and item["name"].startswith("pictures/")
        assert item["size"] == [40, 60]
        shown = np.asarray(image.open(io.BytesIO(base64.b64decode(item["png"]))))
        np.testing.assert_array_equal(shown.transpose(2, 0, 1)[::-1], record.image)
    assert [item["index"] for item in found["items"]] == list(range(16))


@pytest.mark.parametrize("label", ["1", "b"])
def test_a_label_is_a_filter_with_pages(capsys, label):
    stored = [i for i, r in enumerate(records("train")) if r.label == 1]
    words = ["--split", "train", "--label", label, "--count", "3"]
    seen = []
    for offset in (0, 3, 6, 9):
        found = browsed(capsys, *words, "--offset", str(offset))
        assert found["total"] == len(stored)
        seen += [item["index"] for item in found["items"]]
    assert seen == stored


def test_indices_come_in_the_order_asked_for(capsys):
    found = browsed(capsys, "--split", "train", "--indices", "8,3,9", "--thumb", "30")
    assert [item["index"] for item in found["items"]] == [8, 3, 9] and found["total"] == 3
    size = image.open(io.BytesIO(base64.b64decode(found["items"][0]["png"]))).size
    assert size == (30, 20)


def test_without_a_part_the_one_for_validation_is_shown_in_words(capsys):
    capsys.readouterr()
    assert main(["dataset", "browse", "data", "--count", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r" +0  [01] [ab] +40 x 60 +pictures/[ab]/\d+\.png", lines[0]), lines[0]
    assert lines[-1] == "2 of 4 records"


def test_a_record_that_cannot_be_read_is_shown_as_such(capsys, monkeypatch):
    words = ["--out", "data", "--size", "40,60", "--force", "--encode-type", "png"]
    assert main(["dataset", "folder", "pictures", *words]) == 0
    path = Path("data/val_lmdb/data.mdb")
    data = bytearray(path.read_bytes())
    at = data.find(b"\x89PNG")
    data[at : at + 4] = b"oops"
    path.write_bytes(data)
    items = browsed(capsys)["items"]
    broken = [item for item in items if "error" in item]
    assert len(items) == 4 and len(broken) == 1 and "not an image" in broken[0]["error"]


REFUSED = {
    "no data set": (["browse", "pictures"], "holds no dataset.json"),
    "no part": (["browse", "data", "--split", "test"], r"has no part 'test'(.|\n)*train, val"),
    "no class": (["browse", "data", "--label", "cat"], "there is no class 'cat'"),
    "beyond": (["browse", "data", "--indices", "1,4"], r"has no record 4(.|\n)*0 to 3"),
    "no numbers": (["browse", "data", "--indices", "1,x"], "not a list of numbers"),
    "two filters": (["browse", "data", "--indices", "1", "--label", "0"], "stands alone"),
    "too many": (["browse", "data", "--count", "5000"], "not a whole number of 1 to 1000"),
}


@pytest.mark.parametrize("words, message", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_refused(words, message, capsys):
    assert main(["dataset", *words]) == 2
    err = capsys.readouterr().err
    assert re.search(message, err), err


def test_labels_of_another_data_set_are_refused(capsys):
    described.write_labels("data", "val", [1, 2])
    assert main(["dataset", "browse", "data"]) == 2
    assert "holds 2 labels, but there are 4 records" in capsys.readouterr().err
