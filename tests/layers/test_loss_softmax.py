"""SoftmaxWithLoss against its definition, its derivative, and its refusals."""

import math

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

IGNORED = 2
CASES = {
    # scores, labels, options, n by hand
    "vectors": ((6, 4), (6,), {}, 6),
    "one class": ((3, 1), (3,), {}, 3),
    "images": ((2, 4, 3, 2), (2, 1, 3, 2), {}, 12),
    "images, flat labels": ((2, 4, 3, 2), (2, 6), {}, 12),
    "last axis": ((2, 3, 4), (2, 3), dict(axis=-1), 6),
    "full": ((2, 4, 3), (2, 3), dict(normalization="FULL"), 6),
    "batch size": ((2, 4, 3), (2, 3), dict(normalization="BATCH_SIZE"), 2),
    "batch size, last axis": ((2, 3, 4), (2, 3), dict(axis=2, normalization="BATCH_SIZE"), 6),
    "none": ((2, 4, 3), (2, 3), dict(normalization="NONE"), 1),
    "fixed": (
        *((2, 4, 3), (2, 3)),
        *(dict(normalization="PRE_FIXED", pre_fixed_normalizer=1.5), 1.5),
    ),
    "fixed below 1": (
        *((2, 4, 3), (2, 3)),
        *(dict(normalization="PRE_FIXED", pre_fixed_normalizer=0.2), 1),
    ),
    "old: normalize": ((2, 4, 3), (2, 3), dict(normalize=True), 6),
    "old: do not normalize": ((2, 4, 3), (2, 3), dict(normalize=False), 2),
    "old and new": ((2, 4, 3), (2, 3), dict(normalize=False, normalization="NONE"), 1),
}
cases = pytest.mark.parametrize("scores, labels, options, n", CASES.values(), ids=CASES.keys())
both = pytest.mark.parametrize("ignore", [False, True], ids=["all", "some ignored"])


def example(scores, labels, options, ignore):
    """Bottoms with every class among the labels, options, and how many items are ignored."""
    x = 2 * np.random.default_rng(7).standard_normal(scores)
    t = np.arange(math.prod(labels)).reshape(labels) * 7 % scores[options.get("axis", 1)]
    if ignore:
        options = {**options, "ignore_label": IGNORED}
    return x, t, options, int((t == IGNORED).sum()) if ignore else 0


def surprises(x, t, axis=1, ignore_label=None, **_):
    """-log(p[t]) of every item that is not ignored, in order."""
    x = np.moveaxis(x, axis, -1)
    for row, label in zip(x.reshape(-1, x.shape[-1]), t.reshape(-1), strict=True):
        if label != ignore_label:
            yield math.log(sum(math.exp(v) for v in row)) - row[label]


@cases
@both
def test_the_loss_is_the_mean_surprise(scores, labels, options, n, ignore):
    x, t, options, ignored = example(scores, labels, options, ignore)
    if options.get("normalization", "VALID") == "VALID" and options.get("normalize", True):
        n = max(1, n - ignored)
    _, (loss,) = run(build("SoftmaxWithLoss", **options), x, t)
    assert loss.data.shape == ()
    assert float(loss.data) == pytest.approx(sum(surprises(x, t, **options)) / n, rel=1e-12)


@cases
@both
def test_backward_is_the_derivative_of_forward(scores, labels, options, n, ignore):
    x, t, options, _ = example(scores, labels, options, ignore)
    check_backward(build("SoftmaxWithLoss", **options), x, t)


def test_the_gradient_carries_the_loss_weight():
    layer = build("SoftmaxWithLoss")
    bottom, top = run(layer, [[1.0, 2.0, 3.0]], [0])
    top[0].diff[...] = -2.5
    layer.backward(top, [True, False], bottom)
    p = np.exp([1, 2, 3]) / np.exp([1, 2, 3]).sum()
    np.testing.assert_allclose(bottom[0].diff, [-2.5 * (p - [1, 0, 0])])


def test_ignored_items_have_no_gradient_even_where_their_scores_are_not_numbers():
    x, t = np.random.default_rng(7).standard_normal((3, 4)), np.array([1, 9, 3])
    x[1] = np.nan
    layer = build("SoftmaxWithLoss", ignore_label=9)
    bottom, top = run(layer, x, t)
    top[0].diff[...] = 1
    layer.backward(top, [True, False], bottom)
    assert np.isfinite(top[0].data)
    assert (bottom[0].diff[1] == 0).all() and (bottom[0].diff[[0, 2]] != 0).all()


def test_nothing_but_ignored_items_is_a_loss_of_zero():
    layer = build("SoftmaxWithLoss", ignore_label=-1)
    bottom, top = run(layer, np.ones((2, 3)), [-1, -1])
    top[0].diff[...] = 1
    layer.backward(top, [True, False], bottom)
    assert top[0].data == 0 and (bottom[0].diff == 0).all()


def test_the_losses_without_each_class_in_turn_add_up():
    # Caffe's own test: with NONE, every item is missing from exactly one of the five sums.
    x = np.random.default_rng(7).standard_normal((10, 5, 2, 3))
    t = np.random.default_rng(8).integers(5, size=(10, 1, 2, 3))

    def loss(**options):
        return float(
            run(build("SoftmaxWithLoss", normalization="NONE", **options), x, t)[1][0].data
        )

    without = [loss(ignore_label=label) for label in range(5)]
    assert sum(without) == pytest.approx(4 * loss())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_loss_of_a_hopeless_item_is_minus_log_of_flt_min(dtype):
    _, (loss,) = run(build("SoftmaxWithLoss", dtype=dtype), [[2e4, 0, 0], [0, 0, 0]], [1, 2])
    assert float(loss.data) == pytest.approx((87.33654 + math.log(3)) / 2, rel=1e-6)


def test_scores_that_are_not_numbers_make_a_loss_that_is_none():
    _, (loss,) = run(build("SoftmaxWithLoss"), [[np.nan, 0], [0, 0]], [0, 1])
    assert np.isnan(loss.data)


def test_a_second_top_holds_the_probabilities():
    x = np.random.default_rng(7).standard_normal((2, 4, 3))
    layer = build("SoftmaxWithLoss", tops=2)
    _, (_, prob) = run(layer, x, np.zeros((2, 3)))
    _, (expected,) = run(build("Softmax"), x)
    np.testing.assert_array_equal(prob.data, expected.data)


def test_a_second_top_passes_its_gradient_on():
    x = np.random.default_rng(7).standard_normal((2, 4, 3))
    layer = build("SoftmaxWithLoss", tops=2, ignore_label=1)
    check_backward(layer, x, np.array([[0, 1, 2], [3, 1, 0]]))


def test_backward_does_not_need_what_a_later_layer_overwrites():
    x, t = np.random.default_rng(7).standard_normal((2, 4, 3)), np.array([[0, 1, 2], [3, 1, 0]])
    layer = build("SoftmaxWithLoss", tops=2)
    bottom, top = run(layer, x, t)
    top[0].diff[...] = 1
    layer.backward(top, [True, False], bottom)
    first = bottom[0].diff.copy()
    bottom[0].data[...] = top[1].data[...] = bottom[1].data[...] = 0
    layer.backward(top, [True, False], bottom)
    np.testing.assert_array_equal(bottom[0].diff, first)


def test_a_loss_without_a_named_top_still_has_its_scalar():
    layer = build("SoftmaxWithLoss", tops=0)
    assert layer.top_shapes((2, 3), (2,)) == ((),)
    assert build("SoftmaxWithLoss", tops=2).top_shapes((2, 3), (2,)) == ((), (2, 3))


def test_an_empty_batch_is_a_loss_of_zero():
    layer = build("SoftmaxWithLoss", ignore_label=1)
    _, (loss,) = run(layer, np.zeros((0, 3)), np.zeros(0))
    assert loss.data == 0


def test_bottoms_of_different_batches_are_refused():
    with pytest.raises(
        LayerConfigError, match=r"layer 'loss'.*'x0' \(4, 3\) and 'x1' \(2, 2\) differ"
    ):
        build("SoftmaxWithLoss", name="loss").top_shapes((4, 3), (2, 2))


# --------------------------------------------------------------------------------- class weights

WEIGHTS = [2.0, 0.25, 0.0, 3.0]


@pytest.mark.parametrize("normalization, n", [("VALID", 5), ("BATCH_SIZE", 2), ("NONE", 1)])
def test_class_weights_multiply_the_loss_of_their_items(normalization, n):
    x, t = np.random.default_rng(7).standard_normal((2, 4, 3)), np.array([[0, 1, 2], [3, 1, 9]])
    options = dict(ignore_label=9, normalization=normalization)
    labels = [label for label in t.reshape(-1) if label != 9]
    pairs = zip(labels, surprises(x, t, **options), strict=True)
    layer = build("SoftmaxWithLoss", class_weight=WEIGHTS, **options)
    _, (loss,) = run(layer, x, t)
    expected = sum(WEIGHTS[label] * surprise for label, surprise in pairs) / n
    assert float(loss.data) == pytest.approx(expected, rel=1e-12)
    check_backward(layer, x, t)


def test_class_weights_are_the_diagonal_of_an_infogain_matrix():
    x, t = np.random.default_rng(7).standard_normal((5, 4)), np.array([0, 1, 2, 3, 1])
    _, (loss,) = run(build("SoftmaxWithLoss", class_weight=WEIGHTS), x, t)
    _, (expected,) = run(build("InfogainLoss", bottoms=3), x, t, np.diag(WEIGHTS))
    assert float(loss.data) == pytest.approx(float(expected.data), rel=1e-12)


def test_segnets_class_weighting_is_the_same_where_it_is_turned_on():
    x, t = np.random.default_rng(7).standard_normal((5, 4)), np.array([0, 1, 2, 3, 1])

    def loss(**keywords):
        return float(run(build("SoftmaxWithLoss", **keywords), x, t)[1][0].data)

    weighted = loss(class_weighting=WEIGHTS, weight_by_label_freqs=True)
    assert weighted == loss(class_weight=WEIGHTS)
    assert loss(class_weighting=WEIGHTS) == loss() != weighted


@pytest.mark.parametrize("more", [{}, dict(class_weighting=[1, 2], class_weight=[1, 2])])
def test_what_to_weigh_by_has_to_be_said_once(more):
    with pytest.raises(LayerConfigError, match="has weight_by_label_freqs (beside|without)"):
        build("SoftmaxWithLoss", weight_by_label_freqs=True, **more)


def test_engines_are_not_asked_where_classes_have_weights():
    assert build("SoftmaxWithLoss").op is not None
    assert getattr(build("SoftmaxWithLoss", class_weight=[1, 2]), "op", None) is None


def test_class_weights_that_do_not_fit_are_refused():
    with pytest.raises(
        LayerConfigError, match=r"class_weight has 2 numbers, the bottom \(4, 3\) 3 "
    ):
        build("SoftmaxWithLoss", class_weight=[1, 2]).top_shapes((4, 3), (4,))
    for bad in (-1, math.nan, math.inf):
        with pytest.raises(LayerConfigError, match=f"class_weight of class 1 is {bad:g}"):
            build("SoftmaxWithLoss", class_weight=[1, bad])


def test_engines_are_not_asked_for_a_divisor_that_they_do_not_know():
    assert getattr(build("SoftmaxWithLoss", normalization="PRE_FIXED"), "op", None) is None


def test_a_divisor_that_is_none_is_refused():
    with pytest.raises(LayerConfigError, match="pre_fixed_normalizer is 0"):
        build("SoftmaxWithLoss", normalization="PRE_FIXED", pre_fixed_normalizer=0)


@cases
@both
def test_with_ohem_each_item_says_what_it_adds(scores, labels, options, n, ignore):
    x, t, options, ignored = example(scores, labels, options, ignore)
    layer = build("SoftmaxWithLossOHEM", tops=3, **options)
    _, (loss, prob, item) = run(layer, x, t)
    assert item.shape == labels
    counted = item.data.ravel()[t.ravel() != options.get("ignore_label", -1)]
    np.testing.assert_allclose(counted, list(surprises(x, t, **options)), rtol=1e-12, atol=1e-15)
    assert np.count_nonzero(item.data) <= item.data.size - ignored
    _, (plain, share) = run(build("SoftmaxWithLoss", tops=2, **options), x, t)
    np.testing.assert_array_equal(loss.data, plain.data)
    np.testing.assert_array_equal(prob.data, share.data)


@cases
@both
def test_with_ohem_backward_is_the_derivative_of_all_tops(scores, labels, options, n, ignore):
    x, t, options, _ = example(scores, labels, options, ignore)
    for tops in (1, 3):
        check_backward(build("SoftmaxWithLossOHEM", tops=tops, **options), x, t)


def test_with_ohem_engines_are_not_asked():
    assert build("SoftmaxWithLossOHEM").op is None
