"""Chains: which plan takes them, and what is declined; tests/net/test_chains.py has the law."""

import numpy as np
import pytest

from minidl import ops
from minidl.engines.onednn.batch_norm import NormPlan
from minidl.engines.onednn.folded import FoldedPlan
from minidl.engines.request import Declined
from minidl.testing.harness import build
from tests.engines.onednn.as_layer import ARRANGEMENTS, arrange, check, first, request

NORM, SEEN = ops.BatchNorm(1e-5, 0.999, False), ops.BatchNorm(1e-5, 0.999, True)
AFFINE, RELU = ops.Affine(bias=True), ops.Activation("relu")
CONV = ops.Conv(16, (3, 3), pad=(1, 1))
X = np.random.default_rng(0).standard_normal((2, 16, 5, 4))
STATISTICS = [("mean", (16,)), ("variance", (16,)), ("scale_factor", (1,))]
FACTORS = [("1 scale", (16,)), ("1 bias", (16,))]


def asked(op, params, **options):
    return request([X], [X.shape], [None], params=params, **options)


@pytest.mark.parametrize("name", ARRANGEMENTS)
@pytest.mark.parametrize("in_place", [False, True])
def test_scale_and_bias_are_the_layers_in_every_arrangement(engine, name, in_place):
    layout = [arrange(engine, name, X.shape)]
    for kind, op in (("Scale", AFFINE), ("Bias", ops.Affine(scale=False, bias=True))):
        more = {"bias_term": True} if kind == "Scale" else {}
        layer = build(kind, in_place=in_place, **more)
        values = [np.linspace(0.5, 2, 16), np.linspace(-1, 1, 16)][-len(layer.fillers) :]
        check(engine, op, layer, [X], layout, params=values, in_place=in_place)


def test_normalisation_scale_and_relu_are_one_plan(engine):
    chain = ops.Chain((NORM, AFFINE, RELU))
    learning = ("1 scale", "1 bias")
    plan = first(engine.plans(chain, asked(chain, STATISTICS + FACTORS, learning=learning)))
    assert isinstance(plan, NormPlan) and plan.backward is not None
    assert plan.learning == learning and plan.keeps == ("bottom",)


@pytest.mark.parametrize(
    ("op", "params"),
    [
        (ops.Affine(axis=2), [("scale", (5,))]),
        (ops.Affine(axis=1), [("scale", (16, 5))]),
        (ops.Chain((NORM, RELU, AFFINE)), STATISTICS),
        (ops.Chain((AFFINE, ops.Activation("relu", 0.1))), [("scale", (16,))]),
    ],
)
def test_other_axes_orders_and_slopes_are_declined(engine, op, params):
    assert isinstance(engine.plans(op, asked(op, params)), Declined)


def test_weights_are_folded_without_a_backward_only(engine):
    chain = ops.Chain((CONV, SEEN, ops.Affine(bias=True), RELU))
    params = [("weight", (16, 16, 3, 3)), ("bias", (16,))]
    params += [(f"1 {name}", shape) for name, shape in STATISTICS]
    params += [("2 scale", (16,)), ("2 bias", (16,))]
    plan = first(engine.plans(chain, asked(chain, params, training=False, backward=False)))
    assert isinstance(plan, FoldedPlan) and plan.folds == (SEEN, AFFINE)
    answer = engine.plans(chain, asked(chain, params))
    assert isinstance(answer, Declined) and "inference" in answer.reason
