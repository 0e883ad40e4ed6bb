"""Nets as ONNX models: the way out of minidl, for any program that runs a net elsewhere.

    from minidl import Net
    from minidl.onnx import export

    export(Net("deploy.prototxt", weights="net.caffemodel"), "net.onnx")

`table.py` says what becomes of every layer type, `ops/` has one function for each that is carried
over, `convert.py` walks over the net, `graph.py` holds what comes out, and `proto.py` alone knows
the package `onnx`. The page docs/onnx.md is for those who use it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from minidl.onnx.convert import Conversion, convert
from minidl.onnx.proto import OPSET, to_model, write

if TYPE_CHECKING:
    from minidl.net import Net

__all__ = ["OPSET", "Conversion", "convert", "export", "to_model"]


def export(net: Net, path: str | os.PathLike[str]) -> Conversion:
    """Write a net in phase TEST, with its weights, as an ONNX model; whole or not at all.

    Returns what was written, with `notes`: a sentence on everything that was left out or changed.

    Errors: ExportError naming every layer that ONNX cannot express, and why; UsageError without
    the package `onnx`, or for a path that cannot be written.
    """
    conversion = convert(net)
    write(conversion, path)
    return conversion
