"""What ROIPooling, PSROIPooling and ROIAlign refuse alike, and rows that hold no region."""

import numpy as np
import pytest

from minidl.errors import LabelError, LayerConfigError
from minidl.layers.detection.regions import bins, round_half_up
from minidl.testing.harness import build, run

TYPES = {
    "ROIPooling": (dict(pooled_h=2, pooled_w=2), 2),
    "ROIAlign": (dict(pooled_h=2, pooled_w=2), 2),
    "PSROIPooling": (dict(spatial_scale=1, output_dim=2, group_size=1), 2),
}
each_type = pytest.mark.parametrize(
    "type, keywords, channels", [(t, *rest) for t, rest in TYPES.items()]
)
BOX = [0.0, 1, 1, 3, 2]


@each_type
def test_a_row_of_no_image_gives_zeros_and_gets_no_gradient(type, keywords, channels):
    x = np.random.default_rng(1).standard_normal((2, channels, 5, 6))
    alone, both = build(type, **keywords), build(type, **keywords)
    _, (expected,) = run(alone, x, np.array([BOX]))
    bottom, (y,) = run(both, x, np.array([[-1.0, 0, 0, 3, 3], BOX]))
    assert (y.data[0] == 0).all() and (y.data[1] == expected.data[0]).all()
    y.diff[...] = 0
    y.diff[0] = 7
    both.backward([y], [True, False], bottom)
    assert (bottom[0].diff == 0).all()


@each_type
@pytest.mark.parametrize("image", [2.0, -2.0, 0.5, np.nan])
def test_a_region_of_an_image_that_is_not_there_is_refused(type, keywords, channels, image):
    layer = build(type, name="roi", **keywords)
    with pytest.raises(LabelError, match=rf"'roi': region 1 of 'x1' is of image {image:g}"):
        run(layer, np.zeros((2, channels, 5, 6)), np.array([BOX, [image, *BOX[1:]]]))


@each_type
def test_what_is_no_map_and_no_list_of_regions_is_refused(type, keywords, channels):
    layer = build(type, name="roi", **keywords)
    with pytest.raises(LayerConfigError, match=r"'roi'.*the map is \(2, 3\)"):
        layer.top_shapes((2, 3), (4, 5))
    with pytest.raises(LayerConfigError, match=r"'roi'.*the regions 'x1' are \(4, 4\)"):
        layer.top_shapes((2, channels, 3, 3), (4, 4))
    assert layer.top_shapes((2, channels, 3, 3), (4, 5, 1, 1))[0][0] == 4


@pytest.mark.parametrize(
    "type, keywords, found",
    [
        ("ROIPooling", dict(pooled_h=2), "pooled_w is 0 or missing"),
        ("ROIAlign", dict(pooled_w=2), "pooled_h is 0 or missing"),
        ("ROIPooling", dict(pooled_h=2, pooled_w=2, spatial_scale=-1), "spatial_scale is -1"),
        ("ROIAlign", dict(pooled_h=2, pooled_w=2, sampling_ratio=-1), "sampling_ratio is -1"),
        ("PSROIPooling", dict(spatial_scale=1, output_dim=2), "group_size is 0"),
        ("PSROIPooling", dict(output_dim=2, group_size=2), "spatial_scale is 0"),
    ],
)
def test_parameters_that_are_missing_are_refused(type, keywords, found):
    with pytest.raises(LayerConfigError, match=rf"{type} layer 'roi'.*{found}"):
        build(type, name="roi", **keywords)


def test_position_sensitive_pooling_counts_its_channels():
    layer = build("PSROIPooling", spatial_scale=1, output_dim=2, group_size=3)
    with pytest.raises(LayerConfigError, match=r"has 9 channels(.|\n)*group_size\*\*2 = 18"):
        layer.top_shapes((1, 9, 4, 4), (3, 5))


def test_halves_are_rounded_away_from_0():
    values = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 2.4, -2.6])
    assert round_half_up(values).tolist() == [1, 2, 3, -1, -2, 2, -3]


def test_bins_are_rounded_outwards_and_cut_at_the_border():
    begin, end = bins(np.array([-1.0, 0.5]), np.array([4.0, 3.0]), 3, 2)
    assert begin.tolist() == [[0, 0, 1], [0, 1, 2]]
    assert end.tolist() == [[1, 2, 2], [2, 2, 2]]
