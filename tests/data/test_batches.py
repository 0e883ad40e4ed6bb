"""Batches: number n is a pure function of n."""

import threading

import numpy as np
import pytest

from minidl import schema
from minidl.arrays.rng import Streams
from minidl.data.batches import Batches, StandIn
from minidl.data.sampler import Sequential
from minidl.data.sources import Sample
from minidl.data.transform import Transform
from minidl.errors import DataError


class Listed:
    """A source in memory."""

    decoded = False

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, number):
        return Sample(f"k{number}", self.images[number], number * 10)

    def describe(self, number, key):
        return f"record {number}, key '{key}', of a list"

    def close(self):
        pass


IMAGES = np.random.default_rng(0).integers(0, 256, (5, 2, 6, 7), dtype=np.uint8)


def batches(images=IMAGES, size=3, seed=1, name="data", workers=1, **fields):
    param = schema.TransformationParameter(**fields)
    transform = Transform(param, True, np.float32, None)
    order = Sequential(len(images), size)
    return Batches(Listed(images), transform, order, np.float32, Streams(seed), name, workers)


def test_records_come_in_order_and_wrap():
    made = batches(scale=2)
    batch = made.make(1)
    np.testing.assert_array_equal(batch.data, 2.0 * IMAGES[[3, 4, 0]])
    np.testing.assert_array_equal(batch.labels, [30, 40, 0])
    assert batch.records == [(3, "k3"), (4, "k4"), (0, "k0")]
    assert made.describe(batch.records[1]) == "record 4, key 'k4', of a list"
    assert [made.restarts(n) for n in range(4)] == [0, 1, 0, 1]


def test_a_batch_may_be_longer_than_the_data_set():
    assert batches(size=12).make(0).labels.tolist() == [0, 10, 20, 30, 40] * 2 + [0, 10]


def random_batches(**keywords):
    return batches(crop_size=4, mirror=True, **keywords)


def test_a_batch_does_not_depend_on_the_batches_made_before():
    one, other = random_batches(), random_batches()
    for n in (7, 2, 5):
        one.make(n)
    np.testing.assert_array_equal(one.make(3).data, other.make(3).data)


def test_seed_name_and_number_each_change_the_random_numbers():
    size = len(IMAGES)  # so that every batch has the same records
    draws = [
        random_batches(size=size).make(0),
        random_batches(size=size).make(1),
        random_batches(size=size, seed=2).make(0),
        random_batches(size=size, name="other").make(0),
    ]
    assert len({batch.data.tobytes() for batch in draws}) == 4


def test_spare_memory_is_used_again_where_it_fits():
    made = batches()
    first = made.make(0)
    expected = made.make(1)
    second = made.make(1, first)
    assert second.data is first.data and second.labels is first.labels
    np.testing.assert_array_equal(second.data, expected.data)
    assert second.records == expected.records


def ragged(*shapes):
    return [np.full(shape, i, np.uint8) for i, shape in enumerate(shapes)]


def test_batches_may_differ_in_shape():
    made = batches(ragged((1, 2, 3), (1, 2, 3), (1, 4, 5), (1, 4, 5)), size=2)
    first = made.make(0)
    assert first.data.shape == (2, 1, 2, 3)
    assert made.make(1, first).data.shape == (2, 1, 4, 5)


def test_two_shapes_in_a_batch_are_refused_and_both_records_named():
    made = batches(ragged((1, 2, 3), (1, 2, 3), (1, 3, 2)))
    with pytest.raises(DataError) as caught:
        made.make(0)
    assert str(caught.value) == (
        "record 2, key 'k2', of a list gives (1, 3, 2), but the first of its batch, "
        "record 0, key 'k0', of a list, gives (1, 2, 3)\n"
        "  expected: records of one shape within a batch\n"
        "  fix: set transform_param.crop_size, or batch_size: 1"
    )


def test_a_crop_makes_records_of_different_sizes_equal():
    made = batches(ragged((1, 4, 9), (1, 9, 4), (1, 4, 4)), crop_size=4)
    np.testing.assert_array_equal(made.make(0).data[:, 0, 0, 0], [0, 1, 2])


def test_the_stand_in_is_one_batch_of_noise_with_labels_zero_and_one():
    stand_in = StandIn(((64, 3, 5, 4), (64,)), np.float64, Streams(0), "data")
    batch = stand_in.make(0)
    assert batch.data.shape == (64, 3, 5, 4) and batch.data.dtype == np.float64
    assert abs(batch.data.mean()) < 0.1 and abs(batch.data.std() - 1) < 0.1
    assert set(batch.labels.tolist()) == {0.0, 1.0}
    assert stand_in.make(9) is batch and stand_in.restarts(9) == 0
    assert stand_in.describe(batch.records[3]) == "random record 3"


# ---------------------------------------------------------------------- threads, labels


@pytest.mark.parametrize("workers", [2, 3, 8])
def test_any_number_of_threads_makes_the_same_batch(workers):
    expected = random_batches(size=11)
    got = random_batches(size=11, workers=workers)
    for n in (0, 4, 1):
        one, other = expected.make(n), got.make(n)
        np.testing.assert_array_equal(one.data, other.data)
        np.testing.assert_array_equal(one.labels, other.labels)
        assert one.records == other.records
    got.close()


class Failing(Listed):
    def __getitem__(self, number):
        if number >= 2:
            raise DataError(f"record {number} is bad")
        return super().__getitem__(number)


def test_the_first_record_that_fails_is_the_one_that_is_named(monkeypatch):
    monkeypatch.setitem(globals(), "Listed", Failing)
    made = batches(size=5, workers=3)
    for _ in range(20):
        with pytest.raises(DataError, match="record 2 is bad"):
            made.make(0)
    made.close()


def test_closing_ends_the_threads():
    made = batches(size=5, workers=3, name="pool")
    made.make(0)
    named = lambda: [t for t in threading.enumerate() if "worker of pool" in t.name]  # noqa: E731
    assert named()
    made.close()
    assert not named()


def test_several_labels_a_record_are_rows(monkeypatch):
    class Pairs(Listed):
        def __getitem__(self, number):
            return super().__getitem__(number)._replace(label=np.array([number, 0.5]))

    monkeypatch.setitem(globals(), "Listed", Pairs)
    assert batches(size=3).make(0).labels.tolist() == [[0, 0.5], [1, 0.5], [2, 0.5]]
