"""What is done to maps before and after products, number by number."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.engines.cupy_kernels import host

N, M, P = 3, 4, 5
NONE, RELU, SIGMOID, TANH = range(4)


@pytest.fixture
def maps():
    return np.random.default_rng(0).standard_normal((M, N, P)).astype(np.float32)


def finish(maps, y, shape, bias, kind=NONE, slope=0.0, packed=True):
    n, m, p = shape
    strides = (p, n * p) if packed else (m * p, p)
    host.run("maps", "finish", n * m * p, maps, y, bias, m, p, *strides, kind, slope)


def test_packed_maps_are_brought_to_their_images_with_bias(maps):
    y, bias = np.full((N, M, P), np.nan, np.float32), np.arange(M, dtype=np.float32)
    finish(maps, y, (N, M, P), bias)
    np.testing.assert_array_equal(y, maps.swapaxes(0, 1) + bias[:, None])


def test_maps_that_lie_as_they_should_are_finished_in_place(maps):
    y = np.ascontiguousarray(maps.swapaxes(0, 1))
    before = y.copy()
    finish(y, y, (N, M, P), None, kind=RELU, slope=0.5, packed=False)
    np.testing.assert_array_equal(y, np.where(before > 0, before, before / 2))


CURVES = {"sigmoid": (SIGMOID, lambda x: 1 / (1 + math.exp(-x))), "tanh": (TANH, math.tanh)}


@pytest.mark.parametrize("kind, function", CURVES.values(), ids=CURVES.keys())
def test_activations_at_their_ends_and_in_between(kind, function):
    x = np.array([-90, -3, -0.1, 0, 0.1, 3, 90], np.float32)
    y = np.zeros_like(x)
    finish(x, y, (1, 1, x.size), None, kind=kind)
    np.testing.assert_allclose(y, [function(float(a)) for a in x], rtol=1e-6, atol=1e-38)


@pytest.mark.parametrize("slope", [0.0, 0.25])
def test_relu_of_what_is_not_finite(slope):
    x = np.array([np.nan, np.inf, -np.inf, -0.0], np.float32)
    y = np.zeros_like(x)
    finish(x, y, (1, 1, x.size), None, kind=RELU, slope=slope)
    np.testing.assert_array_equal(y, [np.nan, np.inf, -np.inf if slope else 0, 0])


@pytest.mark.parametrize("number, dtype", [("float", np.float32), ("Half", np.float16)])
def test_packing_is_the_way_back(maps, number, dtype):
    y, packed = np.ascontiguousarray(maps.swapaxes(0, 1)), np.zeros(maps.shape, dtype)
    host.run("maps", "pack", maps.size, y, packed, N, M, P, NUMBER=number)
    np.testing.assert_array_equal(packed, maps.astype(dtype))


@pytest.mark.parametrize("add", [0, 1])
def test_a_bias_gradient_is_summed_over_places_and_then_images(add):
    dy = np.random.default_rng(0).integers(-9, 9, (N, M, P)).astype(np.float32)
    sums, db = np.zeros((N, M), np.float32), np.arange(M, dtype=np.float32)
    host.run("maps", "sum_places", N * M, dy, sums, P)
    np.testing.assert_array_equal(sums, dy.sum(axis=2))
    host.run("maps", "sum_images", M, sums, db, N, add)
    np.testing.assert_array_equal(db, dy.sum(axis=(0, 2)) + add * np.arange(M))
