"""Reading text: what it means (protobuf's own parser is the oracle), and how errors read."""

import logging
import math

import pytest
from google.protobuf import text_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minidl import schema
from minidl.errors import PrototxtError, Several
from minidl.prototxt import advice, clear_origins, read_message, read_net, read_solver
from minidl.prototxt.read import MAX_BYTES

# Each is read by protobuf too, and must give the same message.
SPELLINGS = {
    "nothing": "",
    "comments": "# a net\nname: 'x' # the end\n#",
    "colon before a block": "layer: { name: 'a' } layer { name: 'b' }",
    "angle brackets": "layer < name: 'a' pooling_param: < kernel_size: 3 > >",
    "separators": "name: 'x', force_backward: true; layer { name: 'a', top: 'a'; },",
    "list of scalars": "input_dim: [1, 3,\n 224 , 224] input: ['a','b']",
    "empty list": "input_dim: [] layer { name: 'a' }",
    "list of blocks": "layer: [{ name: 'a' }, < name: 'b' >] layer { param [{ lr_mult: 2 }, {}] }",
    "adjacent strings": "name: 'ab' \"cd\"\n'ef'",
    "escapes": r"name: '\n\t\r\a\b\f\v\\\'\"|\101\60\x41\x4a|\303\251'",
    "the other quote inside": 'name: "it\'s" input: \'say "a"\'',
    "unicode": "name: 'caf\u00e9 \u4e2d'",
    "true": "force_backward: true",
    "True": "force_backward: True",
    "t": "force_backward: t",
    "1": "force_backward: 1",
    "false": "force_backward: false",
    "False": "force_backward: False",
    "f": "force_backward: f",
    "0": "force_backward: 0",
    "integers": "input_dim: 0 input_dim: -2147483648 input_dim: 0x1F input_dim: 017 input_dim: -5",
    "floats": "layer { loss_weight: [1, -1, .5, 5., 1e3, 1E-3, 2.5e+2, 1.5f, 1f, 0.1] }",
    "float names": "layer { loss_weight: [inf, -inf, Infinity, -INF] }",
    "a float too large": "layer { loss_weight: 1e400 loss_weight: -1e39 }",
    "enum by name": "layer { pooling_param { pool: AVE } phase: TEST }",
    "enum by number": "layer { pooling_param { pool: 2 } phase: 1 }",
    "empty block": "layer { relu_param {} }",
    "no spaces": "layer{name:'a'top:'b'pooling_param{pool:AVE kernel_size:3}}",
    "V0": "layers { layer { name: 'c' type: 'conv' kernelsize: 5 blobs_lr: 1. } bottom: 'd' }",
    "V1": "layers { type: CONVOLUTION blob_share_mode: [STRICT, PERMISSIVE] param: 'w' }",
}


def oracle(text, cls=schema.NetParameter):
    return text_format.Parse(text, cls())


def plain(text, cls=schema.NetParameter):
    message = read_message(text, cls)
    clear_origins(message)
    return message


def refusal(text, cls=schema.NetParameter):
    """The errors of a text, one string each."""
    with pytest.raises(PrototxtError) as caught:
        read_message(text, cls, "net.prototxt")
    error = caught.value
    return [str(e) for e in (error.errors if isinstance(error, Several) else [error])]


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_every_spelling_means_what_protobuf_says(text):
    assert plain(text) == oracle(text)


def test_what_caffes_parser_reads_and_protobufs_python_one_does_not():
    assert plain("input_dim: - 5").input_dim == [-5]
    assert plain("layer { loss_weight: 25e-1F }").layer[0].loss_weight == [2.5]
    assert plain(r"name: '\u00e9\U0001F600\?'").name == "\u00e9\U0001f600?"


def test_nan_is_a_number():
    weights = plain("layer { loss_weight: nan loss_weight: -NaN }").layer[0].loss_weight
    assert all(math.isnan(weight) for weight in weights)


def test_bytes_may_be_any_bytes():
    text = r"data: 'a\000\377' 'b' label: -3"
    assert plain(text, schema.Datum) == oracle(text, schema.Datum)
    assert plain(text, schema.Datum).data == b"a\x00\xffb"


def test_64_bit_integers_are_whole():
    text = "shape { dim: 9223372036854775807 dim: -9223372036854775808 }"
    assert plain(text, schema.BlobProto) == oracle(text, schema.BlobProto)


# ------------------------------------------------------------------------------------ errors

LAYER = "layer {\n  name: 'conv1'\n  type: 'Convolution'\n  %s\n}\n"

# what stands in line 4 of a layer -> the whole error
REFUSED = {
    "convolution_param { kernal_size: 5 }": (
        "net.prototxt:4:23: Convolution layer 'conv1': convolution_param has no field 'kernal_size'"
        "\n  fix: did you mean 'kernel_size'?"
    ),
    "convolution_param { kernel_size: -5 }": (
        "net.prototxt:4:36: Convolution layer 'conv1': convolution_param.kernel_size is -5"
        "\n  expected: an integer from 0 to 4294967295"
    ),
    "convolution_param { kernel_size: 4294967296 }": (
        "net.prototxt:4:36: Convolution layer 'conv1': convolution_param.kernel_size is 4294967296"
        "\n  expected: an integer from 0 to 4294967295"
    ),
    "convolution_param { kernel_size: 5.0 }": (
        "net.prototxt:4:36: Convolution layer 'conv1': convolution_param.kernel_size is 5.0"
        "\n  expected: an integer from 0 to 4294967295"
    ),
    "convolution_param { kernel_size: '5' }": (
        "net.prototxt:4:36: Convolution layer 'conv1': convolution_param.kernel_size is the string"
        " '5'\n  expected: an integer from 0 to 4294967295\n  fix: write 5, without quotes"
    ),
    "pooling_param { pool: MEAN }": (
        "net.prototxt:4:25: Convolution layer 'conv1': pooling_param.pool is MEAN"
        "\n  expected: MAX, AVE or STOCHASTIC"
    ),
    "pooling_param { pool: Ave }": (
        "net.prototxt:4:25: Convolution layer 'conv1': pooling_param.pool is Ave"
        "\n  expected: MAX, AVE or STOCHASTIC\n  fix: did you mean 'AVE'?"
    ),
    "pooling_param { pool: 'MAX' }": (
        "net.prototxt:4:25: Convolution layer 'conv1': pooling_param.pool is the string 'MAX'"
        "\n  expected: MAX, AVE or STOCHASTIC\n  fix: write MAX, without quotes"
    ),
    "pooling_param { pool: 3 }": (
        "net.prototxt:4:25: Convolution layer 'conv1': pooling_param.pool is 3"
        "\n  expected: MAX, AVE or STOCHASTIC"
    ),
    "pooling_param { global_pooling: yes }": (
        "net.prototxt:4:35: Convolution layer 'conv1': pooling_param.global_pooling is 'yes'"
        "\n  expected: true or false"
    ),
    "loss_weight: one": (
        "net.prototxt:4:16: Convolution layer 'conv1': loss_weight is 'one'\n  expected: a number"
    ),
    "loss_weight: 075": (
        "net.prototxt:4:16: Convolution layer 'conv1': loss_weight is 075\n  expected: a number"
    ),
    "bottom: data": (
        "net.prototxt:4:11: Convolution layer 'conv1': bottom is data"
        '\n  expected: a string in quotes\n  fix: write "data"'
    ),
    "bottom: 'data": (
        "net.prototxt:4:11: Convolution layer 'conv1': bottom is a string without its closing quote"
        "\n  expected: a string in quotes\n  fix: close it on the same line"
    ),
    r"bottom: 'a\qb'": (
        r"net.prototxt:4:11: Convolution layer 'conv1': bottom is 'a\qb', in which '\q' is not an"
        " escape\n  expected: a string in quotes\n  fix: write a backslash as \\\\"
    ),
    r"bottom: '\xff'": (
        r"net.prototxt:4:11: Convolution layer 'conv1': bottom is '\xff', which is not UTF-8"
        "\n  expected: a string in quotes\n  fix: save the file as UTF-8"
    ),
    "bottom 'data'": (
        "net.prototxt:4:10: Convolution layer 'conv1': bottom has no ':' after it"
        "\n  fix: write bottom: ..."
    ),
    "bottom: top: 'a'": (
        "net.prototxt:4:11: Convolution layer 'conv1': bottom has no value"
        "\n  expected: a string in quotes"
    ),
    "phase: [TRAIN]": (
        "net.prototxt:4:10: Convolution layer 'conv1': phase is a list"
        "\n  expected: TRAIN or TEST\n  fix: give one value"
    ),
    "loss_weight: [1 2]": (
        "net.prototxt:4:19: Convolution layer 'conv1': found 2 in the list opened in line 4"
        "\n  expected: ',' or ']'"
    ),
    "relu_param: 5": (
        "net.prototxt:4:15: Convolution layer 'conv1': relu_param is followed by 5"
        "\n  expected: a block: '{ ... }'"
    ),
    "bottom { name: 'x' }": (
        "net.prototxt:4:10: Convolution layer 'conv1': bottom is a block"
        "\n  expected: a string in quotes"
    ),
    "phase: TEST\n  phase: TEST": (
        "net.prototxt:5:3: Convolution layer 'conv1': phase is given twice, first in line 4"
        "\n  fix: keep one of them"
    ),
    "lrn_param {} lrn_param {}": (
        "net.prototxt:4:16: Convolution layer 'conv1': lrn_param is given twice, first in line 4"
        "\n  fix: keep one of them"
    ),
    "clip_param { min: 0 }": (
        "net.prototxt:4:3: Convolution layer 'conv1': clip_param.max is missing"
    ),
    "kernel_size: 5": (
        "net.prototxt:4:3: Convolution layer 'conv1': the layer has no field 'kernel_size'"
        "\n  fix: it is a field of convolution_param, pooling_param, local_param: move"
        " it in there"
    ),
    "hdf5_data_param { transform_param { scale: 2 } }": (
        "net.prototxt:4:21: Convolution layer 'conv1': hdf5_data_param has no field "
        "'transform_param'\n  fix: it is a field of the layer: move it out of hdf5_data_param"
    ),
    "blobs_lr: 1": (
        "net.prototxt:4:3: Convolution layer 'conv1': the layer has no field 'blobs_lr'\n"
        "  fix: in 'layer' it is lr_mult: param { lr_mult: ... }, one param for each blob"
    ),
    "polling_param { }": (
        "net.prototxt:4:3: Convolution layer 'conv1': the layer has no field 'polling_param'"
        "\n  fix: did you mean 'pooling_param'?"
    ),
    "roi_param { w: [1, {}] h <> }": (
        "net.prototxt:4:3: Convolution layer 'conv1': the layer has no field 'roi_param'"
        "\n  fix: is it from another Caffe? minidl has BVLC's layers and those of docs/forks.md"
    ),
    "parametric_param { order: 1 }": (
        "net.prototxt:4:3: Convolution layer 'conv1': the layer has no field 'parametric_param'"
        "\n  fix: did you mean 'parameter_param'?"
    ),
    "crf_param { group: 3 }": (
        "net.prototxt:4:3: Convolution layer 'conv1': the layer has no field 'crf_param'"
        "\n  fix: is it from another Caffe? minidl has BVLC's layers and those of docs/forks.md"
    ),
    "minidl_origin { line: 3 }": (
        "net.prototxt:4:3: Convolution layer 'conv1': the layer has no field 'minidl_origin'"
    ),
    "\xa0bottom: 'a'": (
        "net.prototxt:4:3: Convolution layer 'conv1': found the character U+00A0 (no-break space)"
        "\n  expected: a field's name"
    ),
    "top: 'a';;": (
        "net.prototxt:4:12: Convolution layer 'conv1': found ';'\n  expected: a field's name"
    ),
    "[ext.name]: 5 top: 'a'": (
        "net.prototxt:4:3: Convolution layer 'conv1': found '['\n  expected: a field's name"
    ),
}


@pytest.mark.parametrize("inside", REFUSED)
def test_an_error_says_where_what_and_how_to_put_it_right(inside):
    errors = refusal(LAYER % inside)
    assert errors[0] == REFUSED[inside]
    # the layer after it is read as if nothing had been
    last = 6 + inside.count("\n")
    after = refusal(LAYER % inside + "layer { name: 5 }")
    assert after[:-1] == errors and after[-1].startswith(f"net.prototxt:{last}:15: ")


def test_all_errors_are_reported_at_once_in_the_order_of_the_text():
    errors = refusal(
        "nam: 'x'\nlayer { nme: 'a' }\nlayer { type: Pooling pooling_param { pool: MX stide: 2 } }"
    )
    assert [error.split(": ")[0].removeprefix("net.prototxt:") for error in errors] == [
        "1:1",
        "2:9",
        "3:15",
        "3:45",
        "3:48",
    ]


def test_an_unknown_field_without_a_value_does_not_swallow_the_next():
    (error,) = refusal("layer {\n foo:\n top: 'a'\n}")
    assert "has no field 'foo'" in error
    (error,) = refusal("layer {\n foo: - 5 top: 'a' bar }")[:-1]
    assert "has no field 'foo'" in error


def test_twenty_of_many_errors_are_shown_and_the_rest_counted():
    with pytest.raises(PrototxtError) as caught:
        read_message("layer { kernel: 5 }\n" * 300, schema.NetParameter)
    assert str(caught.value).count("has no field") == 20
    assert str(caught.value).endswith("... and 280 more errors")


def test_the_layers_name_may_stand_below_the_error():
    (error,) = refusal("layers {\n pol: 1\n type: POOLING\n name: 'p1'\n}")
    assert error.startswith("net.prototxt:2:2: POOLING layer 'p1': ")
    (error,) = refusal("layers {\n layer {\n pol: 1\n type: 'pool'\n name: 'p1'\n}\n}")
    assert error.startswith("net.prototxt:3:2: pool layer 'p1': ")


BRACES = {
    "a block never closed": (
        "layer {\n name: 'a'\n",
        ["net.prototxt:1:1: layer 'a': the layer opened here is never closed"],
    ),
    "an inner block never closed": (
        "layer {\n name: 'a'\n lrn_param {\n k: 2\n}\n",
        ["net.prototxt:1:1: layer 'a': the layer opened here is never closed"],
    ),
    "a missing brace before the next layer": (
        "layer {\n name: 'a'\n lrn_param {\n k: 2\n}\nlayer { name: 'b' }\nlayer { name: 'c' }",
        ["net.prototxt:6:1: layer 'a': 'layer' is inside the layer opened in line 1"],
    ),
    "two missing braces": (
        "layer { name: 'a' \nlayer { name: 'b' \nlayer { name: 'c' }",
        ["net.prototxt:2:1: layer 'a': 'layer' is inside the layer opened in line 1"],
    ),
    "a missing brace two deep": (
        "layer { name: 'a' lrn_param { k: 1\nlayer { name: 'b' }",
        ["net.prototxt:2:1: layer 'a': 'layer' is inside lrn_param opened in line 1"],
    ),
    "a missing brace before a field of the net": (
        "layer {\n name: 'a'\n lrn_param {\n k: 2\n}\nforce_backward: true\nlayer { name: 'b' }",
        ["net.prototxt:6:1: layer 'a': 'force_backward' is inside the layer opened in line 1"],
    ),
    "a field of the net inside a layer, where braces fit": (
        "layer {\n name: 'a'\n force_backward: true\n}\nlayer { name: 'b' }",
        ["net.prototxt:3:2: layer 'a': the layer has no field 'force_backward'"],
    ),
    "a brace too many": (
        "layer { name: 'a' } }\nlayer { name: 'b' }\n}\n",
        ["net.prototxt:1:21: '}' closes nothing"],
    ),
    "a brace of the wrong kind": (
        "layer { name: 'a' > }\nlayer { name: 'b' }",
        ["net.prototxt:1:19: layer 'a': found '>'"],
    ),
    "an unknown block never closed": (
        "layer {\n name: 'a'\n foo {\n k: 2\n}\n",
        ["net.prototxt:1:1: layer 'a': the layer opened here is never closed"],
    ),
    "a brace without a name": (
        "layer { { name: 'a' } }",
        ["net.prototxt:1:9: '{' has no name before it"],
    ),
    "doubled braces": (
        "layer {{\n name: 'a'\n pooling_param {{ k: 2 }}\n}}\n" * 50,
        ["net.prototxt:1:8: this is a template, not yet a prototxt: it has doubled braces"],
    ),
    "a template": (
        "input_dim: {height}\ninput_dim: {width}\nlayer {{ }}",
        [
            "net.prototxt:1:12: this is a template, not yet a prototxt: it has placeholders like"
            " '{height}'\n  fix: fill it in first, with Python's str.format with height, width"
        ],
    ),
}


@pytest.mark.parametrize("text, expected", BRACES.values(), ids=BRACES.keys())
def test_a_fault_with_braces_is_one_error(text, expected):
    errors = [error for error in refusal(text) if "has no field 'foo'" not in error]
    assert len(errors) == len(expected)
    for error, start in zip(errors, expected, strict=True):
        assert error.startswith(start)


def test_a_solver_read_as_a_net_is_one_error():
    text = "net: 'a.prototxt'\nbase_lr: 0.1\nmomentum: 0.9\nlr_policy: 'fixed'\n"
    assert refusal(text) == [
        "net.prototxt:1:1: this is a solver, with the fields net, base_lr, momentum, ..."
        "\n  expected: a net"
    ]
    assert refusal("name: 'n' layer { top: 'a' }", schema.SolverParameter) == [
        "net.prototxt:1:1: this is a net, with the fields name, layer\n  expected: a solver"
    ]


# ------------------------------------------------------------------------------------ origins


def test_every_layer_and_field_knows_its_line():
    net = read_message(
        "name: 'n'\n\nlayer {\n  name: 'a'\n  bottom: 'x'\n  bottom: 'y'\n"
        "  pooling_param {\n    kernel_size: 3\n    stride: 2 }\n"
        "  param { lr_mult: 1 }\n  param {\n    lr_mult: 2 }\n  loss_weight: [1,\n 2] }\n"
        "  layer { name: 'b' }",
        schema.NetParameter,
        "net.prototxt",
    )
    first, second = (layer.minidl_origin for layer in net.layer)
    assert (first.file, first.line, first.column) == ("net.prototxt", 3, 1)
    assert (second.line, second.column) == (15, 3)
    assert dict(first.lines) == {
        "name": 4,
        "bottom": 5,
        "bottom[1]": 6,
        "pooling_param": 7,
        "pooling_param.kernel_size": 8,
        "pooling_param.stride": 9,
        "param": 10,
        "param.lr_mult": 10,
        "param[1]": 11,
        "param[1].lr_mult": 12,
        "loss_weight": 13,
    }
    assert net.minidl_origin.file == "net.prototxt" and dict(net.minidl_origin.lines) == {"name": 1}


def test_origins_are_those_of_each_form():
    text = "net_param {\n layers {\n layer {\n pad: 1\n }\n bottom: 'a'\n }\n}\nbase_lr: 1"
    solver = read_message(text, schema.SolverParameter)
    outer = solver.net_param.layers[0]
    assert dict(solver.minidl_origin.lines) == {"base_lr": 9}
    assert dict(outer.minidl_origin.lines) == {"bottom": 6}
    assert dict(outer.layer.minidl_origin.lines) == {"pad": 4}
    assert outer.layer.minidl_origin.line == 3


# ------------------------------------------------------------------------------------ sources


def test_a_net_is_read_from_a_path_or_from_text(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text("name: 'from a file'\nlayer { name: 'a' }")
    for source in (path, str(path)):
        net = read_net(source)
        assert net.name == "from a file" and net.layer[0].minidl_origin.file == str(path)
    assert read_net("name: 'text'").layer == []
    assert read_net("layer { }").layer[0].minidl_origin.file == "<text>"


def test_a_missing_file_is_an_error_that_names_those_like_it(tmp_path):
    (tmp_path / "lenet_solver.prototxt").touch()
    with pytest.raises(PrototxtError, match=r"no such file(.|\n)*mean 'lenet_solver.prototxt'\?"):
        read_solver(tmp_path / "lenet_slver.prototxt")
    with pytest.raises(
        PrototxtError, match=r"no such file(.|\n)*prototxts in that folder: lenet_solver.prototxt"
    ):
        read_net(str(tmp_path / "x"))
    with pytest.raises(PrototxtError, match=r"there is no folder '.*/nets'"):
        read_net(str(tmp_path / "nets" / "x.prototxt"))
    with pytest.raises(PrototxtError, match="no such file"):
        read_net("lenet_that_is_not_here")
    with pytest.raises(PrototxtError, match="there is no folder"):
        read_net("C:/nets/lenet.prototxt")


@pytest.mark.parametrize("types", [{"Convolution"}, set()], ids=["known", "not imported"])
def test_an_unknown_type_is_named_before_the_fields_that_only_it_has(monkeypatch, types):
    monkeypatch.setattr(advice, "LAYER_TYPES", types)
    text = """
    layer { name: "a" top: "x"
      fancy_param { size: 3 }
      type: "Fancy" }
    layer { name: "b" type: "Convolution" top: "y" polling_param { } }
    layer { name: "c" type: "Convolutoin" top: "z" polling_param { } }
    layer { name: "d" type: "Other" top: "w" }"""
    found = [error.splitlines()[0] for error in refusal(text)]
    fields = [
        "net.prototxt:3:7: Fancy layer 'a': the layer has no field 'fancy_param'",
        "net.prototxt:5:52: Convolution layer 'b': the layer has no field 'polling_param'",
        "net.prototxt:6:52: Convolutoin layer 'c': the layer has no field 'polling_param'",
    ]
    if not types:
        assert found == fields
        return
    assert found == [
        "net.prototxt:2:5: Fancy layer 'a': unknown type 'Fancy'",
        *fields[:2],
        "net.prototxt:6:5: Convolutoin layer 'c': unknown type 'Convolutoin'",
        fields[2],
    ]
    assert "did you mean 'Convolution'?" in refusal(text)[3]


LEFT_BY_OTHERS = {
    "a page": ("\n\n<!DOCTYPE html>\n<html><body>name: 'x'", "a web page(.|\n)*the 'Raw' button"),
    "a page as XML": ('<?xml version="1.0"?><html xmlns="x">', "a web page"),
    "a page with a comment": ("\ufeff<!-- saved -->\n<HTML lang=en>", "a web page"),
    "an answer": ("404: Not Found", "there is no such file: 404"),
    "a pointer": (
        "version https://git-lfs.github.com/spec/v1\noid sha256:0",
        "a Git LFS(.|\n)*git lfs pull",
    ),
    "XML": ('<?xml version="1.0"?><net/>', "an XML file"),
}


@pytest.mark.parametrize("text, message", LEFT_BY_OTHERS.values(), ids=LEFT_BY_OTHERS.keys())
@pytest.mark.parametrize("read", [read_net, read_solver])
def test_what_lies_in_place_of_a_prototxt_is_called_what_it_is(tmp_path, read, text, message):
    path = tmp_path / "deploy.prototxt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PrototxtError, match=rf"deploy\.prototxt: this is .*{message}") as caught:
        read(path)
    assert len(str(caught.value).splitlines()) <= 3


def test_what_is_no_text_file_is_refused(tmp_path):
    def refused(data):
        path = tmp_path / "x"
        path.write_bytes(data)
        with pytest.raises(PrototxtError) as caught:
            read_net(path)
        return str(caught.value)

    weights = schema.NetParameter(name="net")
    weights.layer.add(name="conv1").blobs.add(data=[1.0, 2.0])
    assert "binary file (caffemodel), not a prototxt" in refused(weights.SerializeToString())
    assert "a binary file, not a prototxt" in refused(b"\xff\x00\x01")
    assert "an HDF5 file" in refused(b"\x89HDF\r\n\x1a\n\x00\x00")
    assert "UTF-16" in refused("name: 'x'".encode("utf-16"))
    assert f"more than {MAX_BYTES} bytes" in refused(b"#" * (MAX_BYTES + 1))
    with pytest.raises(PrototxtError, match="cannot be read"):
        read_net(tmp_path)
    with pytest.raises(PrototxtError, match="at most"):
        read_net("#" * MAX_BYTES + "\n")


def test_comments_may_be_in_any_encoding_and_a_byte_order_mark_is_skipped(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"\xef\xbb\xbf# \xce\xd2\xb5\xc4\nname: 'x'\r\n# \xff\r\n")
    assert read_net(path).name == "x"
    path.write_bytes(b"name: '\xff'")
    with pytest.raises(PrototxtError, match="not UTF-8"):
        read_net(path)


def test_upgrades_are_told(tmp_path, caplog):
    path = tmp_path / "old.prototxt"
    path.write_text("layers { type: RELU name: 'r' }")
    notes = []
    assert read_net(path, notes).layer[0].type == "ReLU"
    assert notes == [f"{path}: upgraded 1 layers from the form of 2014 (layers {{ type: RELU }})"]
    with caplog.at_level(logging.INFO, logger="minidl.prototxt"):
        read_net(path)
    assert caplog.messages == notes
    assert read_solver("solver_type: ADAM\nbase_lr: 1", notes).type == "Adam"
    assert notes[-1] == '<text>: turned solver_type: ADAM into type: "Adam"'


# ------------------------------------------------------------------------------------ fuzzing

PIECES = [
    *"{}<>[]:,;-#'\"\\.\n \t\xa0\x00\ud800",
    *"{{ }} layer layers name type param pooling_param kernel_size input_dim".split(),
    *"{a} 1 -1 0x1F 017 1e5 1e-3f nan inf true MAX TRAIN 'a' \"b\" state net_param".split(),
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=40))
def test_no_text_gives_anything_but_a_message_or_a_prototxt_error(pieces):
    for cls in (schema.NetParameter, schema.SolverParameter):
        for text in ("".join(pieces), " ".join(pieces)):
            try:
                message = read_message(text, cls)
            except PrototxtError as error:
                assert str(error).startswith("<text>:")
            else:
                assert message.IsInitialized()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=200))
def test_no_file_gives_anything_but_a_net_or_a_prototxt_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("fuzz") / "x.prototxt"
    path.write_bytes(data)
    try:
        read_net(path)
    except PrototxtError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "layer{a{" * 30000,
        "'" * 200000,
        "{" * 200000,
        "name: '" + "\\n" * 100000,
        "input_dim: " + "9" * 200000,
        "layer { " + "a" * 200000 + ": 1 }",
        "layers { type: " + "A" * 200000 + " }",
        "layer { foo" + "o: 1 } layer { foo".join(map(str, range(20000))) + ": 1 }",
        "state { " * 100000,
        "param [ " * 100000,
        "input_dim: {} " * 40000,
        "layer { force_backward: 1 } " * 20000,
        "x" * 300000 + "\nlayer { force_backward: 1 } " * 5000,
    ],
    ids=lambda text: text[:12],
)
def test_hostile_texts_are_refused_in_time_in_proportion(text):
    with pytest.raises(PrototxtError) as caught:
        read_message(text, schema.NetParameter)
    assert len(str(caught.value)) < 10000


def test_a_type_of_today_in_layers_of_2014_is_read_and_said():
    notes = []
    net = read_net('layers { name: "p" bottom: "x" top: "p"\n  type: "Softmax" }', notes)
    assert net.layer[0].type == "Softmax"
    assert notes[0] == '<text>: read type: "Softmax" in line 2 as SOFTMAX, its name in `layers`'
    with pytest.raises(PrototxtError, match='type is the string "Scale"'):
        read_net('layers { name: "p" type: "Scale" }')  # which 2014 did not have
