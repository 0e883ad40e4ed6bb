"""The table of an evaluation: what spreadsheets make of it, and questions about single rows."""

import csv
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.errors import FormatError, UsageError
from minidl.evaluation import records
from minidl.storage import files

NAMES = [
    "=1+1",
    "a,b.png",
    'he said "no"',
    "two\nlines",
    "'=x",
    "-3",
    "@x",
    "+",
    "ü",
    "\udcff",
    "'x",
]


@given(st.text())
def test_no_text_begins_like_a_formula_and_none_is_lost(text):
    shown = records.guarded(text)
    assert not re.match(r"[=+\-@\t\r]", shown)
    assert records.unguarded(shown) == text


def test_numbers_are_plain_decimals():
    values = (1e-9, 87.3365478515625, 1e20, float("nan"))
    assert [records.decimal(v) for v in values] == [
        "0.000000",
        "87.336548",
        "100000000000000000000.000000",
        "",
    ]


def written(folder, names):
    with files.replacing(folder / records.TABLE) as file:
        writer = records.Writer(file, ["index", "name"], [("loss", "<f4")])
        half = len(names) // 2
        for start, some in ((0, names[:half]), (half, names[half:])):
            rows = [[str(start + i), records.guarded(name)] for i, name in enumerate(some)]
            numbers = np.array([(start + i,) for i in range(len(some))], [("loss", "<f4")])
            writer.add(rows, numbers)
    writer.write_numbers(folder)


def test_any_row_is_found_by_its_number(tmp_path):
    written(tmp_path, NAMES)
    reader = records.Reader(tmp_path)
    order = [10, 0, 3, 9, 5, 1, 2, 4, 6, 7, 8]
    assert reader.names(order) == [NAMES[i] for i in order]
    assert reader.numbers["loss"].tolist() == list(range(len(NAMES)))
    with open(
        tmp_path / "predictions.csv", encoding="utf-8", errors="surrogateescape", newline=""
    ) as f:
        rows = list(csv.reader(f))
    assert rows[0] == ["index", "name"]
    assert [records.unguarded(row[1]) for row in rows[1:]] == NAMES


def test_a_table_that_was_changed_is_refused(tmp_path):
    written(tmp_path, NAMES)
    path = tmp_path / "predictions.csv"
    path.write_bytes(path.read_bytes().replace(b"a,b.png", b"a,longer name.png"))
    assert records.Reader(tmp_path).names([0]) == ["=1+1"]
    with pytest.raises(FormatError, match="was changed"):
        records.Reader(tmp_path).names([5])


def test_a_folder_without_a_table_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"holds no predictions\.csv"):
        records.Reader(tmp_path)
    written(tmp_path, NAMES)
    (tmp_path / "records.npy").write_bytes(b"no")
    with pytest.raises(FormatError, match="is damaged"):
        records.Reader(tmp_path)
