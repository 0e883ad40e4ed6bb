"""Equal records, against counting them in a dictionary."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from minidl.data import duplicates

PARTS = ("train", "val", "test")


def found(values):
    digests = {part: np.array(list(map(ord, v)), np.uint64) for part, v in values.items()}
    names = {part: [f"{part}{i}" for i in range(len(v))] for part, v in values.items()}
    return duplicates.find(digests, names)


def test_copies_and_leaks_are_told_with_their_names():
    counts, remarks = found({"train": "abca", "val": "xbyb", "test": "z"})
    assert counts == {"train": 1, "val": 1, "train/val": 2}
    assert [r.kind for r in remarks] == ["duplicate", "duplicate", "duplicate_across"]
    assert remarks[0].examples == ("train0 = train3",) and remarks[0].count == 1
    assert remarks[2].examples == ("train1 = val1", "train1 = val3")
    assert remarks[2].text.startswith("2 of the 4 pictures in val are in train, too")


@given(st.fixed_dictionaries({part: st.text("abcdef", max_size=9) for part in PARTS}))
def test_counts_are_those_of_a_dictionary(values):
    values = {part: values[part] for part in PARTS}
    counts, remarks = found(values)
    expected = {}
    for part, letters in values.items():
        expected[part] = sum(n - 1 for n in Counter(letters).values())
    for i, one in enumerate(PARTS):
        for other in PARTS[i + 1 :]:
            expected[f"{one}/{other}"] = sum(letter in values[one] for letter in values[other])
    assert counts == {name: count for name, count in expected.items() if count}
    assert [r.count for r in remarks] == list(counts.values())


def test_a_number_stands_for_bytes():
    assert duplicates.digest(b"a") == duplicates.digest(b"a") != duplicates.digest(b"b")
    assert duplicates.digest(memoryview(b"a")) < 1 << 64
