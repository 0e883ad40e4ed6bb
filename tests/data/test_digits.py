"""The digits: enlarged, split by class, the same every time."""

import hashlib
import sys

import numpy as np
import pytest

from minidl.data import digits
from minidl.errors import DataError


def test_enlarging_follows_the_definition():
    small = np.random.default_rng(0).integers(0, 17, (2, 3, 3))
    got = digits.enlarge(small, white=16, to=7, frame=10)
    assert got.shape == (2, 10, 10) and got.dtype == np.uint8
    for n, i, j in np.ndindex(2, 7, 7):
        places = [min(max((k + 0.5) * 3 / 7 - 0.5, 0), 2) for k in (i, j)]
        low = [min(int(p), 1) for p in places]
        a, b = (p - at for p, at in zip(places, low, strict=True))
        corner = small[n, low[0] : low[0] + 2, low[1] : low[1] + 2] * (255 / 16)
        value = np.array([1 - a, a]) @ corner @ np.array([1 - b, b])
        assert abs(int(got[n, 1 + i, 1 + j]) - value) <= 0.5 + 1e-9
    got[:, 1:8, 1:8] = 0
    assert not got.any()


def test_the_split_gives_each_class_its_share():
    labels = np.repeat([0, 1, 2], [50, 31, 19])
    np.random.default_rng(0).shuffle(labels)
    test, train = digits.split(labels, size=20)
    assert sorted([*test, *train]) == list(range(100))
    assert np.bincount(labels[test]).tolist() == [10, 6, 4]  # shares 10, 6.2, 3.8


def test_both_parts_come_in_random_order():
    labels = np.repeat(np.arange(10), [300] * 9 + [20])
    for part in digits.split(labels, size=1000):
        assert 0.4 < np.mean(np.diff(part) < 0) < 0.6
        for tenth in np.array_split(labels[part], 10):  # a class has 11 in a hundred
            assert 1 <= np.bincount(tenth, minlength=10)[:9].min()
            assert np.bincount(tenth).max() < 0.3 * len(tenth)


def test_the_digits_are_always_the_same():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    parts = digits.load()
    images, labels = parts["train"]
    assert images.shape == (1437, 28, 28) and len(labels) == 1437
    assert parts["test"][0].shape == (360, 28, 28)
    assert np.bincount(parts["test"][1]).tolist() == [36, 37, 35, 37, 36, 36, 36, 36, 35, 36]
    assert images.max() == 255 and not images[:, :4].any()
    digest = hashlib.sha256(images.tobytes() + bytes(labels.tolist())).hexdigest()
    assert digest == "29362379f7f8e3c7e09f199edea7837e27431e5929c4b776d126c03d5b2fc747"


def test_without_scikit_learn_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match=r"scikit-learn(.|\n)*pip install scikit-learn"):
        digits.load()
