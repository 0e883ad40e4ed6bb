"""Where records come from: paths of a run that ran elsewhere, lists, folders, names."""

import json
import os

import numpy as np
import pytest

from minidl import prototxt
from minidl.data import lmdb_writer
from minidl.errors import UsageError
from minidl.evaluation import sources
from minidl.evaluation.sources import Named
from minidl.runs import job

NET = """
layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  data_param { source: "data/train_lmdb" batch_size: 2 backend: LMDB } }
layer { name: "d" type: "Data" top: "data" top: "label" include { phase: TEST }
  transform_param { mean_file: "data/mean.binaryproto" }
  data_param { source: "data/val_lmdb" batch_size: 2 backend: LMDB } }
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """home/ where a run ran, with its data and runs/x, seen from another folder."""
    for part, count in (("train", 5), ("val", 3)):
        images = np.zeros((count, 1, 2, 2), np.uint8)
        lmdb_writer.write(tmp_path / f"home/data/{part}_lmdb", images, np.zeros(count, int))
    (tmp_path / "home/data/mean.binaryproto").write_bytes(b"")
    (tmp_path / "home/runs/x").mkdir(parents=True)
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    return tmp_path / "home"


@pytest.mark.parametrize("split, records", [("", 3), ("val", 3), ("train", 5)])
def test_relative_paths_start_where_the_run_ran(place, split, records):
    run = place / "runs/x"
    job.write(run, job.Job("train", cwd="../.."))
    found = sources.part(prototxt.read_net(NET), run, split)
    assert (found.name, found.records) == (split or "val", records)
    assert found.net.layer[0].transform_param.mean_file == str(place / "data/mean.binaryproto")
    assert found.origin.path == str(place / f"data/{found.name}_lmdb")


def test_another_data_set_in_place_of_the_runs_own(place):
    lmdb_writer.write(place / "new/test_lmdb", np.zeros((4, 1, 2, 2), np.uint8), np.zeros(4, int))
    found = sources.part(prototxt.read_net(NET), place / "runs/x", "test", str(place / "new"))
    assert (found.name, found.records) == ("test", 4)
    with pytest.raises(UsageError, match=r"no part 'val'(.|\n)*expected: test"):
        sources.part(prototxt.read_net(NET), place / "runs/x", "val", str(place / "new"))


def test_labels_are_those_of_the_description_else_of_the_data_set(place):
    run = place / "runs/x"
    job.write(run, job.Job("train", cwd="../..", needs={"data": "../../data"}))
    net = prototxt.read_net(NET)
    assert sources.labels_of(run, net, ("a", "b"), 2) == ["a", "b"]
    assert sources.labels_of(run, net, ("a", "b"), 3) == ["0", "1", "2"]
    (place / "data/labels.txt").write_text("x\ny\nz\n")
    assert sources.labels_of(run, net, ("a", "b"), 3) == ["x", "y", "z"]
    text = {"format": "minidl dataset 1", "task": "classification", "labels": ["p", "q", "r"]}
    (place / "data/dataset.json").write_text(json.dumps(text | {"splits": {}}))
    assert sources.labels_of(run, net, (), 3) == ["p", "q", "r"]


def test_a_list_may_have_labels_blanks_and_a_root(tmp_path):
    (tmp_path / "list.txt").write_text("a.png 3\n\nb c.png\nd 4 e.png 0\n")
    assert sources.listed(str(tmp_path / "list.txt"), "r") == [
        Named(os.path.join("r", "a.png"), 3),
        Named(os.path.join("r", "b c.png")),
        Named(os.path.join("r", "d 4 e.png"), 0),
    ]


def test_a_folder_has_loose_pictures_and_those_of_classes(tmp_path):
    for name in ("a.png", "notes.txt", ".hidden.png", "cat/b.JPG", "cat/deep/c.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    found = sources.in_folder(str(tmp_path))
    assert found == [
        Named(str(tmp_path / "a.png")),
        Named(str(tmp_path / "cat/b.JPG"), "cat"),
        Named(str(tmp_path / "cat/deep/c.png"), "cat"),
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="has no pictures"):
        sources.in_folder(str(tmp_path / "empty"))
