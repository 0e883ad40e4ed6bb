"""RNN against its definition and derivative; and what all recurrent layers do with their state."""

import numpy as np
import pytest

from minidl import TRAIN, Net
from minidl.errors import LayerConfigError
from minidl.testing.gradcheck import check_backward
from minidl.testing.harness import bind, build, run

T, N, D, S, H = 5, 3, 4, 2, 3
RANDOM = np.random.default_rng(7)
X = RANDOM.standard_normal((T, N, 2, D // 2))
STATIC = RANDOM.standard_normal((N, S))
CONT = np.array([[0, 1, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1.0]])
types = pytest.mark.parametrize("type, states", [("RNN", 1), ("LSTM", 2)])


def rnn_by_definition(x, cont, params, h, static=None):
    """(outputs, last hidden state), one number at a time."""
    w_x, b_h, *w_static, w_h, w_o, b_o = params
    x, outputs = x.reshape(*cont.shape, -1), []
    for t, n in np.ndindex(cont.shape):
        h = h.copy()
        s = w_x @ x[t, n] + b_h + w_h @ (cont[t, n] * h[n])
        if static is not None:
            s += w_static[0] @ static[n]
        h[n] = np.tanh(s)
        outputs.append(np.tanh(w_o @ h[n] + b_o))
    return np.reshape(outputs, (*cont.shape, -1)), h


@pytest.mark.parametrize("static", [None, STATIC], ids=["", "with x_static"])
def test_two_passes_follow_the_definition(static):
    layer = build("RNN", bottoms=2 if static is None else 3, num_output=H)
    others = [] if static is None else [static]
    bottom, (y,) = run(layer, X, CONT, *others)
    params = [p.data for p in layer.params]
    expected, h = rnn_by_definition(X, CONT, params, np.zeros((N, H)), static)
    np.testing.assert_allclose(y.data, expected, rtol=1e-12)
    bottom[0].data[...] = X[::-1]
    layer.forward(bottom, [y])
    expected, _ = rnn_by_definition(X[::-1], CONT, params, h, static)
    np.testing.assert_allclose(y.data, expected, rtol=1e-12)


@types
@pytest.mark.parametrize("static", [[], [STATIC]], ids=["", "with x_static"])
def test_backward_is_the_derivative_of_forward(type, states, static):
    cont = CONT.copy()
    cont[0] = 0  # or every forward of the check would begin with another state
    check_backward(build(type, bottoms=2 + len(static), num_output=H), X, cont, *static)


@types
@pytest.mark.parametrize("static", [[], [STATIC]], ids=["", "with x_static"])
def test_backward_reaches_exposed_states(type, states, static):
    first = [RANDOM.standard_normal((1, N, H)) for _ in range(states)]
    count = 2 + len(static) + states
    layer = build(type, bottoms=count, tops=1 + states, num_output=H, expose_hidden=True)
    check_backward(layer, X, CONT, *static, *first)


# ------------------------------------------------------------------------------ from pass to pass


@types
def test_steps_at_once_are_steps_one_by_one(type, states):
    whole = build(type, num_output=H)
    _, (expected,) = run(whole, X, CONT)
    params = [p.data for p in whole.params]
    single = build(type, num_output=H)
    bottom, top = bind(single, X[:1], CONT[:1], params=params)
    for t in range(T):
        bottom[0].data[...], bottom[1].data[...] = X[t], CONT[t]
        single.forward(bottom, top)
        np.testing.assert_allclose(top[0].data[0], expected.data[t], rtol=1e-12)


@types
def test_steps_one_by_one_with_exposed_states_are_steps_at_once(type, states):
    """Gradients included, which Caffe leaves out there."""
    whole = build(type, num_output=H)
    cont = CONT[:2].copy()
    cont[0] = 0
    bottom, (y,) = run(whole, X[:2], cont)
    y.diff[0], y.diff[1] = 0, 1
    whole.backward([y], [True, False], bottom)
    params = [p.data for p in whole.params]
    exposed = dict(bottoms=2 + states, tops=1 + states, num_output=H, expose_hidden=True)
    steps, state = [], [np.zeros((1, N, H))] * states
    for t in range(2):
        layer = build(type, **exposed)
        steps.append((layer, *bind(layer, X[t : t + 1], cont[t : t + 1], *state, params=params)))
        layer.forward(*steps[-1][1:])
        state = [blob.data for blob in steps[-1][2][1:]]
        np.testing.assert_allclose(steps[-1][2][0].data[0], y.data[t], rtol=1e-12)
    gradients = [np.zeros((1, N, H))] * states
    for t in (1, 0):
        layer, below, above = steps[t]
        for blob, gradient in zip(above, [np.full((1, N, H), t), *gradients], strict=True):
            blob.diff[...] = gradient
        layer.backward(above, [True, False] + [True] * states, below)
        np.testing.assert_allclose(below[0].diff[0], bottom[0].diff[t], rtol=1e-10)
        gradients = [blob.diff for blob in below[2:]]


@types
def test_cont_0_forgets_all_that_was_before(type, states):
    layer = build(type, num_output=H)
    bottom, (y,) = run(layer, X, np.zeros((T, N)))
    expected = y.data.copy()
    bottom[0].data[...], bottom[1].data[...] = 9 * X[::-1], 1  # leaves other states
    layer.forward(bottom, [y])
    assert not np.allclose(y.data[-1], expected[0])
    bottom[0].data[...], bottom[1].data[...] = X, 0
    layer.forward(bottom, [y])
    np.testing.assert_array_equal(y.data, expected)


NET = """
layer {{ name: "in" type: "Input" top: "x" top: "cont"
  input_param {{ shape {{ dim: 2 dim: 3 dim: 4 }} shape {{ dim: 2 dim: 3 }} }} }}
layer {{ name: "memory" type: "{}" bottom: "x" bottom: "cont" top: "y"
  recurrent_param {{ num_output: 3 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "Reduction" bottom: "y" top: "loss" loss_weight: 1 }}
"""


@types
@pytest.mark.parametrize("share", [False, True])
def test_in_a_net_the_state_lasts_from_pass_to_pass(type, states, share, device):
    net = Net(NET.format(type), phase=TRAIN, seed=1, share=share, keep=["y"], device=device)
    host = net.device.to_host

    def output(cont=1):
        net.device.write(net.blobs["x"].data, X.reshape(T, N, D)[:2])
        net.device.write(net.blobs["cont"].data, np.full((2, 3), cont))
        net.forward_pass()
        net.backward_pass()
        return host(net.blobs["y"].data).copy()

    first, second = output(), output()
    assert not np.allclose(first, second)
    np.testing.assert_array_equal(output(cont=0), np.concatenate([first[:1], output(cont=0)[1:]]))
    net.layer_dict["memory"].reset()
    np.testing.assert_array_equal(output(), first)
    held = net.blobs["x"].data, net.params["memory"][0].data  # memory is arranged anew
    np.testing.assert_allclose(output(), second, rtol=1e-6)
    del held


@types
def test_the_number_of_steps_may_change_and_the_state_stays(type, states):
    net = Net(NET.format(type), seed=1)
    x, cont = X.reshape(T, N, D)[:4], np.ones((4, N))
    expected = net.forward(x=x, cont=cont, blobs=["y"])["y"].copy()
    net.layer_dict["memory"].reset()
    parts = [net.forward(x=x[s], cont=cont[s], blobs=["y"])["y"].copy() for s in np.s_[:1, 1:4]]
    np.testing.assert_allclose(np.concatenate(parts), expected, rtol=1e-6)


@types
def test_another_number_of_sequences_begins_with_zeros(type, states):
    net = Net(NET.format(type), seed=1)
    x = X.reshape(T, N, D)[:2]
    first = net.forward(x=x, cont=np.ones((2, 3)), blobs=["y"])["y"].copy()
    fewer = net.forward(x=x[:, :2], cont=np.ones((2, 2)), blobs=["y"])["y"]
    np.testing.assert_allclose(fewer, first[:, :2], rtol=1e-6)


# --------------------------------------------------------------------------------------- refusals

REFUSED = {
    "two axes": (((5, 3), (5, 3)), {}, r"'x0' is \(5, 3\)"),
    "cont": (((5, 3, 4), (3, 5)), {}, r"5 steps of 3 sequences, but 'x1' is \(3, 5\)"),
    "static": (((5, 3, 4), (5, 3), (5, 2)), {}, r"'x2' is \(5, 2\)(.|\n)*\(3, \.\.\.\)"),
    "states": (
        ((5, 3, 4), (5, 3), (1, 3, 4), (1, 3, 3)),
        dict(expose_hidden=True, tops=3),
        r"the first state 'x2' is \(1, 3, 4\)(.|\n)*\(1, 3, 3\)",
    ),
}


@pytest.mark.parametrize("shapes, options, found", REFUSED.values(), ids=REFUSED.keys())
def test_bottoms_that_do_not_fit_are_refused(shapes, options, found):
    layer = build("LSTM", name="memory", bottoms=len(shapes), num_output=H, **options)
    with pytest.raises(LayerConfigError, match=f"LSTM layer 'memory': .*{found}"):
        layer.top_shapes(*shapes)


@types
def test_a_layer_without_a_size_is_refused(type, states):
    with pytest.raises(LayerConfigError, match="num_output is 0 or missing"):
        build(type)


def test_exposed_states_need_their_bottoms_and_tops():
    with pytest.raises(LayerConfigError, match=r"has 2 bottoms(.|\n)*expected: 4 to 5 bottoms"):
        build("LSTM", num_output=H, expose_hidden=True, tops=3)


def test_debug_info_is_said_to_do_nothing(caplog):
    build("LSTM", num_output=H, debug_info=True)
    assert "debug_info has no effect" in caplog.text
