"""Fillers against their definitions: exact values, fans, moments, and refusals."""

import math
import re

import numpy as np
import pytest

from minidl import schema
from minidl.arrays.device import Device
from minidl.errors import LayerConfigError
from minidl.layers import fillers

WHERE = "InnerProduct layer 'ip1'"


def filled(shape, dtype=np.float64, seed=3, **fields):
    array = np.full(shape, np.nan, dtype)
    param = schema.FillerParameter(**fields)
    fillers.fill(array, param, np.random.default_rng(seed), WHERE)
    return array


def refusal(shape, **fields):
    with pytest.raises(LayerConfigError) as caught:
        filled(shape, **fields)
    assert caught.value.where == WHERE
    return str(caught.value)


def test_an_empty_filler_param_means_zeros():
    assert (filled((2, 3)) == 0).all()


def test_constant_takes_its_value():
    assert (filled((2, 3), np.float32, type="constant", value=-1.5) == -1.5).all()


def test_uniform_spreads_evenly_between_its_bounds():
    a = filled((200, 300), type="uniform", min=-1, max=3)
    assert -1 <= a.min() < -0.999 and 2.999 < a.max() <= 3
    counts, _ = np.histogram(a, bins=8, range=(-1, 3))
    # Binomial: 7500 expected a bin, standard deviation 81.
    assert abs(counts - 7500).max() < 350


def test_gaussian_has_its_mean_and_deviation_and_tails():
    a = filled((200, 300), type="gaussian", mean=0.5, std=2)
    assert abs(a.mean() - 0.5) < 0.04 and abs(a.std() - 2) < 0.03
    share_beyond_two_std = (abs(a - 0.5) > 4).mean()
    assert abs(share_beyond_two_std - 0.0455) < 0.004


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_keeps_each_weight_with_probability_sparse_over_the_first_axis(dtype):
    a = filled((50, 2000), dtype, type="gaussian", std=2, sparse=15)
    kept = a[a != 0]
    assert abs(kept.size / a.size - 15 / 50) < 0.006
    assert abs(kept.std() - 2) < 0.05 and abs(kept.mean()) < 0.05
    per_input = (a != 0).sum(axis=0)
    assert abs(per_input.mean() - 15) < 0.3 and per_input.std() > 2  # drawn one by one, not dealt


def test_sparse_zero_keeps_nothing_and_sparse_of_all_keeps_everything():
    assert (filled((7, 5), type="gaussian", sparse=0) == 0).all()
    assert (filled((7, 5), type="gaussian", sparse=7) != 0).all()


def test_positive_unitball_rows_are_positive_and_sum_to_one():
    a = filled((4, 3, 2, 5), type="positive_unitball")
    assert (a > 0).all()
    np.testing.assert_allclose(a.reshape(4, -1).sum(axis=1), 1, rtol=1e-12)
    assert a.std() > 0.01


FANS = [
    # shape, variance_norm, n
    ((40, 30, 5, 4), "FAN_IN", 30 * 5 * 4),
    ((40, 30, 5, 4), "FAN_OUT", 40 * 5 * 4),
    ((40, 30, 5, 4), "AVERAGE", 35 * 5 * 4),
    ((300, 80), "FAN_IN", 80),
    ((300, 80), "FAN_OUT", 300),
    ((9000,), "FAN_IN", 1),
    ((9000,), "FAN_OUT", 9000),
    ((9000,), "AVERAGE", 4500.5),
]


@pytest.mark.parametrize("shape, norm, n", FANS)
def test_xavier_is_even_within_the_root_of_three_over_the_fan(shape, norm, n):
    a = filled(shape, type="xavier", variance_norm=norm)
    bound = math.sqrt(3 / n)
    assert 0.995 * bound < a.max() <= bound and 0.995 * bound < -a.min() <= bound
    assert abs(a.std() - math.sqrt(1 / n)) < 0.03 * math.sqrt(1 / n)


@pytest.mark.parametrize("shape, norm, n", FANS)
def test_msra_is_normal_with_variance_two_over_the_fan(shape, norm, n):
    a = filled(shape, type="msra", variance_norm=norm)
    std = math.sqrt(2 / n)
    assert abs(a.std() - std) < 0.03 * std and abs(a.mean()) < 0.04 * std
    assert a.max() > 3 * std  # beyond sqrt(3) std, where an even spread of this variance ends


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 8])
def test_bilinear_is_the_tent_of_its_definition(k):
    a = filled((2, 3, k, k), type="bilinear")
    f = math.ceil(k / 2)
    c = (k - 1) / (2 * f)
    for n, m, y, x in np.ndindex(a.shape):
        expected = (1 - abs(x / f - c)) * (1 - abs(y / f - c))
        assert a[n, m, y, x] == pytest.approx(expected, abs=1e-15)


def test_bilinear_of_side_four_is_known():
    row = np.array([0.25, 0.75, 0.75, 0.25])
    np.testing.assert_array_equal(filled((1, 1, 4, 4), type="bilinear")[0, 0], np.outer(row, row))


RANDOM = ["uniform", "gaussian", "positive_unitball", "xavier", "msra"]


@pytest.mark.parametrize("type", RANDOM)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_seed_decides(type, dtype):
    first = filled((3, 4), dtype, seed=1, type=type)
    assert first.dtype == dtype and np.isfinite(first).all()
    assert len(np.unique(first)) == first.size
    np.testing.assert_array_equal(first, filled((3, 4), dtype, seed=1, type=type))
    assert (first != filled((3, 4), dtype, seed=2, type=type)).any()


@pytest.mark.parametrize(
    "fields", [*[dict(type=t) for t in RANDOM], dict(type="gaussian", sparse=2)]
)
def test_both_number_types_start_from_the_same_values(fields):
    single, double = (filled((5, 4), dtype, **fields) for dtype in (np.float32, np.float64))
    np.testing.assert_allclose(single, double, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("type", [*RANDOM, "constant", "bilinear"])
def test_a_view_with_strides_is_filled_too(type):
    whole = np.full((3, 4, 5, 10), np.nan)
    param = schema.FillerParameter(type=type, value=2)
    fillers.fill(whole[..., ::2], param, np.random.default_rng(3))
    assert np.isfinite(whole[..., ::2]).all() and np.isnan(whole[..., 1::2]).all()
    if type == "positive_unitball":
        np.testing.assert_allclose(whole[..., ::2].sum(axis=(1, 2, 3)), 1)


@pytest.mark.parametrize("type", ["constant", "uniform", "gaussian"])
def test_a_scalar_can_be_filled(type):
    assert np.isfinite(filled((), type=type))


def test_an_unknown_type_names_the_nearest_and_all_others():
    text = refusal((2, 3), type="xaver")
    assert "unknown filler type 'xaver'" in text and "did you mean 'xavier'?" in text
    assert all(name in text for name in fillers.FILLERS)


IMPOSSIBLE = {
    "reversed bounds": ((2, 3), dict(type="uniform", min=2, max=1), r"min 2 and max 1"),
    "endless bounds": ((2, 3), dict(type="uniform", min=0, max=math.inf), r"max inf"),
    "negative std": ((2, 3), dict(type="gaussian", std=-1), r"std -1"),
    "std that is no number": ((2, 3), dict(type="gaussian", std=math.nan), r"std nan"),
    "sparse above the first axis": (
        (2, 30),
        dict(type="gaussian", sparse=3),
        r"sparse 3.*\(2, 30\)",
    ),
    "negative sparse": ((2, 3), dict(type="gaussian", sparse=-2), r"sparse -2"),
    "sparse constant": ((2, 3), dict(type="constant", sparse=1), r"'constant' cannot be sparse"),
    "sparse xavier": ((2, 3), dict(type="xavier", sparse=0), r"'xavier' cannot be sparse.*is 0"),
    "scalar xavier": ((), dict(type="xavier"), r"'xavier'.*shape \(\)"),
    "scalar msra": ((), dict(type="msra"), r"'msra'.*shape \(\)"),
    "scalar unit ball": ((), dict(type="positive_unitball"), r"'positive_unitball'.*shape \(\)"),
    "sparse scalar": ((), dict(type="gaussian", sparse=0), r"'gaussian'.*shape \(\)"),
    "flat bilinear": ((4, 4), dict(type="bilinear"), r"'bilinear'.*\(4, 4\)"),
    "oblong bilinear": ((1, 1, 4, 3), dict(type="bilinear"), r"'bilinear'.*\(1, 1, 4, 3\)"),
}


@pytest.mark.parametrize("shape, fields, message", IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_what_cannot_be_filled_is_refused_with_its_values(shape, fields, message):
    assert re.search(message, refusal(shape, **fields))


FILLED = {
    "constant": dict(value=2),
    "uniform": dict(min=-1),
    "gaussian": dict(std=1, sparse=1),
    "xavier": {},
    "bilinear": {},
}


@pytest.mark.parametrize("type", FILLED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_gpu_gets_the_numbers_of_the_host(type, dtype, gpu):
    shape, gpu_0 = (3, 2, 4, 4), Device("cuda:0")
    array, param = gpu_0.zeros(shape, dtype), schema.FillerParameter(type=type, **FILLED[type])
    fillers.fill(array, param, np.random.default_rng(3), WHERE, gpu_0)
    expected = filled(shape, dtype, type=type, **FILLED[type])
    np.testing.assert_array_equal(gpu_0.to_host(array), expected)


def test_others_can_add_fillers_but_not_replace_them(monkeypatch):
    monkeypatch.setattr(fillers, "FILLERS", dict(fillers.FILLERS))

    @fillers.filler("identity")
    def identity(request):
        request.array[...] = np.eye(*request.array.shape)

    np.testing.assert_array_equal(filled((3, 4), type="identity"), np.eye(3, 4))
    with pytest.raises(ValueError, match="'identity' is registered by identity"):
        fillers.filler("identity")(identity)
