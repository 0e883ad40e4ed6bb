"""minidl check looks at every part of a prototxt: phases, and layers of other levels and stages."""

import json

import pytest

from minidl.cli import main, parts
from minidl.prototxt import read_net
from minidl.prototxt.phases import PHASE_NAMES


def source(name, rules, size=3):
    return f"""layer {{ name: "{name}" type: "Input" top: "x" {rules}
      input_param {{ shape {{ dim: 2 dim: {size} }} }} }}
    """


RELU = 'layer { name: "r" type: "ReLU" bottom: "x" top: "y" }\n'
TRAIN, TEST = "include { phase: TRAIN }", "include { phase: TEST }"
FILES = {
    "one net for both": (source("a", "") + RELU, ["TEST"]),
    "a net for each": (source("a", TRAIN) + source("b", TEST) + RELU, ["TEST", "TRAIN"]),
    "a loss in training": (source("a", "") + RELU.replace("}", TRAIN + " }"), ["TEST", "TRAIN"]),
    "for training alone": (source("a", TRAIN) + RELU, ["TRAIN"]),
    "for testing alone": (source("a", TEST) + RELU, ["TEST"]),
    "without any data": (RELU, ["TEST"]),
}


@pytest.mark.parametrize("text, phases", FILES.values(), ids=FILES.keys())
def test_a_file_has_the_phases_that_bring_data_in(text, phases):
    states = parts.states(read_net(text), 0, ())
    assert [PHASE_NAMES[state.phase] for state in states] == phases


def check(tmp_path, text, *words):
    path = tmp_path / "net.prototxt"
    path.write_text(text)
    return main(["check", str(path), *words])


def test_a_fault_of_the_training_part_is_found(tmp_path, capsys):
    text = source("a", TRAIN, size=-3) + source("b", TEST) + RELU
    assert check(tmp_path, text) == 2
    assert "net.prototxt:2: Input layer 'a': shape (2, -3) has a neg" in capsys.readouterr().err
    assert check(tmp_path, text, "-phase", "TEST") == 0


def test_a_graph_that_does_not_hold_in_training_is_found(tmp_path, capsys):
    text = source("a", "") + RELU.replace("}", TEST + " }")
    text += 'layer { name: "s" type: "Silence" bottom: "y" }'
    assert check(tmp_path, text) == 2
    err = capsys.readouterr().err
    assert "Silence layer 's'" in err and "no layer of the TRAIN net makes it" in err


def test_a_fault_of_both_phases_is_said_once(tmp_path, capsys):
    text = source("a", TRAIN) + source("b", TEST)
    text += 'layer { name: "p" type: "InnerProduct" bottom: "x" top: "p" }'
    assert check(tmp_path, text) == 2
    err = capsys.readouterr().err
    assert err.count("num_output is 0") == 1


def test_layers_of_other_stages_are_looked_at_one_by_one(tmp_path, capsys):
    wide = """layer { name: "p" type: "InnerProduct" bottom: "gone" top: "p"
      include { stage: "wide" } inner_product_param { num_output: N } }"""
    text = source("a", "") + RELU + wide
    assert check(tmp_path, text.replace("N", "0")) == 2
    assert "InnerProduct layer 'p': num_output is 0" in capsys.readouterr().err
    assert check(tmp_path, text.replace("N", "4")) == 0
    assert check(tmp_path, text.replace("N", "4"), "-stage", "wide") == 2  # what is 'gone'?


def test_what_was_checked_beside_it_is_said(tmp_path, capsys):
    text = source("a", TRAIN) + source("b", TEST) + RELU
    assert check(tmp_path, text) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("phase TRAIN    is in order")
    assert check(tmp_path, text, "--json") == 0
    assert json.loads(capsys.readouterr().out)["also_checked"] == ["TRAIN"]


def test_code_of_others_is_not_run_to_look_at_it(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIDL_ALLOW_PYTHON", "1")
    text = (
        source("a", "")
        + """layer { name: "p" type: "Python" top: "p" include { stage: "s" }
      python_param { module: "no_such_module" layer: "L" } }"""
    )
    assert check(tmp_path, text) == 0
