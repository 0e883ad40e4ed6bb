"""Pictures in folders: which are found, and who gets how many of them."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.data import picture_folder
from minidl.data.picture_folder import PARTS, counts, deal, find, percentages
from minidl.errors import DataError


@pytest.fixture
def place(tmp_path):
    def touch(*paths):
        for path in paths:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_bytes(b"x")
        return tmp_path

    return touch


def names(found, part=""):
    return {
        name: [path.split("/")[-1] for path in paths] for name, paths in found.parts[part].items()
    }


def test_each_folder_is_a_class_however_deep_its_pictures_lie(place):
    folder = place("dogs/b.PNG", "dogs/more/old/a.jpeg", "cats/tom 3.Jpg", "cats/c.tiff", "z/x.txt")
    found = find(folder)
    assert names(found) == {"cats": ["c.tiff", "tom 3.Jpg"], "dogs": ["b.PNG", "a.jpeg"]}
    assert found.labels == ["cats", "dogs"]
    assert found.others == {".txt": 1}


def test_what_systems_leave_behind_is_passed_over(place):
    folder = place(
        "a/1.png", "a/.DS_Store", "a/._1.png", "__MACOSX/a/1.png", ".git/x.png", "b/2.png"
    )
    found = find(folder)
    assert names(found) == {"a": ["1.png"], "b": ["2.png"]} and not found.others


def test_a_link_that_leads_back_up_ends(place):
    folder = place("a/1.png", "b/2.png")
    (folder / "a" / "again").symlink_to(folder / "a")
    (folder / "a" / "more").symlink_to(folder / "b")
    assert names(find(folder)) == {"a": ["1.png", "2.png"], "b": ["2.png"]}


def test_a_folder_that_is_split_already_stays_so(place):
    folder = place("Train/a/1.png", "Train/b/2.png", "valid/a/3.png", "test/b/4.png")
    found = find(folder)
    assert set(found.parts) == set(PARTS)
    assert names(found, "train") == {"a": ["1.png"], "b": ["2.png"]}
    assert names(found, "test") == {"b": ["4.png"]} and found.labels == ["a", "b"]


def test_classes_may_be_called_test(place):
    assert find(place("test/a/1.png", "cats/2.png")).labels == ["cats", "test"]


NONE = {
    "absent": ((), "no such folder"),
    "empty": (("x.txt",), "no folders with pictures"),
    "flat": (("x.png",), "has pictures, but not in folders(.|\n)*a folder for each class"),
}


@pytest.mark.parametrize("paths, message", NONE.values(), ids=NONE.keys())
def test_a_folder_without_classes_is_refused(paths, message, place, tmp_path):
    place(*paths)
    with pytest.raises(DataError, match=message):
        find(tmp_path if paths else tmp_path / "no")


def test_heads_say_sizes_colours_and_what_is_no_picture(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    grey, color, bad = (str(tmp_path / name) for name in ("grey.png", "color.png", "bad.png"))
    image.fromarray(np.zeros((4, 6), np.uint8)).save(grey)
    (tmp_path / "bad.png").write_text("<html>")
    looks = picture_folder.look([grey, bad])
    assert looks.grey and dict(looks.sizes) == {(4, 6): 1}
    assert list(looks.unreadable) == [bad] and bad in looks.unreadable[bad]
    assert picture_folder.sizes_of(looks, 6) == (4, 6) and picture_folder.sizes_of(looks, 5) is None
    image.fromarray(np.zeros((4, 7, 3), np.uint8)).save(color)
    looks = picture_folder.look([grey, color])
    assert not looks.grey and picture_folder.sizes_of(looks, 9) is None


# ---------------------------------------------------------------------- dealing

SHARES = {  # number, for validation, for test: worked out by hand from DIGITS' rules
    "halves go up": (10, 25, 0, (8, 2, 0)),
    "three parts": (10, 20, 10, (7, 2, 1)),
    "two pictures": (2, 25, 0, (1, 1, 0)),
    "a small share still gets one": (20, 1, 0, (19, 1, 0)),
    "so does a test": (9, 30, 1, (6, 2, 1)),
    "one each": (3, 10, 10, (1, 1, 1)),
    "all to learn from": (7, 0, 0, (7, 0, 0)),
}


@pytest.mark.parametrize("number, val, test, expected", SHARES.values(), ids=SHARES.keys())
def test_shares_of_a_class(number, val, test, expected):
    assert counts(number, percentages(val, test)) == expected


@given(
    number=st.integers(3, 300),
    val=st.floats(0, 60),
    test=st.floats(0, 39),
)
def test_everybody_gets_a_share_near_the_one_asked_for(number, val, test):
    shares = percentages(val, test)
    dealt = dict(zip(PARTS, counts(number, shares), strict=True))
    assert sum(dealt.values()) == number
    for part, count in dealt.items():
        assert (count > 0) == (shares[part] > 0)
        assert abs(count - number * shares[part] / 100) <= 2


def by_digits(number, train, val, test):
    """Counts of a class as NVIDIA/DIGITS deals it, told one picture at a time."""
    for i, share in enumerate((train, val, test)):
        if share >= 100:
            return tuple(number if i == j else 0 for j in range(3))
    left = list(range(number))

    def take(share):
        wanted = Fraction(share) * number / 100
        up = wanted - math.floor(wanted) >= Fraction(1, 2)
        return [left.pop() for _ in range(min(math.floor(wanted) + up, len(left)))]

    first = take(train) or ([left.pop()] if train > 0 and left else [])
    second = take(val)
    if val > 0 and not second:
        if not left and len(first) > 1:
            left.append(first.pop())
        second = [left.pop()] if left else []
    if test > 0 and not left:
        if len(second) > 1:
            left.append(second.pop())
        elif len(first) > 1:
            left.append(first.pop())
    return len(first), len(second), len(left)


SMALL = [1, 2, 3]
SPLITS = [(0, 0), (0, 25), (25, 0), (25, 25), (1, 1), (99, 0), (0, 99), (50, 49), (98, 1)]


@pytest.mark.parametrize("number", SMALL)
@pytest.mark.parametrize("val, test", SPLITS)
def test_the_smallest_classes_are_dealt_as_digits_does(number, val, test):
    assert counts(number, percentages(val, test)) == by_digits(number, 100 - val - test, val, test)


@pytest.mark.parametrize("part", range(3))
@pytest.mark.parametrize("number", [*SMALL, 40])
def test_all_of_a_class_may_go_to_one_part(part, number):
    shares = [100.0 if i == part else 0.0 for i in range(3)]
    dealt = counts(number, dict(zip(PARTS, shares, strict=True)))
    assert dealt == by_digits(number, *shares) and dealt[part] == number


@given(st.integers(1, 400), st.integers(0, 99), st.integers(0, 99))
def test_every_class_is_dealt_as_digits_does(number, val, test):
    val, test = min(val, 99), min(test, 99 - min(val, 99))
    assert counts(number, percentages(val, test)) == by_digits(number, 100 - val - test, val, test)


def test_no_picture_is_dealt_twice_and_the_seed_decides():
    classes = {"a": [f"a{i}" for i in range(40)], "b": [f"b{i}" for i in range(9)], "c": ["c0"]}
    dealt, few = deal(classes, percentages(25, 10), seed=1)
    assert few == {"c": 1}
    for name in "ab":
        all_of_it = [path for part in PARTS for path in dealt[part][name]]
        assert sorted(all_of_it) == sorted(classes[name])
    assert deal(classes, percentages(25, 10), seed=1)[0] == dealt
    assert deal(classes, percentages(25, 10), seed=2)[0] != dealt
    more = classes | {"d": [f"d{i}" for i in range(5)]}
    assert deal(more, percentages(25, 10), seed=1)[0]["val"]["a"] == dealt["val"]["a"]


def test_least_and_most_pictures_of_a_class():
    classes = {"a": [f"a{i}" for i in range(40)], "b": ["b0", "b1", "b2"]}
    dealt, few = deal(classes, percentages(50, 0), seed=0, least=4, most=10)
    assert few == {"b": 3} and [len(dealt[part]["a"]) for part in PARTS] == [5, 5, 0]
    _, few = deal({"a": ["1", "2"]}, percentages(30, 30), seed=0, least=1)
    assert few == {"a": 2}  # three parts want three pictures


def test_shares_that_leave_nothing_to_learn_from_are_refused():
    with pytest.raises(DataError, match="60 % for validation and 40 % for test leave 0 %"):
        percentages(60, 40)
