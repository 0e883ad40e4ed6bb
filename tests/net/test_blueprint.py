"""A net on paper: shapes, sharing, gradients, refusals, all before an array exists."""

import pytest

from minidl import prototxt, schema
from minidl.errors import (
    GraphError,
    LayerConfigError,
    MinidlError,
    PrototxtError,
    UnknownLayerTypeError,
)
from minidl.layers.context import Context
from minidl.net.blueprint import Blueprint

HEAD = """
name: "n"
layer { name: "in" type: "Input" top: "x" top: "label"
  input_param { shape { dim: 4 dim: 3 dim: 6 dim: 5 } shape { dim: 4 } } }
"""


def ip(name, bottom, top, more="", num_output=7):
    return f"""layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{top}" {more}
      inner_product_param {{ num_output: {num_output} }} }}\n"""


LOSS = (
    """layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "label" top: "loss" }\n"""
)
RELU = """layer { name: "relu" type: "ReLU" bottom: "y" top: "y" }\n"""


def blueprint(text, phase=schema.TRAIN, **kw):
    return Blueprint(prototxt.read_net(HEAD + text), Context(phase=phase), **kw)


def test_shapes_parameters_and_gradients_are_known_without_arrays():
    plan = blueprint(ip("fc", "x", "y") + RELU + LOSS)
    assert plan.blob_shapes == {
        "x": (4, 3, 6, 5),
        "label": (4,),
        "y": (4, 7),
        "loss": (),
    }
    fc = plan.nodes[1]
    assert fc.param_shapes == {"weight": (7, 90), "bias": (7,)}
    assert fc.multiply_adds == 4 * 7 * 90
    assert [node.needs_backward for node in plan.nodes] == [False, True, True, True]
    assert fc.wanted == (False,)
    assert plan.inputs == ["x", "label"]
    assert plan.outputs == ["loss"]


def test_outputs_are_sorted_and_in_place_tops_count_once():
    plan = blueprint(ip("b", "x", "zz") + ip("a", "x", "y") + RELU)
    assert plan.outputs == ["label", "y", "zz"]


def test_a_loss_without_a_top_gets_one():
    plan = blueprint(ip("fc", "x", "y") + LOSS.replace('top: "loss"', ""))
    assert plan.nodes[-1].tops == ("(automatic)",)
    assert plan.nodes[-1].loss_weights == (1.0,)
    assert plan.outputs == []


def test_shared_parameters_belong_to_the_first_layer_that_has_them():
    share = 'param { name: "w" } param { name: "b" lr_mult: 2 }'
    plan = blueprint(ip("one", "x", "y", share) + ip("two", "x", "z", share))
    assert [p.key for p in plan.params] == ["one/0", "one/1"]
    assert [(p.owner, p.lr_mult) for p in plan.nodes[-1].params] == [("one/0", 1), ("one/1", 2)]


def test_a_multiplier_that_only_a_later_sharer_sets_holds_for_all():
    plan = blueprint(
        ip("one", "x", "y", 'param { name: "w" }')
        + ip("two", "x", "z", 'param { name: "w" lr_mult: 0 }')
    )
    assert plan.params[0].lr_mult == 0


REFUSED = {
    "shared with another shape": (
        ip("one", "x", "y", 'param { name: "w" }')
        + ip("two", "x", "z", 'param { name: "w" }', num_output=8),
        LayerConfigError,
        r"'two': shares parameter 'w' of one/0, whose shape is \(7, 90\), but needs \(8, 90\)",
    ),
    "two rates for one parameter": (
        ip("one", "x", "y", 'param { name: "w" lr_mult: 1 }')
        + ip("two", "x", "z", 'param { name: "w" lr_mult: 2 }'),
        GraphError,
        "layer 'two': sets lr_mult: 2 on the shared parameter 'w', for which layer 'one' sets 1",
    ),
    "more param entries than parameters": (
        ip("fc", "x", "y", "param {} param {} param {}"),
        LayerConfigError,
        "'fc': has 3 param entries, but 2 parameters",
    ),
    "loss weights do not match the tops": (
        ip("fc", "x", "y", "loss_weight: 1 loss_weight: 1"),
        PrototxtError,
        "'fc': the layer has 2 loss_weight for 1 top",
    ),
    "propagate_down does not match the bottoms": (
        ip("fc", "x", "y", "propagate_down: true propagate_down: true"),
        PrototxtError,
        "'fc': the layer has 2 propagate_down for 1 bottom",
    ),
    "two layers with weights of one name": (
        ip("fc", "x", "y") + ip("fc", "x", "z"),
        LayerConfigError,
        "'fc': has the name of an earlier InnerProduct layer",
    ),
    "a loss above a layer without gradient": (
        ip("fc", "x", "y")
        + """layer { name: "acc" type: "Accuracy" bottom: "y" bottom: "label" top: "a"
             loss_weight: 1 }""",
        (GraphError, LayerConfigError),
        "'acc': cannot pass a gradient on",
    ),
    "an overwritten top that backward needs": (
        ip("fc", "x", "y")
        + """layer { name: "s" type: "Sigmoid" bottom: "y" top: "y" }
             layer { name: "d" type: "Dropout" bottom: "y" top: "y" }"""
        + LOSS,
        GraphError,
        "Dropout layer 'd': overwrites blob 'y' in place, but the backward of Sigmoid layer 's' "
        "still needs its top\n.*fix: give layer 'd' a top",
    ),
}


@pytest.mark.parametrize(("text", "error", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_work_is_refused(text, error, message):
    with pytest.raises(error, match=message):
        blueprint(text)


def test_unknown_types_are_all_named_with_the_nearest_known_one():
    text = """layer { name: "a" type: "Convolutoin" bottom: "x" top: "y" }
              layer { name: "b" type: "Quux" bottom: "y" top: "z" }"""
    with pytest.raises(UnknownLayerTypeError) as error:
        blueprint(text)
    assert "Convolutoin layer 'a': unknown type 'Convolutoin'" in str(error.value)
    assert "did you mean 'Convolution'?" in str(error.value)
    assert "Quux layer 'b': unknown type 'Quux'" in str(error.value)


def test_every_layer_that_refuses_its_parameters_is_named():
    with pytest.raises(MinidlError) as error:
        blueprint(ip("a", "x", "y", num_output=0) + ip("b", "y", "z", num_output=0))
    assert "'a'" in str(error.value)
    assert "'b'" in str(error.value)


def test_the_line_of_the_layer_is_in_the_message(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text('name: "n"\n\nlayer {\n name: "a" type: "Nope" top: "x" }\n')
    with pytest.raises(
        UnknownLayerTypeError, match=r"net\.prototxt:3: Nope layer 'a': unknown type"
    ):
        Blueprint(prototxt.read_net(path), Context())


def test_a_new_input_shape_goes_through_the_whole_net():
    text = """layer { name: "conv" type: "Convolution" bottom: "x" top: "y"
                convolution_param { num_output: 2 kernel_size: 3 } }"""
    plan = blueprint(text)
    plan.reshape({"x": (1, 3, 9, 9)})
    assert plan.blob_shapes["y"] == (1, 2, 7, 7)


def test_a_shape_that_would_change_the_parameters_is_refused():
    plan = blueprint(ip("fc", "x", "y"))
    with pytest.raises(MinidlError, match="'fc'"):
        plan.reshape({"x": (4, 3, 6, 6)})
    assert plan.blob_shapes["y"] == (4, 7)


def test_fillers_are_checked_without_arrays_and_all_at_once():
    conv = """layer { name: "NAME" type: "Convolution" bottom: "x" top: "NAME" convolution_param {
      num_output: 2 kernel_h: 3 kernel_w: 2 weight_filler { type: "TYPE" } } }"""
    text = "".join(
        conv.replace("NAME", name).replace("TYPE", kind)
        for name, kind in [("a", "xavir"), ("b", "bilinear"), ("c", "msra")]
    )
    with pytest.raises(MinidlError) as error:
        blueprint(text)
    assert "'a': unknown filler type 'xavir'" in str(error.value)
    assert "did you mean 'xavier'" in str(error.value)
    assert "'b': filler 'bilinear' cannot fill an array of shape (2, 3, 3, 2)" in str(error.value)
    assert "'c'" not in str(error.value)


def test_a_parameter_too_large_to_store_is_refused():
    with pytest.raises(LayerConfigError, match=r"'fc': 'weight' would have the shape \(200000000"):
        blueprint(ip("fc", "x", "y", num_output=200_000_000))


def test_unknown_types_and_unknown_bottoms_are_reported_together():
    text = """layer { name: "a" type: "Quux" bottom: "x" top: "y" }""" + ip("b", "nope", "z")
    with pytest.raises(GraphError) as error:
        blueprint(text)
    assert "unknown type 'Quux'" in str(error.value)
    assert "'nope' is unknown" in str(error.value)


def test_overwriting_a_bottom_that_is_another_bottoms_memory_is_refused():
    text = """layer { name: "p" type: "Power" bottom: "x" top: "h" }
    layer { name: "f" type: "Flatten" bottom: "h" top: "f" }
    layer { name: "g" type: "Flatten" bottom: "h" top: "g" }
    layer { name: "e" type: "Eltwise" bottom: "f" bottom: "g" top: "f" }"""
    with pytest.raises(GraphError, match="'e': overwrites blob 'f' in place, but .* to read it"):
        blueprint(text)


def test_a_loss_weight_without_a_top_is_refused():
    text = 'layer { name: "s" type: "Silence" bottom: "x" bottom: "label" loss_weight: 1 }'
    with pytest.raises(LayerConfigError, match="Silence layer 's': has 1 loss_weight for 0 tops"):
        blueprint(text)
    blueprint(ip("fc", "x", "y") + LOSS.replace('top: "loss"', "loss_weight: 2"))
