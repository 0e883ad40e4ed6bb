"""LabelDropout: what is seen and how much of it, its derivative, and its refusals."""

import numpy as np
import pytest

from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import build, run

RNG = np.random.default_rng(5)
X = RNG.standard_normal((3, 2, 6, 7))
LABELS = RNG.choice([1.0, 0, 0, 0, -1], X.shape)


def seen(layer, x=X, labels=LABELS):
    _, (y,) = run(layer, x, labels)
    mask = ~layer.hidden
    np.testing.assert_array_equal(y.data, np.where(mask, x, labels))
    return mask


@pytest.mark.parametrize("ratio, hard, rand", [(1, 0.5, 0.5), (0.5, 1, 0), (1, 0, 0.7), (1, 0, 0)])
def test_places_of_label_1_are_seen_and_so_many_of_label_0(ratio, hard, rand):
    layer = build("LabelDropout", drop_neg_ratio=ratio, hard_ratio=hard, rand_ratio=rand)
    mask = seen(layer)
    for n, c in np.ndindex(3, 2):
        labels, shown = LABELS[n, c], mask[n, c]
        assert shown[labels == 1].all() and not shown[labels == -1].any()
        count = int((labels == 1).sum() * ratio)
        expected = int(count * np.float32(hard)) + int(count * np.float32(rand))
        assert shown[labels == 0].sum() == expected


def test_the_hard_ones_are_the_largest():
    layer = build("LabelDropout", drop_neg_ratio=1, hard_ratio=1)
    mask = seen(layer)
    for n, c in np.ndindex(3, 2):
        nothing, shown = LABELS[n, c] == 0, mask[n, c]
        sizes = np.abs(X[n, c])
        assert sizes[nothing & shown].min() > sizes[nothing & ~shown].max()


def test_random_ones_may_be_any_and_change_from_seed_to_seed():
    drawn = [
        seen(build("LabelDropout", rand_ratio=1, seed=seed)) & (LABELS == 0) for seed in range(40)
    ]
    share = np.mean(drawn, axis=0)[LABELS == 0]
    assert 0 < share.min() and share.max() < 1


def test_all_are_seen_where_there_are_too_few():
    mask = seen(build("LabelDropout", drop_neg_ratio=50))
    np.testing.assert_array_equal(mask, LABELS >= 0)


def test_only_what_is_seen_has_a_gradient():
    check_backward(build("LabelDropout", hard_ratio=0.5, rand_ratio=0.5), X, LABELS)


@pytest.mark.parametrize(
    "keywords, message",
    [
        (dict(drop_neg_ratio=-1), "drop_neg_ratio is -1"),
        (dict(hard_ratio=0.7, rand_ratio=0.6), "hard_ratio is 0.7 and rand_ratio 0.6"),
    ],
)
def test_ratios_are_checked(keywords, message):
    with pytest.raises(LayerConfigError, match=f"LabelDropout layer 'drop'.*{message}"):
        build("LabelDropout", name="drop", **keywords)


def test_labels_have_to_be_as_many():
    with pytest.raises(LayerConfigError, match="and its labels"):
        build("LabelDropout").top_shapes((2, 3, 4), (2, 3, 5))
