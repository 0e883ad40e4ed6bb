"""Whole nets to ONNX: names, what is left out, whether the batch may vary, refusals."""

import numpy as np
import pytest

from minidl import Net
from minidl.errors import ExportError, UsageError
from minidl.onnx import convert
from minidl.onnx.table import CannotExport, exports
from tests.onnx.support import check, operators, outputs_there, random_inputs

INPUT = """
layer { name: "in" type: "Input" top: "x" top: "label"
        input_param { shape { dim: 2 dim: 3 dim: 4 } shape { dim: 2 } } }
"""
BODY = """
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
        inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "y" top: "y" }
layer { name: "drop" type: "Dropout" bottom: "y" top: "y" }
"""
LOSS = """
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "label" top: "loss" }
layer { name: "accuracy" type: "Accuracy" bottom: "y" bottom: "label" top: "accuracy" }
"""


def net(text, **options):
    return Net(INPUT + text, seed=1, engine="numpy", **options)


def test_blobs_keep_their_names_and_the_last_of_a_blob_written_in_place_has_it():
    graph = convert(net(BODY)).graph
    assert graph.inputs == {"x": ("N", 3, 4)}
    assert graph.outputs == {"y": ("N", 5)}
    assert [op.outputs for op in graph.ops][1:] == [["ip/y"], ["y"]]
    assert set(graph.constants) == {"ip/weight", "ip/bias"}


def test_an_input_that_is_written_in_place_keeps_its_name_and_the_output_gets_another():
    made = net('layer { name: "relu" type: "ReLU" bottom: "x" top: "x" }')
    graph = convert(made).graph
    assert list(graph.inputs) == ["x"]
    assert list(graph.outputs) == ["relu/x"]


def test_losses_and_measures_go_and_what_they_looked_at_is_an_output():
    conversion = convert(net(BODY + LOSS))
    assert list(conversion.graph.outputs) == ["y"]
    assert list(conversion.graph.inputs) == ["x"]
    assert [note.partition(":")[0] for note in conversion.notes] == [
        "SoftmaxWithLoss layer 'loss' is left out",
        "Accuracy layer 'accuracy' is left out",
    ]


def test_what_others_read_beside_a_loss_is_no_output():
    text = BODY + LOSS + 'layer { name: "prob" type: "Softmax" bottom: "y" top: "prob" }'
    assert list(convert(net(text)).graph.outputs) == ["prob"]
    check(Net(INPUT + text.replace(LOSS, "")))


def test_several_outputs_are_in_alphabetical_order_and_may_be_one_value():
    text = """
    layer { name: "b" type: "Power" bottom: "x" top: "b" }
    layer { name: "a" type: "Power" bottom: "x" top: "a" power_param { scale: 2 } }
    layer { name: "c" type: "Dropout" bottom: "x" top: "c" }"""
    made = net(text)
    assert list(convert(made).graph.outputs) == ["a", "b", "c"]
    check(made)


def test_a_split_that_is_written_down_makes_outputs_of_the_names_that_it_gives():
    made = net('layer { name: "s" type: "Split" bottom: "x" top: "a" top: "b" }')
    assert list(convert(made).graph.outputs) == ["a", "b"]
    check(made)


def test_layers_on_which_no_output_depends_are_left_out_and_named():
    text = (
        BODY
        + """
    layer { name: "shift" type: "Power" bottom: "label" top: "shifted" power_param { shift: 1 } }
    layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "shifted" top: "loss" }"""
    )
    conversion = convert(net(text))
    assert list(conversion.graph.inputs) == ["x"]
    assert "Power layer 'shift' is left out: no output depends on it." in conversion.notes


def test_data_layers_become_inputs_and_say_what_is_to_be_transformed(caplog):
    text = """
    layer { name: "digits" type: "Data" top: "x" top: "label" data_param { batch_size: 4 }
            transform_param { scale: 0.5 mean_value: 3 } }"""
    made = Net(text + BODY + LOSS, absent_data=(1, 6, 5), seed=1)
    conversion = convert(made)
    assert conversion.graph.inputs == {"x": ("N", 1, 6, 5)}
    assert conversion.notes[0] == (
        "Data layer 'digits' reads a data set: 'x' became an input, 'label' is not needed, "
        "what is given there has to be transformed already (scale: 0.5 mean_value: 3)."
    )


def test_shared_parameters_are_one_constant():
    ip = """layer {{ name: "{0}" type: "InnerProduct" bottom: "{1}" top: "{0}"
      param {{ name: "w" }} param {{ name: "b" }}
      inner_product_param {{ num_output: 12 weight_filler {{ type: "xavier" }} }} }}"""
    made = net(ip.format("first", "x") + ip.format("second", "first"))
    assert set(convert(made).graph.constants) == {"first/weight", "first/bias"}
    check(made)


def test_names_that_collide_get_numbers():
    text = """
    layer { name: "a" type: "Power" bottom: "x" top: "in/x" power_param { scale: 2 } }
    layer { name: "in" type: "Power" bottom: "in/x" top: "x2" power_param { scale: 3 } }
    layer { name: "b" type: "Power" bottom: "x2" top: "x2" power_param { shift: 1 } }
    layer { name: "number" type: "Power" bottom: "x2" top: "b/number" power_param { shift: 4 } }"""
    check(Net(INPUT + text))


# ---------------------------------------------------------------------- the batch


def test_a_batch_that_layers_depend_on_is_fixed_and_the_layer_is_named():
    text = """layer { name: "r" type: "Reshape" bottom: "x" top: "y"
        reshape_param { shape { dim: 6 dim: -1 } } }"""
    conversion = convert(net(text))
    assert conversion.batch == 0
    assert conversion.graph.inputs == {"x": (2, 3, 4)}
    assert conversion.graph.outputs == {"y": (6, 4)}
    assert conversion.notes == ["The batch is fixed at 2: layer 'r' depends on it."]


def test_a_batch_that_the_net_refuses_to_change_is_fixed_with_the_refusal():
    text = """layer { name: "flat" type: "InnerProduct" bottom: "x" top: "y"
        inner_product_param { num_output: 2 axis: 0 } }"""
    conversion = convert(net(text))
    assert conversion.batch == 0
    (note,) = conversion.notes
    assert "fixed at 2: " in note
    assert "would need parameter weight of shape (2, 36)" in note


def test_sizes_that_follow_the_batch_without_being_it_have_names_of_their_own():
    text = """layer { name: "r" type: "Reshape" bottom: "x" top: "rows"
        reshape_param { shape { dim: -1 dim: 4 } } }"""
    assert convert(net(text)).graph.outputs == {"rows": ("rows_0", 4)}


def test_the_net_is_as_it_was():
    made = net(BODY)
    before = [(n.bottom_shapes, n.top_shapes) for n in made.blueprint.nodes]
    convert(made)
    assert [(n.bottom_shapes, n.top_shapes) for n in made.blueprint.nodes] == before


def test_the_shapes_are_those_that_the_net_has_now():
    made = net(BODY.replace("num_output: 5", "num_output: 5 axis: 2"))
    made.forward(x=np.ones((7, 2, 4)))
    assert convert(made).graph.inputs == {"x": ("N", 2, 4)}


# ---------------------------------------------------------------------- engines and types


def test_weights_in_an_engines_layout_are_written_in_caffes():
    text = """
    layer { name: "in" type: "Input" top: "x"
            input_param { shape { dim: 2 dim: 16 dim: 8 dim: 8 } } }
    layer { name: "conv" type: "Convolution" bottom: "x" top: "y" convolution_param {
            num_output: 32 kernel_size: 3 weight_filler { type: "xavier" } } }"""
    made = Net(text, seed=1, share=True)
    inputs = random_inputs(made)
    ours = made.forward(**inputs)["y"].copy()
    np.testing.assert_allclose(outputs_there(made, inputs)["y"], ours, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------------- refusals


def test_a_net_for_training_is_refused():
    with pytest.raises(UsageError, match="phase TRAIN"):
        convert(net(BODY, phase="TRAIN"))


def test_a_net_of_losses_alone_is_refused():
    text = 'layer { name: "l" type: "EuclideanLoss" bottom: "x" bottom: "x" top: "l" }'
    with pytest.raises(ExportError, match="nothing would be left"):
        convert(net(text))


def test_all_layers_that_cannot_go_are_named_at_once():
    random = """layer {{ name: "{0}" type: "Dropout" bottom: "{1}" top: "{0}" phase: TRAIN }}"""
    text = (
        random.format("d1", "x")
        + random.format("d2", "x")
        + """
    layer { name: "sum" type: "Eltwise" bottom: "d1" bottom: "d2" top: "sum" }"""
    )
    with pytest.raises(ExportError) as refused:
        convert(net(text))
    first, second = str(refused.value).splitlines()
    assert first == "<text>:4: Dropout layer 'd1': it draws random numbers in phase TRAIN"
    assert "Dropout layer 'd2'" in second


def test_a_layer_that_reads_a_loss_is_refused():
    text = (
        BODY
        + LOSS
        + """
    layer { name: "half" type: "Power" bottom: "loss" top: "half" power_param { scale: 0.5 } }"""
    )
    with pytest.raises(ExportError, match="Power layer 'half': it reads 'loss', which is left out"):
        convert(net(text))


def test_a_dead_layer_that_cannot_go_does_no_harm():
    text = (
        BODY
        + """
    layer { name: "d" type: "Dropout" bottom: "x" top: "d" phase: TRAIN }
    layer { name: "hush" type: "Silence" bottom: "d" }"""
    )
    assert operators(net(text)) == ["Flatten", "Gemm", "Relu"]


def test_a_type_without_translation_is_refused_by_name(monkeypatch):
    from minidl.onnx import table

    monkeypatch.setitem(table.REFUSED, "ReLU", "it is only a test")
    monkeypatch.delitem(table.EXPORTERS, "InnerProduct")
    with pytest.raises(ExportError) as refused:
        convert(net(BODY))
    first, second = str(refused.value).splitlines()
    assert "InnerProduct layer 'ip': minidl has no translation of this type to ONNX" in first
    assert "ReLU layer 'relu': it is only a test" in second


def test_a_type_has_one_exporter():
    with pytest.raises(ValueError, match="'ReLU' has an exporter already"):
        exports("ReLU", "twice")(lambda step: [])
    assert issubclass(CannotExport, Exception)
