"""The pages that `minidl explain` prints: one for all that can be asked, and what they say."""

import re

import pytest

import minidl
from minidl import errors, schema
from minidl.cli import COMMANDS, manual
from minidl.errors import UsageError
from minidl.layers.base import REGISTRY
from minidl.layers.fillers import FILLERS
from minidl.solver.rules import RULES
from minidl.solver.schedules import POLICIES


def page(name, kind):
    return next(page for page in manual.find(name) if page.kind == kind)


@pytest.mark.parametrize("type", sorted(REGISTRY))
def test_a_layer_type_has_its_docstring_and_where_to_read_on(type):
    found = page(type, "layer type")
    assert found.text.split("\n")[0] in REGISTRY[type].__doc__
    assert "Source: " in found.text
    assert found.facts["written in"].startswith("minidl/layers/")
    assert found.facts["in ONNX"] and "of this type" not in found.facts["in ONNX"]


def test_where_a_layer_is_from():
    assert page("Convolution", "layer type").facts["from"] == "BVLC's Caffe"
    assert page("TopK", "layer type").facts["from"] == "BVLC/caffe, pull request 1137"


def test_engines_are_said_with_their_devices():
    said = page("Convolution", "layer type").facts["engines"]
    assert said == "onednn on the CPU, cudnn on a GPU, cupy on a GPU, array code everywhere"
    assert page("Permute", "layer type").facts["engines"] == "array code everywhere"


def test_the_equation_ends_where_the_blobs_begin():
    text = manual.equation(REGISTRY["ReLU"])
    assert "dx = dy where x > 0" in text and "bottom[0]" not in text


# ------------------------------------------------------------------ messages, fields, values


def test_a_message_has_its_fields_with_types_defaults_and_comments():
    found = page("pooling_param", "message")
    assert found.title == "PoolingParameter, field 121 of a layer"
    assert found.facts == {"read by": "Pooling"}
    rows = {row.name: row for row in found.fields}
    assert rows["pool"][1:3] == ("MAX | AVE | STOCHASTIC", "MAX")
    assert rows["stride"] == ("stride", "uint32", "1", "Step of the window.")
    assert rows["global_pooling"].default == "false"
    assert "minidl_origin" not in {row.name for row in page("LayerParameter", "message").fields}


def test_a_message_goes_by_its_own_name_too():
    assert manual.find("PoolingParameter") == manual.find("pooling_param")
    assert page("SolverParameter", "message").fields[0].name == "net"
    assert page("dropout_param", "message").facts["read by"] == "Dropout"


def test_a_field_that_takes_no_effect_says_so():
    (row,) = page("data_param.cache", "field").fields
    assert "no effect here" in row.comment


@pytest.mark.parametrize("name", sorted(schema.messages()))
def test_every_message_and_all_its_fields_have_a_page(name):
    for row in page(name, "message").fields:
        assert row.type
        found = page(f"{name}.{row.name}", "field")
        assert [r.comment for r in found.fields] == [row.comment]


def test_a_field_by_itself_is_found_in_every_message_that_has_it():
    found = page("kernel_size", "field")
    names = [row.name for row in found.fields]
    assert names[:2] == ["convolution_param.kernel_size", "pooling_param.kernel_size"]
    assert found.fields[0].type == "repeated uint32"
    assert found.facts["read by"].startswith("Convolution, ConvolutionDepthwise, Deconvolution")
    (row,) = page("pooling_param.kernel_size", "field").fields
    assert row.comment == "Side of a square window."
    (row,) = page("lr_policy", "field").fields
    assert "poly       base_lr * (1 - it / max_iter)^power" in row.comment


def test_values_and_kinds_of_values():
    rows = {row.name: row.comment for row in page("AVE", "value").fields}
    assert rows["PoolingParameter.PoolMethod.AVE"] == "the mean, padding counted"
    assert [row.name for row in page("SnapshotFormat", "kind").fields] == ["HDF5", "BINARYPROTO"]


# ------------------------------------------------------------------ the solver, fillers, errors


@pytest.mark.parametrize("name", RULES)
def test_a_solver_type_has_its_equation_and_fields(name):
    found = page(name, "solver type")
    assert re.search(r"\bw = w - ", found.text)
    assert {row.name for row in found.fields} >= {"base_lr", "weight_decay", *RULES[name].reads}
    assert [p.kind for p in manual.find(name)] == ["solver type"]  # not the value of an old enum


def test_what_makes_a_solver_type_different_is_said():
    assert "shrinks the weights themselves" in page("AdamW", "solver type").text
    assert "shrinks" not in page("Adam", "solver type").text
    assert "sqrt(1 - momentum2**t)" in page("Adam", "solver type").facts["rate"]


@pytest.mark.parametrize("name", POLICIES)
def test_a_rate_policy_has_its_equation_and_fields(name):
    found = page(name, "rate policy")
    assert found.text.startswith("rate = ") and "base_lr" in found.text
    assert {row.name for row in found.fields} >= {"base_lr", *POLICIES[name].needs}


@pytest.mark.parametrize("name", FILLERS)
def test_a_filler_has_its_docstring_and_the_fields_it_reads(name):
    assert page(name, "filler").text
    read = {row.name for row in page(name, "filler").fields}
    assert read == {
        "constant": {"value"},
        "uniform": {"min", "max"},
        "gaussian": {"mean", "std", "sparse"},
        "xavier": {"variance_norm"},
        "msra": {"variance_norm"},
    }.get(name, set())


def test_every_error_has_a_page():
    raised = [n for n in dir(errors) if n.endswith("Error")]
    for name in raised:
        assert page(name, "error").text
    facts = page("LayerConfigError", "error").facts
    assert facts["caught by"].startswith("except LayerConfigError, except MinidlError")
    assert page("GraphError", "error").facts["kinds"] == "UnknownLayerTypeError"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_explained_by_its_help(name):
    assert f"usage: minidl {name}" in page(name, "command").text


# ------------------------------------------------------------------ names that nobody has


@pytest.mark.parametrize(
    "asked, near",
    [
        ("Convolutoin", "'Convolution'"),
        ("pooling_parm", "'pooling_param'"),
        ("kernal_size", "'kernel_size'"),
        ("pooling_param.kernal_size", "'pooling_param.kernel_size'"),
        ("LayerConfgError", "'LayerConfigError'"),
        ("zzzzzz", "minidl explain lists"),
    ],
)
def test_a_misspelt_name_gets_the_nearest(asked, near):
    with pytest.raises(UsageError, match=re.escape(asked.rpartition(".")[2])) as caught:
        manual.find(asked)
    assert near in caught.value.fix


def test_other_case_is_understood():
    assert manual.find("sgd") == manual.find("SGD")
    assert {p.name for p in manual.find("lstm")} == {"LSTM", "Lstm"}


def test_the_listing_has_every_layer_and_what_it_lists_has_a_page():
    groups = manual.listing()
    listed = [name for names in groups.values() for name in names]
    assert {t for t in minidl.layer_type_list() if t in REGISTRY} <= set(listed)
    for name in listed:
        assert manual.find(name)
