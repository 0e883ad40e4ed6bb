"""`caffe.net_spec`: minidl.spec with the names of its helpers in pycaffe."""

from __future__ import annotations

from typing import Any

from minidl import caffe_pb2
from minidl.prototxt.assign import assign
from minidl.spec import Function, Layers, NetSpec, Parameters, Top, layers, params, to_proto

__all__ = [
    "Function",
    "Layers",
    "NetSpec",
    "Parameters",
    "Top",
    "assign_proto",
    "caffe_pb2",
    "layers",
    "param_name_dict",
    "params",
    "to_proto",
]


def param_name_dict() -> dict[str, str]:
    """{"Convolution": "convolution", ...}: names of parameter messages and of their fields.

    >>> param_name_dict()["ReLU"]
    'relu'
    """
    fields = caffe_pb2.LayerParameter.DESCRIPTOR.fields
    return {
        field.message_type.name.removesuffix("Parameter"): field.name.removesuffix("_param")
        for field in fields
        if field.name.endswith("_param")
    }


def assign_proto(proto: Any, name: str, val: Any) -> None:
    """Set a message's field from a plain value: a dict for a message, a list for several."""
    assign(proto, {name: val})
