"""Cross-entropy on a GPU against the float64 layer, and where there is no honest number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minidl.testing.harness import build
from tests.engines.cupy_kernels import host
from tests.engines.cupy_kernels.as_layer import check, only, request
from tests.engines.harness import run_plan

MODES = ("FULL", "VALID", "BATCH_SIZE", "NONE")


def labels(rng, shape, classes, ignored=None):
    drawn = rng.integers(0, classes, shape).astype(np.float64)
    if ignored is not None:
        drawn[rng.random(shape) < 0.4] = ignored
    return drawn


@given(
    images=st.integers(1, 5),
    classes=st.integers(1, 7),
    size=st.sampled_from([(), (1,), (2, 3), (5, 8)]),
    mode=st.sampled_from(MODES),
    ignored=st.sampled_from([None, 255, 0, -1]),
    tops=st.integers(1, 2),
)
def test_it_is_the_layer_in_every_mode(engine, images, classes, size, mode, ignored, tops):
    ignore = {} if ignored is None else {"ignore_label": ignored}
    layer = build("SoftmaxWithLoss", bottoms=2, tops=tops, normalization=mode, **ignore)
    rng = np.random.default_rng(images)
    x = rng.standard_normal((images, classes, *size)) * 2
    t = labels(rng, (images, *size), classes, ignored)
    dy = [np.float64(0.75), *[rng.standard_normal(x.shape)] * (tops - 1)]
    check(engine, layer.op, layer, [x, t], dy=dy, wanted=[True, False])


def test_many_items_are_added_up_in_parts(engine):
    """1,024 to a warp; the last part has 352 of them, and is cut off rightly."""
    layer = build("SoftmaxWithLoss", bottoms=2, ignore_label=3)
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((3, 4, 800)), labels(rng, (3, 800), 4, ignored=3)
    check(engine, layer.op, layer, [x, t], dy=[np.float64(1)], wanted=[True, False])


def test_probabilities_are_kept_where_no_top_holds_them(engine):
    op = build("SoftmaxWithLoss", bottoms=2).op
    x = [np.zeros((4, 10)), np.zeros(4)]
    one, two = (
        only(engine.plans(op, request(x, tops, wanted=[True, False])))
        for tops in ([()], [(), (4, 10)])
    )
    assert one.saved >= 160 > two.saved
    assert (one.keeps, two.keeps) == ((), ("top",))


def run(engine, x, t, **fields):
    op = build("SoftmaxWithLoss", bottoms=2, **fields).op
    plan = only(engine.plans(op, request([x, t], [()], wanted=[True, False])))
    (loss,), (dx, _), _ = run_plan(plan, [x, t], [()], dy=[1.0], wanted=[True, False])
    return float(loss), dx


@pytest.mark.parametrize("label", [-1.0, 3.0, 0.5, np.nan, np.inf, 1e30])
def test_a_label_that_is_no_class_makes_the_loss_and_its_gradient_nan(engine, label):
    loss, dx = run(engine, np.zeros((2, 3)), np.array([1.0, label]))
    assert np.isnan(loss) and np.isnan(dx[1]).all()
    np.testing.assert_allclose(dx[0], np.float64([1, -2, 1]) / 6, rtol=1e-6)


def test_the_label_that_is_ignored_may_be_no_class(engine):
    loss, dx = run(engine, np.zeros((2, 3)), np.array([1.0, 255.0]), ignore_label=255)
    assert loss == pytest.approx(np.log(3)) and not dx[1].any()


def test_where_all_items_are_ignored_the_loss_is_zero(engine):
    loss, dx = run(engine, np.zeros((2, 3)), np.array([7.0, 7.0]), ignore_label=7)
    assert loss == 0 and not dx.any()


def test_the_loss_of_an_item_is_clamped_at_the_smallest_normal_float(engine):
    loss, _ = run(engine, np.array([[0.0, 200.0]]), np.array([0.0]))
    assert loss == pytest.approx(-np.log(np.finfo(np.float32).tiny))


def test_scores_that_are_not_numbers_do_not_hide_behind_the_clamp(engine):
    loss, dx = run(engine, np.array([[np.nan, 0.0]]), np.array([0.0]))
    assert np.isnan(loss) and np.isnan(dx).all()


@pytest.mark.parametrize("team", ["warps", "threads"])
def test_both_teams_compute_the_same_gradient(team):
    rng = np.random.default_rng(0)
    p, dp = rng.random((2, 2, 5, 3)).astype(np.float32)
    t = np.float32([[0, 4, 2], [9, 1, 3]])
    dloss, divisor, dx = np.float32([2]), np.float32([5]), np.full_like(p, np.nan)
    given_ = p, t, dloss, divisor, dp, dx, 5, 3, 9.0
    host.run("softmax_loss", f"backward_by_{team}", 6, *given_)
    one_hot = (np.arange(5)[:, None] == t[:, None]).astype(np.float64)
    through = p * (dp - (dp * p).sum(axis=1, keepdims=True))
    expected = 2 / 5 * (p - one_hot) * (t != 9)[:, None] + through
    np.testing.assert_allclose(dx, expected, rtol=1e-5, atol=1e-6)
