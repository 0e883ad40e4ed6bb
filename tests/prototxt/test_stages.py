"""DIGITS' convention: one prototxt, three nets, by stages."""

import pytest

from minidl import prototxt, schema
from minidl.errors import MinidlError
from minidl.prototxt import stages
from minidl.prototxt.phases import filter_layers, net_state
from tests.support import shared

NET = """
name: "all in one"
layer { name: "train-data" type: "Data" top: "data" top: "label" include { stage: "train" } }
layer { name: "val-data" type: "Data" top: "data" top: "label" include { stage: "val" } }
layer { name: "in" type: "Input" top: "data" include { stage: "deploy" }
  input_param { shape { dim: 1 dim: 1 dim: 8 dim: 8 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" }
layer { name: "drop" type: "Dropout" bottom: "ip" top: "ip" exclude { stage: "deploy" } }
layer { name: "noise" type: "Dropout" bottom: "ip" top: "ip" include { phase: TRAIN } }
layer { name: "accuracy" type: "Accuracy" bottom: "ip" bottom: "label" top: "accuracy"
  include { stage: "val" } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss"
  exclude { stage: "deploy" } }
layer { name: "softmax" type: "Softmax" bottom: "ip" top: "softmax" include { stage: "deploy" } }
"""


def read(text):
    return prototxt.read_net(text)


def names(net, phase):
    return [layer.name for layer in filter_layers(net, net_state(phase)).layer]


def test_stages_become_phases():
    net = stages.by_phase(read(NET))
    assert names(net, schema.TRAIN) == ["train-data", "ip", "drop", "noise", "loss"]
    assert names(net, schema.TEST) == ["val-data", "ip", "drop", "accuracy", "loss"]
    rules = {layer.name: (list(layer.include), list(layer.exclude)) for layer in net.layer}
    assert rules["ip"] == rules["drop"] == ([], [])
    assert [r.phase for r in rules["accuracy"][0]] == [schema.TEST]
    assert "softmax" not in rules and "in" not in rules


def test_input_layers_are_for_use_alone_whatever_their_rules_say():
    text = NET.replace('top: "data" include { stage: "deploy" }\n', 'top: "data"\n')
    net = stages.by_phase(read(text))
    assert [layer.name for layer in net.layer[:3]] == ["train-data", "val-data", "ip"]


def test_rules_may_name_phase_and_stage_or_the_stage_that_is_not():
    text = NET.replace('include { stage: "val" } }\nlayer { name: "in"', "MARK", 1)
    text = text.replace("MARK", 'include { phase: TEST stage: "val" } }\nlayer { name: "in"')
    text = text.replace('exclude { stage: "deploy" } }\nlayer { name: "noise"', "MARK")
    text = text.replace("MARK", 'include { not_stage: "deploy" } }\nlayer { name: "noise"')
    assert names(stages.by_phase(read(text)), schema.TEST) == [
        "val-data",
        "ip",
        "drop",
        "accuracy",
        "loss",
    ]


def test_which_nets_are_of_this_kind():
    assert stages.is_all_in_one(read(NET))
    assert not stages.is_all_in_one(read('layer { name: "a" type: "ReLU" include { stage: "x" } }'))
    assert not stages.is_all_in_one(read('layer { name: "a" type: "ReLU" }'))


def test_a_net_without_data_layers_is_given_some():
    bare = "\n".join(x for x in NET.split("\n") if "-data" not in x and "input_param" not in x)
    bare = bare.replace(
        'layer { name: "in" type: "Input" top: "data" include { stage: "deploy" }\n', ""
    )
    assert names(stages.by_phase(read(bare)), schema.TRAIN)[0] == "ip"


FAULTS = {
    "a misspelt bottom": (
        ('bottom: "ip" top: "softmax"', 'bottom: "softmx" top: "softmax"'),
        r"Softmax layer 'softmax': reads 'softmx', which no layer before it makes in stage "
        r"\"deploy\"(.|\n)*expected: one of data, ip",
    ),
    "one of another stage": (
        ('exclude { stage: "deploy" } }\nlayer { name: "softmax"', '}\nlayer { name: "softmax"'),
        r"SoftmaxWithLoss layer 'loss': reads 'label', which no layer before it makes in stage "
        r"\"deploy\"(.|\n)*'label' is made in stage \"train\" and \"val\" only",
    ),
}


@pytest.mark.parametrize("change, said", FAULTS.values(), ids=FAULTS)
def test_a_bottom_that_is_not_there_is_refused_in_words(change, said):
    assert change[0] in NET
    with pytest.raises(MinidlError, match=said):
        stages.by_phase(read(NET.replace(*change)))


def test_all_faults_come_at_once():
    text = NET.replace('bottom: "ip" bottom: "label"', 'bottom: "x" bottom: "y"')
    with pytest.raises(MinidlError) as info:
        stages.by_phase(read(text))
    assert len(info.value.errors) == 2 + 4  # the loss in two stages, the accuracy in one


@pytest.mark.parametrize("name", ["alexnet", "googlenet"])
def test_nets_that_people_wrote_for_digits_are_read(name):
    folder = shared("prototxt")
    (path,) = folder.glob(f"humphd*src-{name}-customized.prototxt")
    net = prototxt.read_net(path)
    assert stages.is_all_in_one(net)
    found = stages.by_phase(net)
    assert not any(rule.stage for x in found.layer for rule in (*x.include, *x.exclude))
    kinds = [layer.type for layer in filter_layers(found, net_state(schema.TEST)).layer]
    assert "Accuracy" in kinds and "Softmax" not in kinds
