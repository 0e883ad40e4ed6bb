"""PSROIPooling against R-FCN's loops, and its derivative."""

import math

import numpy as np
import pytest

from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run
from tests.layers.detection.test_roi_pooling import REGIONS

X = np.random.default_rng(8).standard_normal((2, 18, 8, 9))


def pooled(x, regions, group, scale):
    channels, (height, width) = x.shape[1] // group**2, x.shape[2:]
    y = np.zeros((len(regions), channels, group, group))
    for r, (image, *box) in enumerate(regions):
        x1, y1, x2, y2 = (math.copysign(math.floor(abs(v) + 0.5), v) for v in box)
        left, above = x1 * scale, y1 * scale
        wide = max((x2 + 1) * scale - left, 0.1) / group
        high = max((y2 + 1) * scale - above, 0.1) / group
        for c, i, j in np.ndindex(channels, group, group):
            rows = range(math.floor(i * high + above), math.ceil((i + 1) * high + above))
            columns = range(math.floor(j * wide + left), math.ceil((j + 1) * wide + left))
            values = [
                x[int(image), (c * group + i) * group + j, h, w]
                for h in rows
                for w in columns
                if 0 <= h < height and 0 <= w < width
            ]
            y[r, c, i, j] = sum(values) / len(values) if values else 0
    return y


@pytest.mark.parametrize("group, scale", [(3, 0.5), (1, 0.25), (3, 1)])
def test_every_bin_is_a_mean_over_a_channel_of_its_own(group, scale):
    layer = build("PSROIPooling", spatial_scale=scale, output_dim=18 // group**2, group_size=group)
    _, (y,) = run(layer, X, REGIONS)
    np.testing.assert_allclose(y.data, pooled(X, REGIONS, group, scale), rtol=1e-12, atol=1e-14)


def test_backward_is_the_derivative_of_forward():
    layer = build("PSROIPooling", spatial_scale=0.5, output_dim=2, group_size=3)
    check_backward(layer, X, REGIONS, limit=80)
