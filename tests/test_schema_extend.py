"""Messages that a package of somebody else's adds to LayerParameter.

What is added stays for as long as the process lives, so each test has a name of its own.
"""

import itertools
import os
import subprocess
import sys

import pytest

from minidl import caffe_pb2, prototxt, schema
from minidl.errors import MinidlError, PrototxtError
from minidl.prototxt.assign import assign_layer
from minidl.schema import Field

numbers = itertools.count(39000)
FIELDS = {
    "slope": (float, 0.5, "Of the line."),
    "way": (("UP", "DOWN"), "DOWN"),
    "filler": ("FillerParameter",),
    "steps": Field([int], comment="Any number of them."),
    "on": (bool, True),
    "label": (str, "x"),
    "count": ("uint32", 7, "", 20),
}


@pytest.fixture(scope="module")
def wave():
    """The class WaveParameter."""
    return schema.extend("wave_param", next(numbers), FIELDS, "Wave: up and down.")


def layer(**values):
    made = schema.LayerParameter(name="w", type="Wave")
    for name, value in values.items():
        setattr(made.wave_param, name, value)
    return made


def test_fields_have_their_types_and_defaults(wave):
    made = wave()
    assert (made.slope, made.on, made.label, made.count) == (0.5, True, "x", 7)
    assert made.way == made.DOWN == 1
    assert made.filler.type == "constant"
    made.steps.extend([3, -4])
    assert wave.FromString(made.SerializeToString()).steps == [3, -4]
    assert [f.number for f in wave.DESCRIPTOR.fields] == [1, 2, 3, 4, 5, 6, 20]


def test_a_layer_has_the_message_as_it_has_those_of_the_schema(wave):
    made = layer(slope=2)
    assert made.wave_param.slope == 2
    assert "wave_param" in [field.name for field, _ in made.ListFields()]
    assert schema.LayerParameter.FromString(made.SerializeToString()) == made
    assert schema.messages()["WaveParameter"] is schema.WaveParameter is wave
    assert caffe_pb2.WaveParameter is wave


def test_text_is_read_and_written_as_for_those_of_the_schema(wave):
    made = layer(slope=2, way=0)
    made.wave_param.steps.extend([1, 2])
    made.wave_param.filler.std = 0.1
    text = prototxt.to_text(made)
    assert "wave_param {\n  slope: 2\n  way: UP\n" in text
    read = prototxt.read_message(text, schema.LayerParameter)
    assert prototxt.without_origins(read) == made
    assert read.minidl_origin.lines["wave_param.slope"] == 4
    # what protobuf itself prints is read, too: pycaffe's users write str(net) to files
    assert "[minidl.wave_param]" in str(made)
    assert prototxt.without_origins(prototxt.read_message(str(made), schema.LayerParameter)) == made


@pytest.mark.parametrize(
    "text, message",
    [
        ("wave_param { slop: 1 }", "<text>:1:45: Wave layer 'w': wave_param has no field 'slop'"),
        ("wave_param { slop: 1 }", "did you mean 'slope'"),
        ("wave_parm { slope: 1 }", "did you mean 'wave_param'"),
        ("wave_param { way: OP }", "expected: UP or DOWN"),
        ("wave_param { count: -1 }", "wave_param.count is -1"),
        ("slope: 1", "it is a field of .*wave_param"),
    ],
)
def test_errors_name_the_place_and_the_nearest_name(wave, text, message):
    with pytest.raises(PrototxtError, match=message):
        prototxt.read_net(f'layer {{ name: "w" type: "Wave" {text} }}')


def test_a_number_that_is_not_finite_is_found_in_it(wave):
    net = prototxt.read_net('layer { name: "w" type: "Wave" wave_param { slope: nan } }')
    with pytest.raises(PrototxtError, match="1: Wave layer 'w': wave_param.slope is nan"):
        prototxt.validate_net(net)


def test_keywords_find_their_way_into_it(wave):
    made = schema.LayerParameter(type="Wave")
    assign_layer(made, ["wave_param"], {"slope": 3, "filler": {"type": "xavier"}, "way": "UP"})
    assert (made.wave_param.slope, made.wave_param.filler.type, made.wave_param.way) == (
        3,
        "xavier",
        0,
    )


def test_messages_from_before_may_have_it():
    text = 'layer { name: "l" type: "Late" }'
    net = prototxt.read_net(text)
    schema.extend("late_param", next(numbers), {"a": (int,)})
    net.layer[0].late_param.a = 5
    copy = schema.NetParameter()
    copy.CopyFrom(net)
    assert copy.layer[0].late_param.a == 5
    assert "late_param" in prototxt.to_text(net)


def test_the_same_declaration_again_changes_nothing():
    number = next(numbers)
    first = schema.extend("again_param", number, {"a": (float, 1.0)})
    assert schema.extend("again_param", number, {"a": Field(float, 1.0)}) is first


TAKEN = {
    "relu_param": (next(numbers), {}, "in minidl.proto"),
    "wave_param": (next(numbers), {}, "in another way"),
    "psroi_param": (10001, {}, "number 10001 is that of psroi_pooling_param(.|\n)*30000 to 39999"),
    "reserved_param": (19500, {}, "19500 is not a number that a field may have"),
    "Big_param": (next(numbers), {}, "small letter"),
    "small": (next(numbers), {}, "end in _param"),
    "type_param": (next(numbers), {"a": ("flaot",)}, ": a: 'flaot' is not a type"),
    "list_param": (next(numbers), {"a": ([int, float],)}, "is not a type"),
    "name_param": (next(numbers), {"class": (int,)}, ": class: is not a name"),
    "default_param": (next(numbers), {"a": (float, "high")}, "is refused: "),
    "twice_param": (next(numbers), {"a": (int,), "b": (int, 0, "", 1)}, "is refused: "),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_makes_no_sense_is_refused(wave, name):
    number, fields, message = TAKEN[name]
    with pytest.raises(MinidlError, match=f"(?s)schema.extend\\('{name}.*{message}"):
        schema.extend(name, number, fields)


def test_a_declaration_that_was_refused_can_be_put_right():
    number = next(numbers)
    with pytest.raises(MinidlError):
        schema.extend("mended_param", number, {"a": (float, "high")})
    assert schema.extend("mended_param", number, {"a": (float, 2)})().a == 2


def test_no_field_of_ours_has_a_number_that_is_left_to_others():
    used = {field.number for field in schema.LayerParameter.DESCRIPTOR.fields}
    assert not used & set(schema.THEIRS)


def test_protobuf_in_pure_python_does_the_same():
    code = (
        "from minidl import prototxt, schema\n"
        "schema.extend('pure_param', 30000, {'a': (float, 1.5), 'k': (('U', 'V'), 'V')})\n"
        "net = prototxt.read_net('layer { type: \"Pure\" pure_param { k: U } }')\n"
        "print(net.layer[0].pure_param.a, net.layer[0].pure_param.k)\n"
        "print(prototxt.to_text(net))"
    )
    environment = dict(os.environ, PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION="python")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("1.5 0\nlayer {\n") and "pure_param {\n    k: U\n" in done.stdout
