"""A net with layers that are refused: what is known of the others."""

from minidl import prototxt, schema
from minidl.layers.context import Context
from minidl.net.sketch import rows

NET = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "c"
  convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "w" type: "FlowWarp" bottom: "c" top: "c" }
layer { name: "behind" type: "ReLU" bottom: "c" top: "r" }
layer { name: "beside" type: "Pooling" bottom: "x" top: "p" pooling_param { kernel_size: 2 } }
layer { name: "wrong" type: "Convolution" bottom: "x" top: "v" convolution_param { } }
layer { name: "t" type: "ReLU" bottom: "x" top: "t" include { phase: TRAIN } }
"""


def sketched(text=NET, phase=schema.TEST):
    return {row.name: row for row in rows(prototxt.read_net(text), Context(phase=phase))}


def test_layers_before_and_beside_one_that_is_missing_have_their_shapes():
    found = sketched()
    assert found["c"].top_shapes == ((2, 4, 6, 6),)
    assert found["c"].params == 4 * 3 * 9 + 4
    assert found["c"].multiply_adds == 2 * 4 * 36 * 27
    assert found["beside"].top_shapes == ((2, 3, 7, 7),)


def test_a_missing_type_is_told_from_a_layer_that_is_wrong():
    found = sketched()
    assert found["w"].missing and "lmb-freiburg/flownet2" in found["w"].refused
    assert not found["wrong"].missing and "num_output" in found["wrong"].refused
    assert found["w"].where.endswith("FlowWarp layer 'w'")


def test_behind_a_layer_that_is_refused_nothing_is_known_even_if_it_works_in_place():
    found = sketched()
    assert found["w"].top_shapes is None
    assert found["behind"].top_shapes is None and not found["behind"].refused


def test_only_layers_of_the_phase_are_there():
    assert "t" not in sketched() and "t" in sketched(phase=schema.TRAIN)
