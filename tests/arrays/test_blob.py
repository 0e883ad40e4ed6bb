"""Blob and Param: lazy gradients, views, reshaping."""

import numpy as np
import pytest

from minidl.arrays.blob import Blob, Param
from minidl.arrays.device import Device
from minidl.errors import UsageError

CPU = Device()


def blob(*shape, name="b", dtype=np.float32):
    return Blob(name, shape, CPU, dtype)


def test_data_and_diff_start_at_zero_in_the_blobs_type():
    b = blob(2, 3)
    assert b.data.dtype == b.diff.dtype == np.float32
    assert not b.data.any()
    assert not b.diff.any()


def test_pycaffes_names_of_the_axes_are_1_where_there_is_no_axis():
    b = blob(2, 3, 4)
    assert (b.num, b.channels, b.height, b.width, b.count) == (2, 3, 4, 1, 24)
    assert blob().count == 1


def test_a_view_shares_data_and_gradient():
    b, view = blob(2, 6), blob(1)
    view.share(b, (2, 3, 2))
    b.data[1, 5] = 7
    view.diff[0, 0, 1] = 3
    assert view.data[1, 2, 1] == 7
    assert b.diff[0, 1] == 3


def test_a_view_without_gradient_has_one_of_its_own():
    b, view = blob(2, 6), blob(1)
    view.share(b, diff=False)
    view.diff.fill(1)
    assert not b.diff.any()


def test_a_blob_that_a_layer_works_on_is_that_array_itself():
    b, view, array = blob(2, 6), blob(1), np.zeros((3, 4), np.float32)
    b.use(array)
    view.share(b, (12,))
    b.data = np.full((3, 4), 2, np.float32)
    assert b.data is array and array[2, 3] == view.read()[11] == 2


def test_reshaping_to_the_same_count_keeps_the_values():
    b = blob(2, 6)
    b.data[...] = np.arange(12).reshape(2, 6)
    b.reshape(3, 4)
    assert b.data[2, 3] == 11
    b.reshape(5)
    assert b.data.shape == b.diff.shape == (5,)


def test_a_shape_may_be_given_as_one_tuple_and_must_be_one():
    b = blob(2, 6)
    b.reshape((7, 3))
    assert b.shape == (7, 3)
    for wrong in [(2.7, 3), (-1, 2), ("a",)]:
        with pytest.raises(UsageError, match="blob 'b'"):
            b.reshape(*wrong)


def test_a_frozen_parameter_wants_no_gradient():
    assert Param("w", (1,), CPU, np.float32).wanted
    assert not Param("w", (1,), CPU, np.float32, lr_mult=0).wanted
