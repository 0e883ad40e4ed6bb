"""minidl dataset scan: what is in a folder, before anything is made of it."""

import json
from pathlib import Path

import numpy as np
import pytest

from minidl.cli import main

image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, count in {"cat": 3, "dog": 5}.items():
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(count):
            shape = (4, 6, 3) if i else (9, 6)
            image.fromarray(np.zeros(shape, np.uint8)).save(f"pictures/{name}/{i}.png")
    Path("pictures/cat/broken.jpg").write_text("<html>")
    Path("pictures/cat/empty.png").touch()
    Path("pictures/dog/notes.TXT").write_text("no picture")
    return tmp_path


def scanned(capsys, *words):
    assert main(["dataset", "scan", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_everything_in_the_folder_is_counted(capsys, folder):
    before = sorted(folder.rglob("*"))
    found = scanned(capsys, "pictures")
    assert found["classes"] == [{"label": "cat", "count": 3}, {"label": "dog", "count": 5}]
    assert found["pictures"] == 8 and not found["split"] and not found["grey"]
    assert found["sizes"] == [{"size": [4, 6], "count": 6}, {"size": [9, 6], "count": 2}]
    bad = {entry["path"]: entry["reason"] for entry in found["bad"]}
    assert set(bad) == {"pictures/cat/broken.jpg", "pictures/cat/empty.png"}
    assert bad["pictures/cat/empty.png"] == "is empty" and found["bad_count"] == 2
    assert found["others"] == [{"ending": ".txt", "count": 1}]
    assert found["default"] == {"size": [256, 256], "channels": 3}
    assert sorted(folder.rglob("*")) == before


def test_bad_files_are_named_up_to_a_limit(capsys):
    found = scanned(capsys, "pictures", "--limit-bad", "1")
    assert len(found["bad"]) == 1 and found["bad_count"] == 2


def test_a_folder_that_is_split_is_counted_by_part(capsys, folder):
    for part, names in {"train": "ab", "val": "a"}.items():
        for name in names:
            Path("split", part, name).mkdir(parents=True)
            image.fromarray(np.zeros((5, 5), np.uint8)).save(f"split/{part}/{name}/1.png")
    found = scanned(capsys, "split")
    assert found["split"] and found["grey"]
    assert found["classes"] == [
        {"label": "a", "count": 2, "parts": {"train": 1, "val": 1}},
        {"label": "b", "count": 1, "parts": {"train": 1, "val": 0}},
    ]
    assert found["default"] == {"size": [5, 5], "channels": 1}


def test_the_same_in_words(capsys):
    assert main(["dataset", "scan", "pictures"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "cat        3",
        "dog        5",
        "8 pictures in 2 classes, colour",
        "sizes: 4 x 6 (6), 9 x 6 (2)",
        "not pictures by their names: .txt (1)",
        "2 cannot be read:",
        "  pictures/cat/broken.jpg: cannot identify image",
        "  pictures/cat/empty.png: is empty",
    ]


@pytest.mark.parametrize("words", [["no"], ["pictures/cat"], ["pictures/cat/0.png"], []])
def test_a_folder_that_is_none_is_refused(words, capsys):
    assert main(["dataset", "scan", *words]) == 2
    assert capsys.readouterr().err.startswith("minidl: error: ")
