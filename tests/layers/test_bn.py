"""BN of two forks: which one is meant, what each computes, and its derivative."""

import numpy as np
import pytest

from minidl import schema
from minidl.errors import LayerConfigError
from minidl.layers.base import layer_class
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import bind, build, make_spec, run

RNG = np.random.default_rng(12)
X = RNG.standard_normal((4, 3, 2, 5)) * 3 + 1
SCALE, SHIFT, MEAN, VARIANCE = (
    np.reshape(a, (1, 3, 1, 1)) for a in ([2.0, -1, 0.5], [0.1, 3, -2], [1.0, 2, 3], [4.0, 9, 0.25])
)
TEST = dict(phase=schema.TEST)


def normalised(x, eps):
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        values = x[:, c]
        y[:, c] = (values - values.mean()) / np.sqrt(values.var() + eps)
    return y


@pytest.mark.parametrize("phase", [schema.TRAIN, schema.TEST])
def test_segnets_normalises_by_the_batch_in_either_phase(phase):
    _, (y,) = run(build("BN", phase=phase, bn_mode="LEARN"), X, params=[SCALE, SHIFT])
    np.testing.assert_allclose(y.data, SCALE * normalised(X, 1e-9) + SHIFT, rtol=1e-10, atol=1e-12)


def test_segnets_folded_form_only_scales_and_shifts():
    _, (y,) = run(build("BN", bn_mode="INFERENCE"), X, params=[SCALE, SHIFT])
    np.testing.assert_allclose(y.data, SCALE * X + SHIFT, rtol=1e-12)


@pytest.mark.parametrize("tops", [2, 3])
def test_segnets_further_tops_are_the_batchs_mean_and_variance(tops):
    layer = build("BN", bn_mode="LEARN", tops=tops)
    _, top = run(layer, X)
    for blob, expected in zip(
        top[1:], (X.mean(axis=(0, 2, 3)), X.var(axis=(0, 2, 3))), strict=False
    ):
        assert blob.shape == (1, 3, 1, 1)
        np.testing.assert_allclose(blob.data.ravel(), expected, rtol=1e-12)
    check_backward(build("BN", bn_mode="LEARN", tops=tops), X)


@pytest.mark.parametrize("keywords", [dict(eps=0.5), dict(bn_mode="INFERENCE")])
def test_who_finds_no_statistics_has_no_tops_for_them(keywords):
    with pytest.raises(LayerConfigError, match="BN layer 'b'.*has 2 tops(.|\n)*1 top"):
        build("BN", name="b", tops=2, **keywords)


def test_pspnets_normalises_by_the_batch_in_training_and_keeps_averages():
    layer = build("BN", momentum=0.75, eps=0.5)
    _, (y,) = run(layer, X, params=[SCALE, SHIFT, MEAN, VARIANCE])
    np.testing.assert_allclose(y.data, SCALE * normalised(X, 0.5) + SHIFT, rtol=1e-12)
    now, spread = X.mean(axis=(0, 2, 3)), X.var(axis=(0, 2, 3))
    np.testing.assert_allclose(layer.mean.data.ravel(), 0.75 * MEAN.ravel() + now / 4, rtol=1e-12)
    expected = 0.75 * VARIANCE.ravel() + spread / 4
    np.testing.assert_allclose(layer.variance.data.ravel(), expected, rtol=1e-12)


@pytest.mark.parametrize("more", [TEST, dict(frozen=True)])
def test_pspnets_uses_what_it_kept_outside_training_and_where_frozen(more):
    layer = build("BN", eps=0.5, **more)
    _, (y,) = run(layer, X, params=[SCALE, SHIFT, MEAN, VARIANCE])
    expected = SCALE * (X - MEAN) / np.sqrt(VARIANCE + 0.5) + SHIFT
    np.testing.assert_allclose(y.data, expected, rtol=1e-12)
    np.testing.assert_array_equal(layer.mean.data, MEAN)
    assert layer.statistics[-2:] == ("mean", "variance")
    assert ("scale" in layer.statistics) == ("frozen" in more)


@pytest.mark.parametrize(
    "keywords",
    [
        dict(bn_mode="LEARN"),
        dict(bn_mode="INFERENCE"),
        dict(eps=0.5),
        dict(eps=0.5, **TEST),
    ],
)
@pytest.mark.parametrize("in_place", [False, True])
def test_backward_is_the_derivative_of_forward(keywords, in_place):
    if not in_place:
        check_backward(build("BN", **keywords), X)
        return
    apart, same = build("BN", **keywords), build("BN", in_place=True, **keywords)
    gradients = []
    for layer in (apart, same):
        bottom, top = bind(layer, X, seed=1)
        layer.forward(bottom, top)
        top[0].diff[...] = np.cos(X)
        layer.backward(top, [True], bottom)
        gradients.append([bottom[0].diff.copy(), *(p.diff.copy() for p in layer.params)])
    for expected, got in zip(*gradients, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_the_fork_is_told_by_fields_then_by_blobs():
    def names(**keywords):
        return list(build("BN", **keywords).param_shapes((2, 3)))

    two, four = ["scale", "shift"], ["scale", "shift", "mean", "variance"]
    assert names() == names(scale_filler=dict(value=1)) == names(bn_mode="INFERENCE") == two
    assert names(momentum=0.5) == names(frozen=False) == names(slope_filler={}) == four
    assert names(param=[{}] * 4) == four and names(param=[{}] * 2) == two
    assert names(bn_mode="LEARN", param=[{}] * 4) == two
    spec = make_spec("BN")
    for _ in range(4):
        spec.blobs.add()
    assert layer_class(spec)(spec, build("BN").ctx).keeps_statistics


def test_fields_of_both_forks_and_numbers_out_of_range_are_refused():
    with pytest.raises(LayerConfigError, match=r"'b'.*bn_mode, which is SegNet's, and frozen"):
        build("BN", name="b", bn_mode="LEARN", frozen=True)
    with pytest.raises(LayerConfigError, match=r"'b'.*momentum is 1.5"):
        build("BN", name="b", momentum=1.5)
    with pytest.raises(LayerConfigError, match=r"'b'.*eps is -1"):
        build("BN", name="b", eps=-1)


def test_weights_are_found_beside_a_field_that_has_another_ones_number():
    """In SegNet's caffemodels bn_param is 137, which is embed_param in BVLC's Caffe."""
    layer = schema.LayerParameter(name="bn1", type="BN")
    for values in ([2.0, -1], [0.5, 3]):
        layer.blobs.add(shape=dict(dim=[1, 2, 1, 1]), data=values)
    filler = schema.FillerParameter(type="constant", value=1).SerializeToString()
    payload = b"\x0a" + bytes([len(filler)]) + filler + b"\x18\x01"  # scale_filler; INFERENCE
    written = layer.SerializeToString() + b"\xca\x08" + bytes([len(payload)]) + payload
    assert 137 << 3 | 2 == 0x4A | 0x08 << 7
    read = schema.LayerParameter.FromString(written)
    assert [list(blob.data) for blob in read.blobs] == [[2, -1], [0.5, 3]]
    assert (read.name, read.embed_param.num_output) == ("bn1", 0)
