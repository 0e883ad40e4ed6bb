"""The permutohedral lattice against its algorithm in loops, and against Gaussians."""

import math

import numpy as np
import pytest

from minidl.layers.permutohedral import Lattice

RNG = np.random.default_rng(4)


def corners_of(feature):
    """The lattice points around one point, as keys of all d + 1 coordinates, with their weights."""
    d = len(feature)
    elevated, total = [0.0] * (d + 1), 0.0
    for j in range(d, 0, -1):
        scaled = feature[j - 1] * math.sqrt(2 / 3) * (d + 1) / math.sqrt(j * (j + 1))
        elevated[j] = total - j * scaled
        total += scaled
    elevated[0] = total
    zero = [round(e / (d + 1)) * (d + 1) for e in elevated]
    excess, rank = sum(zero) // (d + 1), [0] * (d + 1)
    for i in range(d + 1):
        for j in range(i + 1, d + 1):
            if elevated[i] - zero[i] < elevated[j] - zero[j]:
                rank[i] += 1
            else:
                rank[j] += 1
    for i in range(d + 1):
        rank[i] += excess
        if rank[i] < 0:
            rank[i], zero[i] = rank[i] + d + 1, zero[i] + d + 1
        elif rank[i] > d:
            rank[i], zero[i] = rank[i] - d - 1, zero[i] - d - 1
    weights = [0.0] * (d + 2)
    for i in range(d + 1):
        share = (elevated[i] - zero[i]) / (d + 1)
        weights[d - rank[i]] += share
        weights[d + 1 - rank[i]] -= share
    weights[0] += 1 + weights[d + 1]
    canonical = [[i] * (d + 1 - i) + [i - d - 1] * i for i in range(d + 1)]
    keys = [
        tuple(z + canonical[c][r] for z, r in zip(zero, rank, strict=True)) for c in range(d + 1)
    ]
    return list(zip(keys, weights, strict=False))


def by_algorithm(features, values):
    d, held = features.shape[1], {}
    around = [corners_of(f) for f in features.tolist()]
    for corners, value in zip(around, values, strict=True):
        for key, weight in corners:
            held[key] = held.get(key, 0) + weight * value
    for axis in range(d + 1):
        blurred = {}
        for key, value in held.items():
            step = [1] * (d + 1)
            step[axis] = -d
            near = [tuple(k + s * sign for k, s in zip(key, step, strict=True)) for sign in (1, -1)]
            blurred[key] = value + sum(held.get(n, 0) for n in near) / 2
        held = blurred
    sliced = [sum(weight * held[key] for key, weight in corners) for corners in around]
    return np.array(sliced) / (1 + 2.0**-d)


@pytest.mark.parametrize("d", [1, 2, 3, 5])
@pytest.mark.parametrize("spread", [0.3, 3])
def test_filtering_follows_the_algorithm(d, spread):
    features, values = RNG.standard_normal((60, d)) * spread, RNG.standard_normal((2, 60))
    found = Lattice(features).filter(values)
    for got, channel in zip(found, values, strict=True):
        np.testing.assert_allclose(got, by_algorithm(features, channel), atol=1e-12)


@pytest.mark.parametrize("d", [2, 5])
def test_the_transpose_is_the_transpose(d):
    lattice = Lattice(RNG.standard_normal((30, d)))
    forward, backward = lattice.filter(np.eye(30)), lattice.transposed(np.eye(30))
    np.testing.assert_allclose(forward, backward.T, atol=1e-12)


def test_it_is_near_a_gaussian_in_the_plane():
    rows, columns = np.mgrid[:24, :24]
    features = np.stack([rows.ravel(), columns.ravel()], axis=1) / 3.0
    values = RNG.random((1, 576))
    ones = np.ones_like(values)
    lattice = Lattice(features)
    smooth = (lattice.filter(values) / lattice.filter(ones))[0]
    distance = ((features[:, None] - features) ** 2).sum(axis=2)
    kernel = np.exp(-distance / 2)
    expected = kernel @ values[0] / kernel.sum(axis=1)
    assert np.abs(smooth - expected).max() < 0.1 * np.ptp(expected)
    assert np.corrcoef(smooth, expected)[0, 1] > 0.99


def test_points_too_far_apart_are_refused():
    with pytest.raises(OverflowError, match="points large"):
        Lattice(RNG.standard_normal((20, 5)) * 1e5)
