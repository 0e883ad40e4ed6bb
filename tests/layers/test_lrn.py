"""LRN against its definition, its derivative, and its refusals."""

import logging

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run
from tests.support import relative_error

# alpha is near 1 so that the normalising term matters. At the paper's 1e-4 a window one channel
# short moves y by about 2e-5, which the usual float32 tolerances let through.
WITHIN = dict(norm_region="WITHIN_CHANNEL")
CASES = {
    "window smaller than C": ((2, 7, 3, 2), dict(local_size=3, alpha=1.5, beta=0.75, k=0.5)),
    "window wider than C": ((2, 3, 2, 2), dict(local_size=9, alpha=1.0, beta=0.625, k=1.0)),
    "one channel": ((3, 1, 2, 2), dict(local_size=5, alpha=2.0, beta=0.75, k=1.0)),
    "window of one": ((2, 3, 2, 2), dict(local_size=1, alpha=2.0, beta=1.25, k=2.0)),
    "Caffe's large region": ((2, 7, 3, 3), dict(local_size=15, alpha=1.0, beta=0.75, k=1.0)),
    "within": ((2, 3, 5, 4), dict(local_size=3, alpha=1.5, beta=0.75, k=1.0, **WITHIN)),
    "within, wider than the map": ((2, 2, 2, 3), dict(local_size=7, alpha=4.0, beta=0.5, **WITHIN)),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request):
    shape, keywords = request.param
    return build("LRN", **keywords), np.random.default_rng(7).standard_normal(shape), keywords


def by_definition(x, local_size, alpha, beta, k=1.0, norm_region="ACROSS_CHANNELS"):
    y, half = np.empty_like(x), local_size // 2
    for n, c, h, w in np.ndindex(x.shape):
        if norm_region == "ACROSS_CHANNELS":
            window, places = x[n, max(0, c - half) : c + half + 1, h, w], local_size
        else:
            rows = slice(max(0, h - half), h + half + 1)
            columns = slice(max(0, w - half), w + half + 1)
            window, places = x[n, c, rows, columns], local_size**2
        y[n, c, h, w] = x[n, c, h, w] / (k + alpha / places * (window**2).sum()) ** beta
    return y


def test_forward_follows_the_definition(case):
    layer, x, keywords = case
    _, (y,) = run(layer, x)
    np.testing.assert_allclose(y.data, by_definition(x, **keywords), rtol=1e-12)


def test_backward_is_the_derivative_of_forward(case):
    layer, x, _ = case
    check_backward(layer, x)


def test_within_a_channel_k_is_one_whatever_is_given(caplog):
    x = np.random.default_rng(7).standard_normal((1, 2, 3, 3))
    keywords = dict(local_size=3, alpha=1.5, **WITHIN)
    _, (expected,) = run(build("LRN", **keywords), x)
    assert not caplog.records
    with caplog.at_level(logging.WARNING, "minidl"):
        layer = build("LRN", name="norm1", k=2, **keywords)
    _, (y,) = run(layer, x)
    np.testing.assert_array_equal(y.data, expected.data)
    assert [r.getMessage() for r in caplog.records] == [
        "LRN layer 'norm1': k is 2, but WITHIN_CHANNEL always uses 1"
    ]


@pytest.mark.parametrize("region", [dict(), WITHIN], ids=["across", "within"])
@pytest.mark.parametrize("beta", [0.75, 0.8], ids=["roots", "power"])
def test_a_quiet_element_beside_loud_ones_survives_float32(region, beta):
    """A running sum over the window leaves nothing of the quiet energies, or less than nothing."""
    loud = 10.0 ** np.random.default_rng(3).integers(-2, 4, (2, 9, 6, 5))
    x = loud * np.random.default_rng(4).standard_normal(loud.shape)
    keywords = dict(local_size=3, alpha=1.0, beta=beta, **region)
    single = build("LRN", dtype=np.float32, **keywords)
    bottom, (y,) = run(single, x.astype(np.float32))
    expected = by_definition(x.astype(np.float32).astype(np.float64), **keywords)
    np.testing.assert_allclose(y.data, expected, rtol=2e-6)
    double = build("LRN", **keywords)
    exact_bottom, (exact,) = run(double, bottom[0].data)
    y.diff[...] = exact.diff[...] = np.random.default_rng(5).standard_normal(x.shape)
    single.backward([y], [True], bottom)
    double.backward([exact], [True], exact_bottom)
    assert relative_error(bottom[0].diff, exact_bottom[0].diff) < 2e-6


def test_images_are_worked_on_in_parts_without_a_seam(monkeypatch):
    x = np.random.default_rng(7).standard_normal((5, 4, 3, 2))
    results = []
    for elements in (1 << 18, 2 * 24):
        monkeypatch.setattr("minidl.arrays.device.Cpu.piece", elements)
        layer = build("LRN", local_size=3, alpha=1.5)
        bottom, (y,) = run(layer, x)
        y.diff[...] = np.random.default_rng(8).standard_normal(x.shape)
        layer.backward([y], [True], bottom)
        results.append((y.data, bottom[0].diff))
    assert layer.ratio.shape == (2, 4, 3, 2)
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_cudnn_is_said_not_to_be_here_and_computed_all_the_same(caplog):
    with caplog.at_level(logging.WARNING, "minidl"):
        build("LRN", name="norm1", engine="CUDNN")
    assert [r.getMessage() for r in caplog.records] == [
        "LRN layer 'norm1': engine CUDNN is not available, another one computes it"
    ]


@pytest.mark.parametrize("size, fix", [(4, "use 3 or 5"), (0, "use 1")])
def test_an_even_window_is_refused_and_names_the_layer(size, fix):
    message = rf"LRN layer 'norm1': local_size is {size}(.|\n)*{fix}"
    with pytest.raises(LayerConfigError, match=message):
        build("LRN", name="norm1", local_size=size)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4, 5, 6), (2, 0, 4, 5)])
def test_a_bottom_without_four_axes_is_refused_with_its_shape(shape):
    with pytest.raises(
        LayerConfigError, match=rf"LRN layer 'norm1': the bottom has the shape \({shape[0]}, "
    ):
        build("LRN", name="norm1").top_shapes(shape)
