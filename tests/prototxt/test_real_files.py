"""Real nets and solvers from 32 public repositories: read as protobuf reads them, then upgraded."""

import functools
import json
import time
import warnings
from collections import Counter

import pytest
from google.protobuf import text_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import minidl.layers  # noqa: F401  (registers every layer type)
from minidl import schema
from minidl.errors import PrototxtError, Several
from minidl.prototxt import (
    clear_origins,
    read_message,
    read_net,
    read_solver,
    upgrade_nvidia,
    upgrade_v1,
    validate_net,
)
from tests.support import SHARED, shared

INDEX = SHARED / "prototxt" / "index.json"
FILES = json.loads(INDEX.read_text()) if INDEX.exists() else []

# What the index of the files calls as they do, and what it is today.
TODAY = {**upgrade_v1.TYPES, "data": "Data", "locally_connected": "Local"}


def text_of(entry):
    return (SHARED / "prototxt" / entry["file"]).read_bytes().decode("utf-8", "surrogateescape")


def class_of(entry):
    return schema.SolverParameter if entry["format"] == "solver" else schema.NetParameter


@functools.cache
def expected_of(file):
    """What protobuf reads in a file, or None where it refuses it."""
    (entry,) = (entry for entry in FILES if entry["file"] == file)
    return by_protobuf(text_of(entry), class_of(entry))


def by_protobuf(text, cls):
    """The message, or None where protobuf refuses the text."""
    with warnings.catch_warnings():
        # The oracle decodes escapes by Python's own codec, which warns of those it does not know.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return text_format.Parse(text, cls())
        except text_format.ParseError:
            return None


def test_every_real_file_reads_as_protobuf_reads_it():
    shared("prototxt")
    read = 0
    for entry in FILES:
        if entry["format"] == "UNPARSED":
            continue
        text, cls = text_of(entry), class_of(entry)
        expected = expected_of(entry["file"])
        if expected is None:
            notes = []  # of what it reads nevertheless
            try:
                read_message(text, cls, entry["file"], notes)
            except PrototxtError:
                continue
            assert notes and "its name in `layers`" in notes[0]
            continue
        message = read_message(text, cls, entry["file"])
        clear_origins(message)
        assert message == expected, entry["file"]
        read += 1
    assert read >= 361


def test_every_net_that_reads_upgrades_and_has_the_layers_it_should():
    folder = shared("prototxt")
    upgraded = 0
    for entry in FILES:
        if entry["format"] in ("UNPARSED", "labelmap"):
            continue
        cls = class_of(entry)
        if expected_of(entry["file"]) is None:
            continue
        upgraded += 1
        if cls is schema.SolverParameter:
            assert not read_solver(folder / entry["file"]).HasField("solver_type")
            continue
        net = read_net(folder / entry["file"])
        validate_net(net)
        assert not net.layers and not net.input
        types = {}
        for layer in net.layer:
            if layer.name.endswith(upgrade_nvidia.SCALE_BIAS):
                continue  # half of a BatchNorm in the file
            types[layer.type] = types.get(layer.type, 0) + 1
            assert layer.minidl_origin.line > 0 and layer.minidl_origin.file.endswith(entry["file"])
        expected = Counter()
        for name, count in entry["layer_types"].items():
            expected[TODAY.get(name, name)] += count
        for folded in ("(V0 padding)", "memory_data"):  # the latter becomes an input
            expected.pop(folded, None)
        expected.pop("implicit", None)
        if expected["Data"] and types.get("Input") and not expected["Input"]:
            types["Data"] = types.get("Data", 0) + types.pop("Input")  # Netscope's
        if net.layer and net.layer[0].name == "input" and "Input" not in expected:
            del types["Input"]
        assert types == expected, entry["file"]
    assert upgraded >= 360


def test_what_caffe_never_had_is_named_with_its_layer():
    folder = shared("prototxt")
    with pytest.raises(PrototxtError) as caught:
        read_net(folder / "NVIDIA+caffe__examples-TensorRT-trt.prototxt")
    text = str(caught.value)
    assert "give that file here" in text
    assert "TRT layer 'TRT': unknown type" in text
    assert text.count("the layer has no field") == 1


def test_the_malformed_file_gives_one_clear_error():
    folder = shared("prototxt_malformed")
    (path,) = folder.glob("*.prototxt")
    with pytest.raises(PrototxtError) as caught:
        read_net(path)
    assert not isinstance(caught.value, Several)
    assert str(caught.value) == (
        f"{path}:5:11: this is a template, not yet a prototxt: it has placeholders like"
        " '{height}'\n  fix: fill it in first, with Python's str.format with height, width"
    )


def test_six_thousand_lines_are_read_in_well_under_a_second():
    folder = shared("prototxt")
    path = folder / "yihui-he+resnet-cifar10-caffe__resnet-110-trainval.prototxt"
    assert path.read_text().count("\n") > 6000
    start = time.process_time()
    read_net(path)
    assert time.process_time() - start < 1


PIECES = [
    "{",
    "}",
    "{{",
    ":",
    '"',
    "'",
    "[",
    "]",
    ",",
    ";",
    "<",
    ">",
    "#",
    "\n",
    "-",
    "1e5",
    "0x1F",
]
PIECES += ["layer", "name", "type", "inf", "\\", "\x00", "{a}", "9" * 50, "true", "MAX", " "]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mutated_real_files_are_refused_or_read_as_protobuf_reads_them(data):
    shared("prototxt")
    entry = data.draw(st.sampled_from([e for e in FILES if e["format"] != "UNPARSED"][::7]))
    text, cls = text_of(entry)[:3000], class_of(entry)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.sampled_from([0, 1, 5, 40]))
        text = text[:at] + data.draw(st.sampled_from(["", *PIECES])) + text[at + cut :]
    expected, notes = by_protobuf(text, cls), []
    try:
        message = read_message(text, cls, notes=notes)
    except PrototxtError as error:
        # protobuf's Python parser lets escapes pass that Caffe's does not know
        assert expected is None or "is not an escape" in str(error)
    else:
        clear_origins(message)
        assert message == expected or notes  # of a type of today in `layers`


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mutated_real_files_upgrade_or_are_refused(data):
    shared("prototxt")
    entry = data.draw(st.sampled_from([e for e in FILES if e["format"] in ("V0", "V1")][::3]))
    lines = text_of(entry).split("\n")
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        other = data.draw(st.integers(0, len(lines) - 1))
        lines[at] = data.draw(st.sampled_from(["", lines[other]]))
    try:
        net = read_net("\n".join(lines) + "\n")
        assert not net.layers and not net.input
        validate_net(net)
    except PrototxtError as error:
        assert str(error)
