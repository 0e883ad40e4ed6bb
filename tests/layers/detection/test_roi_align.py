"""ROIAlign against its samples, one by one, and its derivative."""

import math

import numpy as np
import pytest

from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run
from tests.layers.detection.test_roi_pooling import REGIONS

X = np.random.default_rng(9).standard_normal((2, 3, 8, 9))


def sample(plane, v, u):
    """One value between four places; 0 beyond one place outside."""
    height, width = plane.shape
    if not (-1 <= v <= height and -1 <= u <= width):
        return 0.0
    v, u = min(max(v, 0), height - 1), min(max(u, 0), width - 1)
    h, w = int(v), int(u)
    below, right, f, g = min(h + 1, height - 1), min(w + 1, width - 1), v - int(v), u - int(u)
    upper = (1 - g) * plane[h, w] + g * plane[h, right]
    return (1 - f) * upper + f * ((1 - g) * plane[below, w] + g * plane[below, right])


def aligned(x, regions, rows, columns, scale, samples):
    y = np.zeros((len(regions), x.shape[1], rows, columns))
    for r, (image, *box) in enumerate(regions):
        x1, y1, x2, y2 = (v * scale for v in box)
        high, wide = max(y2 - y1, 1) / rows, max(x2 - x1, 1) / columns
        down, across = samples or math.ceil(high), samples or math.ceil(wide)
        for c, i, j in np.ndindex(*y.shape[1:]):
            y[r, c, i, j] = np.mean(
                [
                    sample(
                        x[int(image), c],
                        y1 + (i + (k + 0.5) / down) * high,
                        x1 + (j + (m + 0.5) / across) * wide,
                    )
                    for k in range(down)
                    for m in range(across)
                ]
            )
    return y


@pytest.mark.parametrize("samples", [0, 1, 2])
@pytest.mark.parametrize("rows, columns, scale", [(3, 2, 0.5), (2, 2, 0.25), (1, 4, 1)])
def test_every_bin_is_the_mean_of_its_samples(rows, columns, scale, samples):
    size = dict(pooled_h=rows, pooled_w=columns)
    layer = build("ROIAlign", spatial_scale=scale, sampling_ratio=samples, **size)
    _, (y,) = run(layer, X, REGIONS)
    expected = aligned(X, REGIONS, rows, columns, scale, samples)
    np.testing.assert_allclose(y.data, expected, rtol=1e-10, atol=1e-13)


def test_backward_is_the_derivative_of_forward():
    layer = build("ROIAlign", pooled_h=3, pooled_w=2, spatial_scale=0.5)
    check_backward(layer, X, REGIONS, limit=80)
