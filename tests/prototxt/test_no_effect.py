"""Fields that only tune another program: taken, dropped, and named in one line."""

import pytest

from minidl.errors import PrototxtError
from minidl.prototxt import read_net, read_solver, to_text

NET = """name: 'n'
default_forward_type: FLOAT16 eltwise_mem_sharing: false engine: "MKLDNN"
layer { name: 'd' type: 'Data' top: 'x' forward_math: FLOAT
        data_param { source: 's'
                     cache: true
                     threads: 4 } }
layer { name: 'e' type: 'Data' top: 'y' data_param { cache: false } }
"""


def test_they_are_dropped_and_one_line_names_them_all_and_the_first_place(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    notes = []
    net = read_net(path, notes)
    assert notes == [
        f"{path}: engine, default_forward_type, eltwise_mem_sharing, forward_math, "
        "data_param.cache, data_param.threads (first in line 2) have no effect here: the speed, "
        "memory or number format of another program"
    ]
    assert "cache" not in to_text(net) and "FLOAT16" not in to_text(net)
    assert net.layer[0].data_param.source == "s"


def test_a_net_without_them_gets_no_line():
    notes = []
    read_net("layer { name: 'r' type: 'ReLU' bottom: 'x' top: 'y' }", notes)
    assert notes == []


def test_layers_of_2014_have_them_too():
    notes = []
    net = read_net("layers { type: CONVOLUTION convolution_param { mem_group_size: 2 } }", notes)
    assert notes[0].startswith("<text>: convolution_param.mem_group_size (first in line 1) has no")
    assert not net.layer[0].convolution_param.ListFields()


def test_so_have_solvers():
    notes = []
    solver = read_solver("base_lr: 1\nsolver_data_type: FLOAT", notes)
    assert notes[0].startswith("<text>: solver_data_type (first in line 2) has no effect here")
    assert not solver.HasField("solver_data_type")


def test_their_values_are_looked_at_all_the_same():
    with pytest.raises(PrototxtError, match=r"data_param.cache is 'maybe'(.|\n)*true or false"):
        read_net("layer { type: 'Data' data_param { cache: maybe } }")
