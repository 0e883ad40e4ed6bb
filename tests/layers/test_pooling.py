"""Pooling against its definition, its derivative, Caffe's known answers and its refusals."""

import itertools
import logging

import numpy as np
import pytest

from minidl import schema
from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import bind, build, run

IMAGE = (2, 3, 7, 6)

WINDOWS = {
    "apart": dict(kernel_size=2, stride=2),
    "overlapping": dict(kernel_size=3, stride=2),
    "one by one": dict(kernel_size=3),
    "padded": dict(kernel_size=3, stride=2, pad=1),
    "mostly padding": dict(kernel_size=5, stride=3, pad=4),
    "last window clipped": dict(kernel_size=2, stride=2, pad=1),
    "rectangles": dict(kernel_h=3, kernel_w=2, stride_h=2, stride_w=3, pad_h=1, pad_w=0),
    "gaps between": dict(kernel_size=2, stride_h=3, stride_w=4),
    "whole windows only": dict(kernel_size=3, stride=3, round_mode="FLOOR"),
    "wider than the image": dict(kernel_size=9, stride=4),
    "all": dict(global_pooling=True),
}
METHODS = ("MAX", "AVE", "STOCHASTIC")
CASES = [
    pytest.param(method, keywords, id=f"{method} {name}")
    for method, (name, keywords) in itertools.product(METHODS, WINDOWS.items())
    if method != "STOCHASTIC" or not any(field.startswith("pad") for field in keywords)
]


def geometry(keywords, size):
    """(kernel, stride, pad) for both axes, from any of the ways in which they can be given."""
    for axis in (0, 1):
        h_or_w = "hw"[axis]
        kernel = keywords.get(f"kernel_{h_or_w}", keywords.get("kernel_size", size[axis]))
        stride = keywords.get(f"stride_{h_or_w}", keywords.get("stride", 1))
        pad = keywords.get(f"pad_{h_or_w}", keywords.get("pad", 0))
        yield kernel, stride, pad


def windows(x, keywords, out):
    """(index in the top, rows and columns on the image, divisor) of each window of a channel."""
    (kh, sh, ph), (kw, sw, pw) = geometry(keywords, x.shape[2:])
    height, width = x.shape[2:]
    for n, c, i, j in np.ndindex(out):
        top, left = i * sh - ph, j * sw - pw
        bottom, right = min(top + kh, height + ph), min(left + kw, width + pw)
        rows = range(max(top, 0), min(bottom, height))
        columns = range(max(left, 0), min(right, width))
        yield (n, c, i, j), rows, columns, (bottom - top) * (right - left)


def by_definition(x, method, keywords, out):
    y, places = np.empty(out), np.empty(out)
    for index, rows, columns, area in windows(x, keywords, out):
        seen = [(float(x[index[:2] + place]), place) for place in itertools.product(rows, columns)]
        values = [value for value, _ in seen]
        if method == "MAX":
            y[index] = max(values)
            row, column = next(place for value, place in seen if value == y[index])
            places[index] = row * x.shape[3] + column
        elif method == "AVE":
            y[index] = sum(values) / area
        else:
            y[index] = sum(v * v for v in values) / sum(values)
    return y, places


def sample(method, shape=IMAGE, seed=7):
    """Signed, all distinct; STOCHASTIC needs positive values."""
    x = np.random.default_rng(seed).standard_normal(shape) - 0.7
    return np.abs(x) if method == "STOCHASTIC" else x


@pytest.mark.parametrize("method, keywords", CASES)
def test_forward_follows_the_definition(method, keywords):
    x = sample(method)
    layer = build("Pooling", pool=method, phase=schema.TEST, **keywords)
    _, (y,) = run(layer, x)
    expected, _ = by_definition(x, method, keywords, y.shape)
    np.testing.assert_allclose(y.data, expected, rtol=1e-12)


@pytest.mark.parametrize("method, keywords", CASES)
@pytest.mark.parametrize("phase", [schema.TRAIN, schema.TEST], ids=["training", "testing"])
def test_backward_is_the_derivative_of_forward(method, keywords, phase):
    layer = build("Pooling", pool=method, phase=phase, **keywords)
    check_backward(layer, sample(method), limit=60)


@pytest.mark.parametrize("keywords", WINDOWS.values(), ids=WINDOWS.keys())
@pytest.mark.parametrize("levels", [2, 1000], ids=["ties", "no ties"])
def test_the_first_maximum_wins_and_gets_the_gradient(keywords, levels):
    x = np.random.default_rng(5).integers(-levels, levels, IMAGE).astype(np.float64)
    layer = build("Pooling", tops=2, **keywords)
    bottom, (y, place) = run(layer, x)
    expected, places = by_definition(x, "MAX", keywords, y.shape)
    np.testing.assert_array_equal(y.data, expected)
    np.testing.assert_array_equal(place.data, places)
    y.diff[...] = np.random.default_rng(6).standard_normal(y.shape)
    layer.backward([y, place], [True], bottom)
    dx = np.zeros(IMAGE)
    for n, c, i, j in np.ndindex(y.shape):
        row, column = divmod(int(places[n, c, i, j]), IMAGE[3])
        dx[n, c, row, column] += y.diff[n, c, i, j]
    np.testing.assert_allclose(bottom[0].diff, dx, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("method", METHODS)
def test_channels_are_worked_on_in_parts_without_a_seam(method, monkeypatch):
    x = sample(method, (7, 3, 7, 6))
    results = []
    for elements in (1 << 20, 5 * 7 * 6, 1):  # 21 channels: all, 5 and a rest of 1, one by one
        monkeypatch.setattr("minidl.arrays.device.Cpu.piece", elements // 2)
        layer = build("Pooling", pool=method, kernel_size=3, stride=2)
        scratch = [b.shape for b in layer.buffers(x.shape).values() if not b.kept]
        assert {shape[0] for shape in scratch} == {min(21, max(1, elements // 42))}
        bottom, (y,) = run(layer, x)
        y.diff[...] = np.random.default_rng(1).standard_normal(y.shape)
        layer.backward([y], [True], bottom)
        results.append((y.data, bottom[0].diff))
    for result in results[1:]:
        for a, b in zip(results[0], result, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_window_of_many_places_needs_a_larger_number():
    x = sample("MAX", (1, 2, 18, 17))
    x[0, 0, 17, 16] = x[0, 1, 16, 3] = 9
    layer = build("Pooling", tops=2, global_pooling=True)
    bottom, (y, place) = run(layer, x)
    assert layer.winner.dtype == np.uint16
    assert place.data.ravel().tolist() == [17 * 17 + 16, 16 * 17 + 3]
    y.diff[...] = [[[[5]], [[7]]]]
    layer.backward([y, place], [True], bottom)
    assert bottom[0].diff[0, 0, 17, 16] == 5 and bottom[0].diff[0, 1, 16, 3] == 7
    assert np.count_nonzero(bottom[0].diff) == 2


@pytest.mark.filterwarnings("ignore:invalid value")
def test_nan_reaches_the_top_and_no_index_leaves_the_image():
    x = np.full((1, 1, 4, 5), np.nan)
    x[0, 0, 2:, 3:] = 1
    for keywords in (dict(kernel_size=3, stride=2, pad=2), dict(kernel_size=2, stride=2)):
        layer = build("Pooling", tops=2, **keywords)
        bottom, (y, place) = run(layer, x)
        assert np.isnan(y.data[0, 0, 0, 0]) and y.data[0, 0, -1, -1] == 1
        assert np.all((place.data >= 0) & (place.data < 20))
        y.diff[...] = 1
        layer.backward([y, place], [True], bottom)
        assert np.isfinite(bottom[0].diff).all()


def test_minus_infinity_can_be_the_maximum():
    _, (y, place) = run(build("Pooling", tops=2, kernel_size=2), np.full((1, 1, 2, 3), -np.inf))
    assert np.all(y.data == -np.inf) and place.data.ravel().tolist() == [0, 1]


# ------------------------------------------------------------------ STOCHASTIC in training


def test_places_are_drawn_in_proportion_to_their_values():
    weights = np.array([[0.5, 0.0, 1.5], [2.0, 1.0, 0.0]])
    x = np.broadcast_to(weights, (200, 100, 2, 3)) + 0.0
    _, (y,) = run(build("Pooling", pool="STOCHASTIC", kernel_h=2, kernel_w=3), x)
    shares = [float(np.mean(y.data == value)) for value in (0.5, 1.0, 1.5, 2.0)]
    assert sum(shares) == 1  # and never a place of weight 0
    np.testing.assert_allclose(shares, np.array([0.5, 1.0, 1.5, 2.0]) / 5, atol=0.015)


def test_a_draw_from_what_has_no_weights_stays_on_the_window():
    """Values below 0 mean nothing here, but their gradient must not reach another channel."""
    layer = build("Pooling", pool="STOCHASTIC", kernel_size=3, stride=3)
    bottom, (y,) = run(layer, np.random.default_rng(3).standard_normal((9, 4, 7, 7)))
    y.diff[...] = np.random.default_rng(4).standard_normal(y.shape)
    layer.backward([y], [True], bottom)
    windows = np.pad(bottom[0].diff, ((0, 0), (0, 0), (0, 2), (0, 2))).reshape(9, 4, 3, 3, 3, 3)
    np.testing.assert_allclose(windows.sum(axis=(3, 5)), y.diff)


@pytest.mark.parametrize("u, expected", [(0.0, 3), (0.25, 3), (0.75, 1), (1 - 2**-53, 1)])
def test_draws_at_the_ends_stay_on_places_of_some_weight(u, expected, monkeypatch):
    class Drawn:
        def random(self, *, dtype, out):
            out[...] = u

    layer = build("Pooling", pool="STOCHASTIC", kernel_h=1, kernel_w=4)
    monkeypatch.setattr(layer, "random", Drawn)
    _, (y,) = run(layer, np.array([0.0, 1, 3, 0]).reshape(1, 1, 1, 4))
    assert y.data == expected


def test_other_passes_and_seeds_draw_others_the_same_pass_the_same():
    x = sample("STOCHASTIC", (4, 3, 8, 8))

    def draw(seed, count):
        layer = build("Pooling", pool="STOCHASTIC", kernel_size=4, stride=4, seed=seed)
        layer.ctx.streams.passes = count
        return run(layer, x)[1][0].data

    first = draw(1, 0)
    np.testing.assert_array_equal(first, draw(1, 0))
    assert np.any(first != draw(1, 1)) and np.any(first != draw(2, 0))


def test_a_pass_leaves_nothing_to_the_next():
    x = sample("STOCHASTIC", (4, 3, 8, 8))
    layer = build("Pooling", pool="STOCHASTIC", kernel_size=4, stride=4)
    bottom, top = bind(layer, x)
    results = []
    for count in (0, 1, 0):
        layer.ctx.streams.passes = count
        layer.forward(bottom, top)
        results.append(top[0].data.copy())
    np.testing.assert_array_equal(results[2], results[0])
    assert np.any(results[1] != results[0])


@pytest.mark.parametrize("phase", [schema.TRAIN, schema.TEST], ids=["training", "testing"])
def test_a_window_of_zeros_gives_zero(phase):
    x = np.zeros((1, 1, 2, 4))
    x[0, 0, 1, 3] = 3
    layer = build("Pooling", pool="STOCHASTIC", kernel_size=2, stride=2, phase=phase)
    bottom, (y,) = run(layer, x)
    assert y.data.ravel().tolist() == [0, 3]
    y.diff[...] = 1
    layer.backward([y], [True], bottom)
    first = 1 if phase == schema.TRAIN else 0  # a winner there is in any case
    np.testing.assert_array_equal(bottom[0].diff[0, 0, :, :2], [[first, 0], [0, 0]])
    assert bottom[0].diff[0, 0, 1, 3] == 1


# ------------------------------------------------------------------ Caffe's own tests

MAGIC = np.array(
    [
        [35, 1, 6, 26, 19, 24],
        [3, 32, 7, 21, 23, 25],
        [31, 9, 2, 22, 27, 20],
        [8, 28, 33, 17, 10, 15],
        [30, 5, 34, 12, 14, 16],
        [4, 36, 29, 13, 18, 11],
    ]
)
SMALL = np.array([[1, 2, 5, 2, 3], [9, 4, 1, 4, 8], [1, 2, 5, 2, 3]])
CAFFE = {
    "square": (
        SMALL,
        dict(kernel_size=2),
        [[9, 5, 5, 8], [9, 5, 5, 8]],
        [[5, 2, 2, 9], [5, 12, 12, 9]],
    ),
    "high": (
        MAGIC,
        dict(kernel_h=3, kernel_w=2),
        [[35, 32, 26, 27, 27], [32, 33, 33, 27, 27], [31, 34, 34, 27, 27], [36, 36, 34, 18, 18]],
        [[0, 7, 3, 16, 16], [7, 20, 20, 16, 16], [12, 26, 26, 16, 16], [31, 31, 26, 34, 34]],
    ),
    "wide": (
        MAGIC,
        dict(kernel_h=2, kernel_w=3),
        [
            [35, 32, 26, 26],
            [32, 32, 27, 27],
            [33, 33, 33, 27],
            [34, 34, 34, 17],
            [36, 36, 34, 18],
        ],
        [[0, 7, 3, 3], [7, 7, 16, 16], [20, 20, 20, 16], [26, 26, 26, 21], [31, 31, 26, 34]],
    ),
    "padded": (
        np.array([[1, 2, 4], [2, 3, 2], [4, 2, 1]]),
        dict(kernel_size=3, stride=2, pad=2),
        [[1, 4, 4], [4, 4, 4], [4, 4, 1]],
        None,
    ),
}


@pytest.mark.parametrize("plane, keywords, expected, places", CAFFE.values(), ids=CAFFE.keys())
def test_caffe_forward_max(plane, keywords, expected, places):
    x = np.broadcast_to(plane, (2, 2, *plane.shape))
    _, (y, place) = run(build("Pooling", tops=2, **keywords), x)
    np.testing.assert_array_equal(y.data, np.broadcast_to(expected, y.shape))
    if places:
        np.testing.assert_array_equal(place.data, np.broadcast_to(places, y.shape))


def test_caffe_forward_ave():
    x = np.full((1, 1, 3, 3), 2.0)
    _, (y,) = run(build("Pooling", pool="AVE", kernel_size=3, stride=1, pad=1), x)
    expected = [[8 / 9, 4 / 3, 8 / 9], [4 / 3, 2, 4 / 3], [8 / 9, 4 / 3, 8 / 9]]
    np.testing.assert_allclose(y.data[0, 0], expected, rtol=1e-12)


@pytest.mark.parametrize(
    "keywords, expected",
    [
        (dict(kernel_size=3, stride=2), (2, 3, 3, 2)),
        (dict(kernel_size=3, stride=2, pad=1, pool="AVE"), (2, 3, 4, 3)),
        (dict(global_pooling=True, pool="AVE"), (2, 3, 1, 1)),
    ],
)
def test_caffe_setup(keywords, expected):
    assert build("Pooling", **keywords).top_shapes((2, 3, 6, 5)) == (expected,)


# ------------------------------------------------------------------ what it says about itself


def test_only_the_weighted_mean_reads_its_bottom_again():
    assert build("Pooling", kernel_size=2).keeps == ()
    assert build("Pooling", pool="AVE", kernel_size=2).keeps == ()
    drawing = dict(pool="STOCHASTIC", kernel_size=2)
    assert build("Pooling", phase=schema.TRAIN, **drawing).keeps == ()
    assert build("Pooling", phase=schema.TEST, **drawing).keeps == ("bottom",)


def test_cudnn_is_said_not_to_be_here_and_computed_all_the_same(caplog):
    with caplog.at_level(logging.WARNING, "minidl"):
        build("Pooling", name="pool1", kernel_size=2, engine="CUDNN")
    assert [r.getMessage() for r in caplog.records] == [
        "Pooling layer 'pool1': engine CUDNN is not available, another one computes it"
    ]


@pytest.mark.parametrize(
    "keywords, message",
    [
        (dict(), "kernel_size is missing"),
        (dict(kernel_h=2), "kernel_h is given without kernel_w"),
        (dict(kernel_size=2, stride_w=2), "stride_w is given without stride_h"),
        (dict(kernel_size=2, kernel_h=2, kernel_w=2), "both kernel_size and kernel_h are given"),
        (dict(kernel_size=2, pad=1, pad_h=1, pad_w=1), "both pad and pad_h are given"),
        (dict(kernel_size=0), "kernel 0 x 0, stride 1 x 1"),
        (dict(kernel_size=2, stride=0), "kernel 2 x 2, stride 0 x 0"),
        (dict(kernel_size=2, pad=2), "pad 2 x 2 for a kernel of 2 x 2"),
        (dict(kernel_h=2, kernel_w=3, pad_h=1, pad_w=3), "pad 1 x 3 for a kernel of 2 x 3"),
        (dict(kernel_size=3, pad=1, pool="STOCHASTIC"), "pad 1 x 1 with STOCHASTIC pooling"),
        (dict(global_pooling=True, kernel_size=2), "both global_pooling and a kernel size"),
        (dict(global_pooling=True, stride=2), "global_pooling with pad 0 x 0 and stride 2 x 2"),
        (dict(global_pooling=True, pad=1), "global_pooling with pad 1 x 1 and stride 1 x 1"),
        (dict(kernel_size=2, tops=2, pool="AVE"), "AVE pooling has 2 tops"),
    ],
)
def test_bad_parameters_are_refused_and_name_the_layer(keywords, message):
    with pytest.raises(LayerConfigError, match=f"Pooling layer 'pool1': {message}"):
        build("Pooling", name="pool1", **keywords)


@pytest.mark.parametrize(
    "keywords, shape, message",
    [
        (dict(kernel_size=2), (2, 3, 4), r"the bottom has the shape \(2, 3, 4\)"),
        (dict(kernel_size=2), (2, 0, 4, 4), r"the bottom has the shape \(2, 0, 4, 4\)"),
        (
            dict(kernel_size=7),
            (64, 20, 5, 5),
            r"kernel 7 x 7 but the padded bottom is 5 x 5, shape \(64, 20, 5, 5\)",
        ),
        (
            dict(kernel_size=1, stride=3),
            (1, 1, 7, 5),
            r"the last of 3 windows would begin at 6, beyond the bottom's 5 \(kernel 1 x 1, "
            r"stride 3 x 3, shape \(1, 1, 7, 5\)\)(.|\n)*round_mode: FLOOR",
        ),
    ],
)
def test_bottoms_that_do_not_fit_are_refused_with_their_sizes(keywords, shape, message):
    with pytest.raises(LayerConfigError, match=f"Pooling layer 'pool1': {message}"):
        build("Pooling", name="pool1", **keywords).top_shapes(shape)


def test_with_floor_a_stride_over_the_kernel_is_taken():
    layer = build("Pooling", kernel_size=1, stride=3, round_mode="FLOOR")
    x = np.arange(35.0).reshape(1, 1, 7, 5)
    bottom, (y,) = run(layer, x)
    np.testing.assert_array_equal(y.data[0, 0], [[0, 3], [15, 18], [30, 33]])
    bind(layer, x)


def test_ceil_mode_is_a_forks_form_of_round_mode():
    def top(**keywords):
        return build("Pooling", kernel_size=3, stride=2, **keywords).top_shapes((1, 2, 8, 7))

    assert top(ceil_mode=True) == top() == top(round_mode="CEIL") == ((1, 2, 4, 3),)
    assert top(ceil_mode=False) == top(round_mode="FLOOR") == ((1, 2, 3, 3),)
    with pytest.raises(LayerConfigError, match=r"'p'.*both ceil_mode and round_mode"):
        build("Pooling", name="p", kernel_size=3, ceil_mode=True, round_mode="CEIL")
