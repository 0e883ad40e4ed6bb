"""Dropout: what its mask is, what it depends on, and what it does with it."""

import numpy as np
import pytest

from minidl import schema
from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import bind, build, run

X = np.random.default_rng(2).standard_normal((40, 50)) + 3


def dropped(layer, x=X):
    """Which elements one forward pass sets to zero."""
    _, (y,) = run(layer, x)
    return y.data == 0


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.8])
def test_training_zeroes_the_ratio_and_scales_up_the_rest(ratio):
    _, (y,) = run(build("Dropout", dropout_ratio=ratio), X)
    kept = y.data != 0
    # 2000 draws: the share's standard deviation is at most 0.011.
    assert abs((1 - kept.mean()) - ratio) < 0.04
    ratio = float(np.float32(ratio))
    np.testing.assert_allclose(y.data[kept], X[kept] / (1 - ratio), rtol=1e-12)


def test_the_ratio_is_one_half_unless_given():
    assert build("Dropout").ratio == 0.5


def test_backward_uses_the_mask_of_the_forward_before_it():
    layer = build("Dropout", dropout_ratio=0.25)
    (x,), (y,) = run(layer, X)
    y.diff[...] = dy = np.random.default_rng(4).standard_normal(X.shape)
    layer.backward([y], [True], [x])
    np.testing.assert_allclose(x.diff, np.where(y.data != 0, dy / 0.75, 0), rtol=1e-12)


def test_backward_is_the_derivative_of_forward():
    check_backward(build("Dropout", dropout_ratio=0.4), X[:4, :5])


@pytest.mark.parametrize("phase", [schema.TRAIN, schema.TEST])
def test_in_place_gives_the_same_numbers(phase):
    results = []
    for in_place in (False, True):
        layer = build("Dropout", phase=phase, in_place=in_place)
        (x,), (y,) = run(layer, X)
        values = y.data.copy()
        y.diff[...] = X - 3
        layer.backward([y], [True], [x])
        results.append((values, x.diff.copy()))
    np.testing.assert_array_equal(results[0], results[1])


def test_phase_test_changes_nothing_and_draws_nothing(monkeypatch):
    layer = build("Dropout", phase=schema.TEST)
    monkeypatch.setattr(type(layer), "random", lambda self: pytest.fail("drew random numbers"))
    assert layer.buffers(X.shape) == {}
    (x,), (y,) = run(layer, X)
    np.testing.assert_array_equal(y.data, X)
    y.diff[...] = X * 2
    layer.backward([y], [True], [x])
    np.testing.assert_array_equal(x.diff, X * 2)


def test_the_mask_depends_on_seed_name_and_pass_and_on_nothing_else():
    base = dropped(build("Dropout", name="drop6", seed=5))
    assert (dropped(build("Dropout", name="drop6", seed=5)) == base).all()
    assert (dropped(build("Dropout", name="drop6", seed=5, dtype=np.float32)) == base).all()
    assert (dropped(build("Dropout", name="drop6", seed=6)) != base).any()
    assert (dropped(build("Dropout", name="drop7", seed=5)) != base).any()


def test_every_pass_draws_a_mask_of_its_own_and_can_be_repeated():
    layer = build("Dropout")
    bottom, top = bind(layer, X)
    masks = []
    for number in (0, 1, 2, 1):
        layer.ctx.streams.passes = number
        layer.forward(bottom, top)
        masks.append(top[0].data == 0)
    assert (masks[0] != masks[1]).any()
    assert (masks[1] != masks[2]).any()
    assert (masks[1] == masks[3]).all()


@pytest.mark.parametrize("piece", [1, 7, 200, 1 << 16])
def test_the_mask_is_that_of_one_long_draw(piece, monkeypatch):
    monkeypatch.setattr("minidl.arrays.device.Cpu.piece", piece)
    layer = build("Dropout", dropout_ratio=0.3, name="drop6", seed=5)
    assert layer.buffers(X.shape)["drawn"].shape == (min(piece, X.size),)
    _, (y,) = run(layer, X)
    drawn = layer.random().random(X.shape, dtype=np.float32)
    np.testing.assert_array_equal(y.data == 0, drawn < np.float32(0.3))


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.5, 1.5, float("nan")])
def test_a_ratio_that_is_no_probability_is_refused(ratio):
    with pytest.raises(
        LayerConfigError, match=rf"Dropout layer 'drop6'.*dropout_ratio is {ratio:g}(.|\n)*below 1"
    ):
        build("Dropout", name="drop6", dropout_ratio=ratio)


def test_segnets_field_draws_masks_in_phase_test():
    layer = build("Dropout", phase=schema.TEST, dropout_ratio=0.25, sample_weights_test=True)
    assert not layer.views
    _, (y,) = run(layer, X)
    assert 0.2 < (y.data == 0).mean() < 0.3
    np.testing.assert_allclose(y.data[y.data != 0], X[y.data != 0] / 0.75, rtol=1e-12)


def test_fast_rcnns_field_scales_down_in_phase_test_instead():
    _, (y,) = run(build("Dropout", dropout_ratio=0.25, scale_train=False), X)
    kept = y.data != 0
    assert 0.2 < 1 - kept.mean() < 0.3
    np.testing.assert_array_equal(y.data[kept], X[kept])
    layer = build("Dropout", phase=schema.TEST, dropout_ratio=0.25, scale_train=False)
    (x,), (y,) = run(layer, X)
    np.testing.assert_allclose(y.data, 0.75 * X, rtol=1e-12)
    y.diff[...] = X
    layer.backward([y], [True], [x])
    np.testing.assert_allclose(x.diff, 0.75 * X, rtol=1e-12)
