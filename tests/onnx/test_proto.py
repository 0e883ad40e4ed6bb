"""The model file: its sets of operators, its checks, and what happens without the package."""

import sys

import numpy as np
import pytest

from minidl import Net
from minidl.errors import ExportError, UsageError
from minidl.onnx import export, proto, to_model
from minidl.onnx.convert import Conversion
from minidl.onnx.graph import Graph
from tests.onnx.support import onnx

NET = """
name: "small"
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 4 } }
"""


def test_the_file_says_who_made_it_and_which_operators_it_needs(tmp_path):
    export(Net(NET), tmp_path / "small.onnx")
    model = onnx.load(tmp_path / "small.onnx")
    assert model.producer_name == "minidl"
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    assert model.ir_version == 8
    assert model.graph.name == "small"
    (x,), (y,) = model.graph.input, model.graph.output
    assert [d.dim_param or d.dim_value for d in x.type.tensor_type.shape.dim] == ["N", 3]
    assert [d.dim_param or d.dim_value for d in y.type.tensor_type.shape.dim] == ["N", 4]
    assert {i.name for i in model.graph.initializer} == {"ip/weight", "ip/bias"}


def test_a_graph_that_onnx_refuses_is_not_written(tmp_path):
    graph = Graph("wrong", inputs={"x": (2, 3)}, outputs={"y": (2, 4)})
    with pytest.raises(onnx.checker.ValidationError):
        proto.write(Conversion(graph), tmp_path / "wrong.onnx")
    assert list(tmp_path.iterdir()) == []


def test_more_weights_than_a_message_can_have_are_refused(monkeypatch):
    monkeypatch.setattr(proto, "LIMIT", 60)
    with pytest.raises(ExportError, match="its weights have 64 bytes"):
        to_model(Conversion(Graph("large", constants={"w": np.zeros(16, np.float32)})))


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UsageError, match=r"not installed(.|\n)*pip install onnx"):
        export(Net(NET), tmp_path / "small.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no such folder"):
        export(Net(NET), tmp_path / "nowhere" / "small.onnx")
