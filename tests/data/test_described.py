"""dataset.json and the files of labels: what is written is read again, and nothing else."""

import json
from dataclasses import replace

import numpy as np
import pytest

from minidl.data import described
from minidl.data.described import DataSet, Remark, Split
from minidl.errors import DataError, FormatError, UsageError

FOUND = DataSet(
    "pairs",
    {"train": Split(7, "train_lmdb", "lmdb", (3, 4), "t_lmdb"), "val": Split(2, "/x", "hdf5")},
    source="pictures",
    size=(3, 5),
    channels=3,
    labels=("a", "b\udcff"),
    mean=(1.5, 2, 3),
    std=(0.5, 1, 2),
    warnings=(Remark("few", "A class was left out.", 1, ("owl",)),),
    duplicates={"train/val": 1},
)


def test_what_is_written_is_read_again(tmp_path):
    assert not described.is_one(tmp_path)
    described.write(tmp_path, FOUND)
    assert described.is_one(tmp_path) and described.read(tmp_path) == FOUND
    described.write(tmp_path, replace(FOUND, bytes=5))  # in place of its own kind
    assert described.read(tmp_path).bytes == 5


def test_stores_are_relative_to_the_folder_or_absolute(tmp_path):
    train, val = FOUND.splits.values()
    assert described.store(tmp_path, train) == tmp_path / "train_lmdb"
    assert described.target(tmp_path, train) == tmp_path / "t_lmdb"
    assert str(described.store(tmp_path, val)) == "/x"


def test_fields_of_later_versions_are_passed_over(tmp_path):
    described.write(tmp_path, FOUND)
    found = json.loads((tmp_path / "dataset.json").read_text())
    found["later"] = found["splits"]["train"]["later"] = 1
    (tmp_path / "dataset.json").write_text(json.dumps(found))
    assert described.read(tmp_path) == FOUND


BAD = {
    "no JSON": "{",
    "another format": "{}",
    "no splits": '{"format": "minidl dataset 1", "task": "pairs"}',
    "another task": '{"format": "minidl dataset 1", "task": "x", "splits": {}}',
    "another backend": '{"format": "minidl dataset 1", "task": "pairs", "splits": {"train": '
    '{"records": 1, "store": "a", "backend": "b"}}}',
    "splits of another type": '{"format": "minidl dataset 1", "task": "pairs", "splits": [1]}',
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_what_is_no_description_is_refused(text, tmp_path):
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(FormatError, match="does not describe a data set"):
        described.read(tmp_path)


def test_a_folder_without_one_is_refused_with_the_way_to_it(tmp_path):
    with pytest.raises(UsageError, match=r"holds no dataset.json(.|\n)*minidl dataset store"):
        described.read(tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        described.read(tmp_path / "no")


def test_labels_are_little_endian_and_one_a_record(tmp_path):
    described.write_labels(tmp_path, "val", [3, -1, 258])
    assert (tmp_path / "val.labels").read_bytes().hex() == "03000000ffffffff02010000"
    np.testing.assert_array_equal(described.read_labels(tmp_path, "val", 3), [3, -1, 258])
    assert described.read_labels(tmp_path, "train", 3) is None
    with pytest.raises(DataError, match=r"holds 3 labels, but there are 4 records"):
        described.read_labels(tmp_path, "val", 4)
