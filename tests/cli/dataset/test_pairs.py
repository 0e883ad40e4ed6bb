"""minidl dataset pairs: two pictures a record, in two stores of the same order."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from minidl import preprocess
from minidl.cli import main
from minidl.data import described
from minidl.data.sources.lmdb import Lmdb
from minidl.runs import job

image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
pytest.importorskip("lmdb", reason="lmdb is not installed")

RNG = np.random.default_rng(1)
WORDS = ["dataset", "pairs", "in", "want", "--out", "out"]
COUNT = 12


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """in/ in colour, want/ the same in grey, and labels/: the upper half 3, the lower 0 or 255."""
    monkeypatch.chdir(tmp_path)
    for place in ("in", "want", "labels"):
        Path(place, "deep").mkdir(parents=True)
    for i in range(COUNT):
        name = f"deep/{i}" if i % 2 else f"{i} a"
        pixels = RNG.integers(0, 256, (8, 10, 3), np.uint8)
        image.fromarray(pixels).save(f"in/{name}.png")
        image.fromarray(pixels[..., 0]).save(f"want/{name}.bmp")
        labels = np.zeros((8, 10), np.uint8)
        labels[:4] = 3
        labels[7] = 255 if i == 0 else 0
        picture = image.fromarray(labels).convert("P")
        picture.putdata(labels.ravel().tolist())
        picture.putpalette(RNG.integers(0, 256, 768).tolist())
        picture.save(f"labels/{name}.png")
    return tmp_path


def records(store):
    found = Lmdb(Path("out", store))
    try:
        return [found[i] for i in range(len(found))]
    finally:
        found.close()


def test_inputs_and_targets_lie_side_by_side(capsys):
    assert main([*WORDS, "--val", "25"]) == 0
    found = described.read("out")
    assert (found.task, found.targets, found.labels) == ("pairs", "image", ())
    assert (found.channels, found.target_channels, found.size) == (3, 1, (8, 10))
    assert [s.records for s in found.splits.values()] == [9, 3] and found.ignore == -1
    seen = set()
    for split in found.splits.values():
        pairs = zip(records(split.store), records(split.target), strict=True)
        for first, second in pairs:
            assert first.key == second.key
            np.testing.assert_array_equal(first.image[2], second.image[0])  # red
            seen.add(first.key.split("_", 1)[1])
    assert len(seen) == COUNT and "deep/1" in seen and "0 a" in seen
    assert capsys.readouterr().out.splitlines() == [
        "out/train_lmdb, train_target_lmdb  9 pairs",
        "out/val_lmdb, val_target_lmdb  3 pairs",
        "8 x 10, colour to grey, by squash",
        "out/dataset.json  what the data set is",
    ]
    assert preprocess.read("out/preprocess.json").shape() == (3, 8, 10)
    assert job.status("out").state == job.DONE
    whole = np.stack([r.image for r in records("train_lmdb")])
    np.testing.assert_allclose(found.mean, whole.mean(axis=(0, 2, 3)), atol=1e-3)


def test_classes_are_numbers_of_pixels_and_are_never_mixed():
    words = ["dataset", "pairs", "in", "labels", "--out", "out", "--targets", "classes"]
    assert main([*words, "--size", "16,5", "--resize", "crop"]) == 0
    found = described.read("out")
    assert (found.targets, found.ignore, found.labels) == ("classes", 255, ("0", "1", "2", "3"))
    counts = np.zeros(256, int)
    for split in found.splits.values():
        for record in records(split.target):
            assert record.image.shape == (1, 16, 5)
            assert set(np.unique(record.image)) <= {0, 3, 255}
            counts += np.bincount(record.image.ravel(), minlength=256)
    assert (
        np.sum([s.classes for s in found.splits.values()], axis=0).tolist() == counts[:4].tolist()
    )
    assert Path("out/labels.txt").read_text() == "0\n1\n2\n3\n"


def test_what_is_beside_a_picture_is_of_no_class():
    words = ["dataset", "pairs", "in", "labels", "--out", "out", "--targets", "classes"]
    assert main([*words, "--size", "10,20", "--resize", "fill", "--encode-type", "jpg"]) == 0
    record = records("train_target_lmdb")[0].image[0]
    # 8 x 10 becomes 10 x 12 (12.5, and 13 with an odd margin is 14) in the middle of 20 columns
    columns = np.flatnonzero((record != 255).any(axis=0))
    assert columns[0] == 20 - 1 - columns[-1] > 0
    assert set(np.unique(record[:, columns[0] : columns[-1] + 1])) <= {0, 3, 255}


def test_one_folder_is_its_own_target():
    assert main(["dataset", "pairs", "in", "in", "--out", "out", "--gray"]) == 0
    found = described.read("out")
    assert (found.channels, found.target_channels) == (1, 3)
    words = ["dataset", "pairs", "in", "in", "--out", "out", "--gray", "--target-gray", "--force"]
    assert main(words) == 0
    for first, second in zip(records("train_lmdb"), records("train_target_lmdb"), strict=True):
        np.testing.assert_array_equal(first.image, second.image)


def test_pictures_without_a_partner_and_broken_ones_are_left_out(folder, capsys):
    Path("want/0 a.bmp").unlink()
    Path("want/2 a.bmp").write_text("<html>")
    whole = Path("in/4 a.png").read_bytes()
    Path("in/4 a.png").write_bytes(whole[:-30])
    Path("in/notes.txt").write_text("x")
    assert main(WORDS) == 0
    found = described.read("out")
    assert sum(split.records for split in found.splits.values()) == COUNT - 3
    kinds = {remark.kind: remark for remark in found.warnings}
    assert kinds["alone"].examples == ("in/0 a.png",) and kinds["unreadable"].count == 2
    assert kinds["other"].examples == (".txt (1)",)
    err = capsys.readouterr().err
    assert "2 a.bmp" in err and "4 a.png" in err and "1 picture has no partner" in err
    for split in found.splits.values():
        keys = [[r.key for r in records(s)] for s in (split.store, split.target)]
        assert keys[0] == keys[1]


def test_labels_of_another_size_are_left_out(folder, capsys):
    image.fromarray(np.zeros((4, 4), np.uint8)).save("labels/0 a.png")
    words = ["dataset", "pairs", "in", "labels", "--out", "out", "--targets", "classes"]
    assert main(words) == 0
    assert "has 4 x 4 labels for a picture of 8 x 10" in capsys.readouterr().err


def test_names_of_classes_may_be_given(folder, capsys):
    Path("names").write_text("sky\nroad\n")
    words = ["dataset", "pairs", "in", "labels", "--out", "out", "--targets", "classes"]
    assert main([*words, "--labels", "names"]) == 0
    found = described.read("out")
    assert found.labels == ("sky", "road")
    assert [(r.kind, r.examples) for r in found.warnings] == [("label", ("label 3",))]


def test_a_leak_is_told(folder, capsys):
    for i in (1, 3, 5):
        Path(f"in/deep/{i}.png").write_bytes(Path("in/0 a.png").read_bytes())
    assert main([*WORDS, "--val", "50"]) == 0
    assert sum(described.read("out").duplicates.values()) >= 3


def test_browse_shows_both(capsys):
    words = ["dataset", "pairs", "in", "labels", "--out", "out", "--targets", "classes"]
    assert main([*words, "--val", "25"]) == 0
    capsys.readouterr()
    assert main(["dataset", "browse", "out", "--json"]) == 0
    items = json.loads(capsys.readouterr().out)["items"]
    assert len(items) == 3 and all(item["png"] and item["target_png"] for item in items)
    assert items[0]["label"] is None


def test_of_another_kind_of_data_set_nothing_stays(folder, capsys):
    for name in "ab":
        Path("classes", name).mkdir(parents=True)
        for i in range(4):
            Path(f"classes/{name}/{i}.png").write_bytes(Path("in/0 a.png").read_bytes())
    first = ["dataset", "folder", "classes", "--out", "out", "--test", "25", "--force"]
    assert main(first) == 0
    assert main([*WORDS, "--force"]) == 0
    there = {path.name for path in Path("out").iterdir()}
    assert {"train_lmdb", "train_target_lmdb", "val_lmdb", "val_target_lmdb"} <= there
    assert not {"test_lmdb", "test.txt", "train.labels", "test.labels", "labels.txt"} & there
    assert main(first) == 0
    assert not [path for path in Path("out").iterdir() if "target" in path.name]
    assert main(["dataset", "browse", "out", "--label", "0"]) == 0


REFUSED = {
    "no folder": (["no", "want"], "no: there is no such folder"),
    "no pictures": (["in", "empty"], "empty: has no pictures"),
    "other names": (["in", "other"], r"12 pictures, none of which(.|\n)*but for their endings"),
    "two of a name": (["twice", "want"], r"twice: has .*x\.bmp and .*x\.png"),
    "too few": (["one", "one"], r"1 pairs that can be read, and none is left for val"),
    "a flag of classes": (["in", "want", "--labels", "x"], "--labels does not go with"),
    "a flag of pictures": (
        ["in", "labels", "--targets", "classes", "--target-gray"],
        "--target-gray does not go with --targets classes",
    ),
    "labels with colours": (["in", "in", "--targets", "classes"], r"mode RGB"),
    "one folder": (["in"], "the following arguments are required: TARGETS"),
}


@pytest.mark.parametrize("words, message", REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_refused(words, message, capsys):
    for place, names in {
        "empty": (),
        "other": ("q.png",),
        "twice": ("x.png", "x.bmp"),
        "one": ("1.png",),
    }.items():
        Path(place).mkdir()
        for name in names:
            image.fromarray(np.zeros((4, 4), np.uint8)).save(f"{place}/{name}")
    assert main(["dataset", "pairs", *words, "--out", "out"]) == 2
    err = capsys.readouterr().err
    assert re.search(message, err), err
