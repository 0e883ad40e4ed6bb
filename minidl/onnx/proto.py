"""A graph as a message of the package `onnx`, checked, and on disk. The one place that needs it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from minidl.errors import ExportError, UsageError
from minidl.onnx.graph import Dims, Graph, Op
from minidl.storage import files

if TYPE_CHECKING:
    from minidl.onnx.convert import Conversion

# The newest set that every runtime of the last years reads; docs/decisions/0010-onnx.md.
OPSET, IR_VERSION = 17, 8
LIMIT = 2**31 - 1  # bytes of one protobuf message


def to_model(conversion: Conversion) -> Any:
    """The onnx.ModelProto, checked by onnx's own checker with strict shape inference.

    Errors: UsageError without the package `onnx`; ExportError for weights of 2 GiB and more.
    """
    onnx = _package()
    graph = conversion.graph
    size = sum(array.nbytes for array in graph.constants.values())
    if size >= LIMIT:
        raise ExportError(
            f"its weights have {size:,} bytes",
            where=f"net '{graph.name}'",
            expected=f"less than {LIMIT:,}, the most that one protobuf message can have",
        )
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [_node(onnx, op, i) for i, op in enumerate(graph.ops)],
            graph.name,
            [_value(onnx, name, dims) for name, dims in graph.inputs.items()],
            [_value(onnx, name, dims) for name, dims in graph.outputs.items()],
            [onnx.numpy_helper.from_array(a, name) for name, a in _used(graph).items()],
        ),
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="minidl",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def write(conversion: Conversion, path: str | os.PathLike[str]) -> None:
    """Write the model, whole or not at all."""
    files.write_all(path, [to_model(conversion).SerializeToString()])


def _package() -> Any:
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError as error:
        missing = (error.name or "").partition(".")[0] == "onnx"
        raise UsageError(
            "the package onnx is not installed" if missing else f"onnx cannot be loaded: {error}",
            where="export to ONNX",
            fix="pip install onnx",
        ) from None
    return onnx


def _used(graph: Graph) -> dict[str, np.ndarray]:
    read = {name for op in graph.ops for name in op.inputs}
    return {name: array for name, array in graph.constants.items() if name in read}


def _node(onnx: Any, op: Op, index: int) -> Any:
    attributes = {
        name: {"float32": onnx.TensorProto.FLOAT, "int64": onnx.TensorProto.INT64}[value]
        if name == "to"  # a number type
        else onnx.numpy_helper.from_array(value)
        if isinstance(value, np.ndarray)
        else value
        for name, value in op.attributes.items()
    }
    return onnx.helper.make_node(
        op.type, op.inputs, op.outputs, name=f"{op.layer}:{index}", **attributes
    )


def _value(onnx: Any, name: str, dims: Dims) -> Any:
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, list(dims))
