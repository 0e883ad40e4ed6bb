"""ROIPooling against Fast R-CNN's loops, and its derivative."""

import math

import numpy as np
import pytest

from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

X = np.random.default_rng(7).standard_normal((2, 3, 8, 9))
REGIONS = np.array(
    [
        [0, 0, 0, 17, 15],  # the whole map
        [1, 3, 5, 11, 9],
        [1, 4, 4, 4, 4],  # one pixel
        [0, 9, 9, 3, 2],  # ends before it begins
        [0, -6, -5, 4, 3],  # begins outside
        [1, 12, 11, 30, 40],  # ends outside
        [0, 40, 40, 50, 50],  # lies outside
        [0, 5, 5, 7, 7],  # halves: 2.5 and 3.5 places
    ],
    float,
)


def pooled(x, regions, rows, columns, scale):
    def near(value):
        return math.copysign(math.floor(abs(value) + 0.5), value)

    y = np.zeros((len(regions), x.shape[1], rows, columns))
    for r, (image, *box) in enumerate(regions):
        x1, y1, x2, y2 = (near(v * scale) for v in box)
        height, width = max(y2 - y1 + 1, 1) / rows, max(x2 - x1 + 1, 1) / columns
        for i, j in np.ndindex(rows, columns):
            top, bottom = math.floor(i * height) + y1, math.ceil((i + 1) * height) + y1
            left, right = math.floor(j * width) + x1, math.ceil((j + 1) * width) + x1
            places = [
                (h, w)
                for h in range(x.shape[2])
                for w in range(x.shape[3])
                if top <= h < bottom and left <= w < right
            ]
            for c in range(x.shape[1]):
                y[r, c, i, j] = max((x[int(image), c, h, w] for h, w in places), default=0)
    return y


@pytest.mark.parametrize("rows, columns, scale", [(3, 2, 0.5), (4, 4, 0.5), (1, 1, 1), (7, 7, 0.3)])
def test_every_bin_has_its_maximum(rows, columns, scale):
    layer = build("ROIPooling", pooled_h=rows, pooled_w=columns, spatial_scale=scale)
    _, (y,) = run(layer, X, REGIONS)
    np.testing.assert_array_equal(y.data, pooled(X, REGIONS, rows, columns, np.float32(scale)))


def test_backward_is_the_derivative_of_forward():
    layer = build("ROIPooling", pooled_h=3, pooled_w=2, spatial_scale=0.5)
    check_backward(layer, X, REGIONS, limit=80)


def test_of_equal_maxima_the_first_one_by_rows_gets_the_gradient():
    x = np.array([[[[0.0, 0, 5], [5, 5, 0]]]])
    layer = build("ROIPooling", pooled_h=1, pooled_w=1)
    bottom, (y,) = run(layer, x, np.array([[0.0, 0, 0, 2, 1]]))
    y.diff.fill(1)
    layer.backward([y], [True, False], bottom)
    assert bottom[0].diff.tolist() == [[[[0, 0, 1], [0, 0, 0]]]]
