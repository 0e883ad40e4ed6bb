"""Who runs backward: Caffe's rule on small nets drawn by hand."""

from minidl.net.gradients import plan_backward
from minidl.net.node import Node, ParamPlan


def layer(bottoms, tops, learns=False, loss=False, **more):
    tops = tuple(tops.split())
    params = (ParamPlan("l/0", "weight", (2,), lr_mult=float(learns)),)
    weights = (float(loss),) * len(tops)
    return Node("l", tuple(bottoms.split()), tops, params=params, loss_weights=weights, **more)


DATA = layer("", "x label")


def flags(flows):
    return [(flow.needs_backward, flow.wanted) for flow in flows]


def test_gradients_stop_at_the_first_layer_that_learns():
    flows = plan_backward(
        [
            DATA,
            layer("x", "a"),
            layer("a", "b", learns=True),
            layer("b", "c"),
            layer("c label", "l", loss=True, no_gradient=(1,)),
        ]
    )
    assert flags(flows) == [
        (False, ()),
        (False, (False,)),
        (True, (False,)),
        (True, (True,)),
        (True, (True, False)),
    ]


def test_what_no_loss_depends_on_runs_no_backward():
    flows = plan_backward(
        [DATA, layer("x", "a b", learns=True), layer("a", "l", loss=True), layer("b", "accuracy")]
    )
    assert [flow.needs_backward for flow in flows] == [False, True, True, False]


def test_a_net_without_loss_runs_no_backward():
    flows = plan_backward([DATA, layer("x", "a", learns=True), layer("a", "b", learns=True)])
    assert not any(flow.needs_backward for flow in flows)


def test_propagate_down_false_cuts_everything_below():
    flows = plan_backward(
        [
            DATA,
            layer("x", "a", learns=True),
            layer("a", "b", learns=True, propagate_down=(False,)),
            layer("b", "l", loss=True),
        ]
    )
    assert flags(flows)[1:] == [(False, (False,)), (True, (False,)), (True, (True,))]


def test_a_cut_branch_leaves_the_other_branch_running():
    flows = plan_backward(
        [
            DATA,
            layer("x", "a", learns=True),
            layer("a", "a0 a1"),
            layer("a0", "l0", loss=True, propagate_down=(False,)),
            layer("a1", "l1", loss=True),
        ]
    )
    assert [flow.needs_backward for flow in flows] == [False, True, True, False, True]


def test_propagate_down_true_asks_for_the_gradient_of_data():
    flows = plan_backward(
        [DATA, layer("x", "a", learns=True, propagate_down=(True,)), layer("a", "l", loss=True)]
    )
    assert (flows[1].needs_backward, flows[1].wanted) == (True, (True,))


def test_force_backward_asks_for_every_gradient_there_can_be():
    flows = plan_backward(
        [
            DATA,
            layer("x", "a"),
            layer("a label", "l", loss=True, no_gradient=(1,)),
            layer("a", "m", differentiable=False),
        ],
        force=True,
    )
    assert flags(flows)[1:] == [(True, (True,)), (True, (True, False)), (False, (False,))]


def test_an_in_place_layer_passes_the_need_through():
    flows = plan_backward(
        [DATA, layer("x", "a", learns=True), layer("a", "a"), layer("a", "l", loss=True)]
    )
    assert [flow.needs_backward for flow in flows] == [False, True, True, True]
