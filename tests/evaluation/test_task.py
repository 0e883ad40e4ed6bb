"""What nets answer, by their losses and by their last layers."""

import pytest

from minidl import prototxt, schema
from minidl.errors import UsageError
from minidl.evaluation import task
from minidl.layers.context import Context
from minidl.net.blueprint import Blueprint
from tests.support import ROOT


def of(text, shape=(3, 9, 8)):
    ctx = Context(phase=schema.TEST, absent_data=shape)
    return task.of(Blueprint(prototxt.read_net(text), ctx).nodes)


ZOO = sorted(path.parent.name for path in (ROOT / "zoo").glob("*/train_val.prototxt"))


@pytest.mark.parametrize("name", ZOO)
def test_nets_of_the_zoo(name):
    shape = (1, 28, 28) if name == "autoencoder" else (3, 32, 32)
    crop = {"cifar10_full", "cifar10_quick", "autoencoder"}
    shape = shape if name in crop else (3, 256, 256)
    found = of(ROOT / "zoo" / name / "train_val.prototxt", shape)
    if name == "autoencoder":
        assert found.kind == task.PICTURES and found.source == "data"
        assert (found.output, found.then) == ("decode1", "sigmoid")
    else:
        assert found.kind == task.CLASSES and found.then == "softmax"
        assert found.truth == "label" and found.source == "label"
        assert found.shape[1] == (10 if "cifar" in name else 1000)


DATA = 'layer { name: "d" type: "Data" top: "data" top: "label" data_param { batch_size: 2 } }'
IP = """layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
    inner_product_param { num_output: 4 } }"""
CONV = """layer { name: "c" type: "Convolution" bottom: "data" top: "c"
    convolution_param { num_output: %d kernel_size: 1 } }"""
INPUT = 'layer { name: "i" type: "Input" top: "data" input_param { shape { dim: [1, 3, 9, 8] } } }'
SOFTMAX = 'layer { name: "p" type: "Softmax" bottom: "%s" top: "p" }'

NETS = {
    "scores for hinge loss": (
        DATA + IP + 'layer { name: "l" type: "HingeLoss" bottom: "ip" bottom: "label" top: "l" }',
        (task.CLASSES, "ip", "softmax"),
    ),
    "probabilities with a loss of their own": (
        DATA
        + IP
        + SOFTMAX % "ip"
        + 'layer { name: "l" type: "MultinomialLogisticLoss" bottom: "p" bottom: "label" }',
        (task.CLASSES, "p", ""),
    ),
    "a loss that does not count": (
        DATA.replace('top: "label"', "")
        + CONV % 3
        + 'layer { name: "l" type: "L1Loss" bottom: "c" bottom: "data" }'
        + (CONV % 3).replace('"c"', '"d"').replace('name: "d"', 'name: "e"')
        + 'layer { name: "m" type: "L1Loss" bottom: "d" bottom: "data" top: "m" loss_weight: 0 }',
        (task.PICTURES, "c", ""),
    ),
    "for use, with Softmax": (INPUT + IP + SOFTMAX % "ip", (task.CLASSES, "p", "")),
    "for use, scores": (INPUT + IP, (task.CLASSES, "ip", "softmax")),
    "for use, a map": (INPUT + CONV % 5 + SOFTMAX % "c", (task.PIXELS, "p", "")),
    "for use, a map of scores": (INPUT + CONV % 5, (task.PIXELS, "c", "softmax")),
    "for use, a picture": (INPUT + CONV % 3, (task.PICTURES, "c", "")),
}


@pytest.mark.parametrize("text, expected", NETS.values(), ids=NETS.keys())
def test_output_and_what_is_to_be_done_to_it(text, expected):
    found = of(text)
    assert (found.kind, found.output, found.then) == expected


def test_numbers_that_are_no_picture_are_refused():
    text = DATA + IP.replace("4", "1")
    text += 'layer { name: "far" type: "EuclideanLoss" bottom: "ip" bottom: "label" top: "l" }'
    with pytest.raises(UsageError, match=r"'far'(.|\n)*no pictures"):
        of(text)


def test_what_a_net_was_trained_towards():
    text = DATA.replace('top: "label"', "") + CONV % 3
    text += 'layer { name: "s" type: "Flatten" bottom: "data" top: "flat" }'
    text += 'layer { name: "l" type: "L1Loss" bottom: "c" bottom: "%s" top: "l" }'
    assert task.aim_of(prototxt.read_net(text % "flat")).input
    second = 'layer { name: "e" type: "Data" top: "aim" transform_param { scale: 3 } }'
    found = task.aim_of(prototxt.read_net(second.join(["", text % "aim"])))
    assert found.input  # the first data layer is what goes in
    found = task.aim_of(prototxt.read_net(text.replace(CONV % 3, second + CONV % 3) % "aim"))
    assert not found.input and found.transform.scale == 3
    idle = 'layer { name: "m" type: "L1Loss" bottom: "c" bottom: "c2" loss_weight: 0 }'
    other = CONV.replace('"c"', '"c2"') % 3
    assert task.aim_of(prototxt.read_net(text % "flat" + other + idle)).input
    assert task.aim_of(prototxt.read_net(INPUT + CONV % 3)).transform is None
