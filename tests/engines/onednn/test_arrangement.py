"""Arrangements, told from the layout of one array and applied to others."""

import numpy as np
import pytest

from minidl.engines.onednn import api
from minidl.engines.onednn.arrangement import arrangement_of, blocked
from minidl.engines.onednn.layout import strided
from tests.engines.onednn.as_layer import ARRANGEMENTS, arrange


def test_blocks_hold_a_pixels_channels_side_by_side(engine):
    layout = blocked((1, 20, 2, 1))
    packed = np.full(layout.nbytes, 0xFF, np.uint8)
    image = np.arange(40, dtype=np.float32).reshape(1, 20, 2, 1)
    layout.pack(image, packed)
    rows = packed.view(np.float32).reshape(2, 2, 16)  # block, row, channel of the block
    np.testing.assert_array_equal(rows[0], image[0, :16, :, 0].T)
    np.testing.assert_array_equal(rows[1, :, :4], image[0, 16:, :, 0].T)
    assert (rows[1, :, 4:] == 0).all()


@pytest.mark.parametrize("axes", [3, 4, 5])
@pytest.mark.parametrize("block", [8, 16])
def test_there_are_blocks_for_one_to_three_spatial_axes(engine, axes, block):
    layout = blocked((2, 20, 3, 4, 5)[:axes], block=block)
    assert str(layout) == {3: f"nCw{block}c", 4: f"nChw{block}c", 5: f"nCdhw{block}c"}[axes]
    assert arrangement_of(layout)((1, 64, 7, 7, 7)[:axes], api.F32).shape[1] == 64


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_the_arrangement_of_one_array_serves_another(engine, name):
    one, other = (arrange(engine, name, shape) for shape in ((2, 20, 5, 3), (1, 33, 4, 7)))
    dtype = api.F32 if one is None else one.dtype
    made = arrangement_of(one)((1, 33, 4, 7), dtype)
    assert str(made) == ("nchw" if other is None else str(other))
    assert other is None or made == other


def test_an_arrangement_that_is_none_of_them_is_not_guessed(engine):
    rows_padded = strided((2, 3, 4, 5), (96, 32, 8, 1), (2, 3, 4, 5))
    assert arrangement_of(rows_padded) is None
