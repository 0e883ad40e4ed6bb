"""The lines of building a net are those that a running Caffe wrote."""

import logging
import re

import pytest

from minidl import prototxt, schema
from minidl.layers.context import Context
from minidl.net import Net
from minidl.net.blueprint import Blueprint
from minidl.net.caffe_log import building_lines
from tests.support import shared

TOLD = re.compile(
    r"(Creating [lL]ayer|Setting up|Top shape:|    with loss weight|Memory required|.* (<-|->) |"
    r".* backward computation|This network produces|Network initialization)"
)


def recorded(name):
    """Caffe's lines of the kinds above, for each net of a log."""
    nets, lines = [], []
    for line in (shared("golden/cli") / name).read_text().splitlines():
        _, _, text = line.partition("] ")
        if TOLD.match(text):
            lines.append(text)
        if text.startswith("Network initialization"):
            nets.append(lines)
            lines = []
    return nets


@pytest.mark.parametrize("phase", [schema.TRAIN, schema.TEST], ids=["TRAIN", "TEST"])
def test_the_lines_are_caffes(phase):
    net = prototxt.read_net(shared("golden/cli/cli_net.prototxt"))
    ours = [line for line in building_lines(Blueprint(net, Context(phase=phase)))
            if TOLD.match(line)]  # fmt: skip
    theirs = recorded("cli_train.log")[phase]
    # Caffe's loss layer makes a softmax layer of its own, under the same name.
    theirs.pop(len(theirs) - 1 - theirs[::-1].index("Creating layer loss"))
    assert ours == theirs


def test_they_are_logged_for_those_who_listen(caplog):
    text = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }'
    with caplog.at_level(logging.INFO, "minidl"):
        Net(text)
    assert "Top shape: 2 3 (6)" in caplog.messages
    assert caplog.messages[-1] == "Network initialization done."
    assert "Initializing net from parameters" in caplog.text
