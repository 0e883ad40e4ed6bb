"""How numbers are spread, against NumPy on the whole array."""

import numpy as np
import pytest

from minidl.cli.train.looking import spread as module
from minidl.cli.train.looking.spread import idle, rounded, spread


@pytest.mark.parametrize("piece", [7, 1 << 20])
def test_moments_and_counts_are_numpys(piece, monkeypatch):
    monkeypatch.setattr(module, "PIECE", piece)
    values = np.random.default_rng(1).standard_normal((5, 7, 3)).astype(np.float32)
    values[0, :3] = 0
    found = spread(values)
    assert found["mean"] == pytest.approx(values.mean(dtype=np.float64), rel=1e-12)
    assert found["std"] == pytest.approx(values.std(dtype=np.float64), rel=1e-9)
    assert (found["min"], found["max"]) == (values.min(), values.max())
    assert found["zeros"] == 9 / 105
    counts, edges = np.histogram(values, 30)
    assert found["counts"] == counts.tolist() and sum(found["counts"]) == 105
    assert found["edges"] == [edges[0], edges[-1]]


def test_numbers_that_are_not_finite_are_left_out():
    found = spread(np.array([1, np.nan, 3, np.inf], np.float32))
    assert (found["mean"], found["std"], sum(found["counts"])) == (2, 1, 2)
    none = spread(np.array([np.nan]))
    assert none["mean"] is None and sum(none["counts"]) == 0
    assert spread(np.zeros(0))["zeros"] == 0


def test_equal_numbers_have_a_histogram_too():
    found = spread(np.full(4, 2.0))
    assert found["edges"] == [1.5, 2.5] and max(found["counts"]) == 4 and found["std"] == 0


def test_idle_channels_are_zero_for_all_items_and_places():
    values = np.ones((2, 5, 3, 3))
    values[:, 1] = 0
    values[0, 2] = 0  # only in one item
    values[:, 4] = 0
    values[1, 4, 2, 2] = 1e-9
    assert idle(values) == (1, 5, 18)
    assert idle(np.zeros((3, 4))) == (4, 4, 3) and idle(np.zeros(3)) == (0, 0, 0)


def test_six_digits_are_enough():
    assert rounded({"a": 1 / 3, "b": [2 / 3, 1], "c": None}) == {
        "a": 0.333333,
        "b": [0.666667, 1],
        "c": None,
    }
