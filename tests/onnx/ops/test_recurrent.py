"""RNN, LSTM and LSTMUnit in ONNX."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl.errors import ExportError
from minidl.onnx import convert
from tests.onnx.support import check, check_layer, layer_net, needs, operators, random_inputs

STATES = {"RNN": 1, "LSTM": 2}
every_type = pytest.mark.parametrize("type", [pytest.param(t, marks=needs(t)) for t in STATES])


def net_and_inputs(type, steps, count, size, static=False, exposed=False, cont=None):
    """A net of one recurrent layer, and sequences that begin anew here and there."""
    shapes = [(steps, count, 2, 2), (steps, count)]
    shapes += [(count, 3)] * static + [(1, count, size)] * (STATES[type] * exposed)
    tops = 1 + STATES[type] * exposed
    net = layer_net(type, *shapes, tops=tops, num_output=size, expose_hidden=exposed)
    given = random_inputs(net)
    given["x1"] = (given["x1"] > -0.5).astype(np.float32) if cont is None else cont
    return net, given


@every_type
@given(
    steps=st.integers(1, 5),
    count=st.integers(1, 3),
    size=st.integers(1, 3),
    static=st.booleans(),
    exposed=st.booleans(),
)
@settings(max_examples=20)
def test_sequences_of_any_size(type, steps, count, size, static, exposed):
    check(*net_and_inputs(type, steps, count, size, static, exposed), vary=False)


@every_type
@pytest.mark.parametrize("exposed", [False, True])
def test_what_cont_says_is_no_constant_of_the_model(type, exposed):
    for cont in (0, 1, 0.5):
        values = np.full((4, 2), cont, np.float32)
        net, given = net_and_inputs(type, 4, 2, 3, exposed=exposed, cont=values)
        check(net, given, vary=False)


@every_type
def test_a_model_begins_with_zeros_and_says_so(type):
    net, given = net_and_inputs(type, 3, 2, 2, cont=np.ones((3, 2), np.float32))
    check(net, given, vary=False)
    notes = convert(net).notes
    assert any("begins each run with states of zero" in note for note in notes)
    assert "The batch is fixed at 3: layer 'layer' depends on it." in notes


@every_type
def test_states_that_are_inputs_need_no_note(type):
    net, _ = net_and_inputs(type, 3, 2, 2, exposed=True)
    assert not any("states of zero" in note for note in convert(net).notes)


@every_type
def test_weights_are_there_once_however_many_the_steps(type):
    net, _ = net_and_inputs(type, 6, 2, 3)
    constants = convert(net).graph.constants
    floats = sum(a.size for a in constants.values() if a.dtype == np.float32)
    assert floats == sum(param.data.size for param in net.params["layer"])


@needs("LSTMUnit")
@pytest.mark.parametrize("count, size", [(1, 1), (3, 4)])
def test_one_step(count, size):
    net = layer_net("LSTMUnit", (1, count, size), (1, count, 4 * size), (1, count), tops=2)
    given = random_inputs(net)
    given["x2"] = np.arange(count, dtype=np.float32).reshape(1, count) % 2
    check(net, given, vary=False)
    assert operators(net).count("Sigmoid") == 1


@needs("Lstm")
def test_lstm_without_a_second_bottom():
    check_layer("Lstm", (4, 2, 3), num_output=2)


@needs("Lstm")
def test_lstm_with_states_from_pass_to_pass_is_refused():
    with pytest.raises(ExportError, match="a model keeps nothing"):
        convert(layer_net("Lstm", (4, 2, 3), (4, 2), num_output=2))
