"""ROIPooling and ROIAlign in ONNX."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl import Net
from tests.onnx.support import check, layer_net, needs

MAP = (2, 3, 9, 11)
PARAMS = {
    "ROIPooling": dict(pooled_h=3, pooled_w=2, spatial_scale=0.25),
    "ROIAlign": dict(pooled_h=3, pooled_w=2, spatial_scale=0.25),
}
every_type = pytest.mark.parametrize("type", [pytest.param(t, marks=needs(t)) for t in PARAMS])


def inputs(regions, seed=0):
    """A map of signed numbers, so that a maximum of nothing shows."""
    x = np.random.default_rng(seed).standard_normal(MAP).astype(np.float32) - 1
    return {"x0": x, "x1": np.asarray(regions, np.float32)}


def region_net(type, count, **keywords):
    """In float32, as the runtime: where a bin ends is a matter of rounding."""
    net = layer_net(type, MAP, (count, 5), **{**PARAMS[type], **keywords})
    return Net(net.param, dtype=np.float32, engine="numpy")


@needs("ROIPooling")
@given(data=st.data())
@settings(max_examples=25)
def test_bins_anywhere_are_those_of_the_layer(data):
    places = st.integers(-200, 600).map(lambda tenths: tenths / 10)
    check_regions("ROIPooling", places, data)


@needs("ROIAlign")
@given(data=st.data())
@settings(max_examples=25)
def test_samples_in_the_map_are_those_of_the_layer(data):
    """In quarters of a pixel, which float32 and float64 hold alike: how many samples a bin has, and
    whether one is off the map, could differ by rounding alone."""
    places = st.integers(0, 120).map(lambda quarters: quarters / 4)
    check_regions("ROIAlign", places, data)


def check_regions(type, places, data):
    region = st.tuples(st.integers(0, 1), places, places, places, places)
    regions = data.draw(st.lists(region, min_size=1, max_size=4))
    sizes = {f"pooled_{side}": data.draw(st.integers(1, 7)) for side in "hw"}
    check(region_net(type, len(regions), **sizes), inputs(regions), vary=False)


@every_type
@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 1, 1)])
def test_a_row_without_a_region_gives_zeros(type, shape):
    rows = [[0, 0, 0, 20, 30], [-1, 0, 0, 20, 30], [1, 4, 9, 9, 12]]
    net = layer_net(type, MAP, shape, **PARAMS[type])
    check(net, inputs(np.reshape(rows, shape)), vary=False)


@needs("ROIPooling")
def test_corners_at_halves_are_rounded_away_from_zero():
    rows = [[0, 2, 2, 10, 14], [1, -2, -6, 22, 18]]  # a quarter of these
    check(region_net("ROIPooling", 2), inputs(rows), vary=False)


@needs("ROIAlign")
@pytest.mark.parametrize("samples", [0, 1, 2, 3])
def test_samples(samples):
    rows = [[0, 1, 2, 30, 21], [1, -9, -7, 3, 4], [0, 30, 30, 60, 50]]
    check(region_net("ROIAlign", 3, sampling_ratio=samples), inputs(rows), vary=False)
