"""Parameters of another type's message are said to have no effect, where and how often."""

import logging

import pytest

from minidl import schema
from minidl.layers.context import Context
from minidl.net.blueprint import Blueprint
from minidl.prototxt import read_net

INPUT = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 4 } } }\n'
RELU = """layer { name: "r" type: "ReLU" bottom: "x" top: "y"
  relu_param { negative_slope: 0.1 }
  pooling_param { kernel_size: 3 }
}
"""
SPLIT = 'layer { name: "s" type: "Silence" bottom: "y" lrn_param { } }\n'


def warnings(caplog):
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def test_a_message_that_another_type_reads_is_named_with_its_line(caplog):
    Blueprint(read_net(INPUT + RELU + SPLIT), Context())
    assert warnings(caplog) == [
        "<text>:4: ReLU layer 'r': pooling_param has no effect: ReLU layers read relu_param",
        "<text>:6: Silence layer 's': lrn_param has no effect: Silence layers read none",
    ]


def test_that_of_a_file_is_said_once_for_all_nets_made_of_it(tmp_path, caplog):
    path = tmp_path / "net.prototxt"
    path.write_text(INPUT + RELU)
    for phase in (schema.TRAIN, schema.TEST):
        Blueprint(read_net(path), Context(phase=phase))
    (said,) = warnings(caplog)
    assert said.startswith(f"{path}:4: ")


@pytest.mark.parametrize("text", [INPUT, INPUT + RELU.replace("pooling_param", "# ")])
def test_what_a_type_reads_is_not_mentioned(text, caplog):
    Blueprint(read_net(text), Context())
    assert warnings(caplog) == []
