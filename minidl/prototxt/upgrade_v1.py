"""Layers of 2014 (V1: `layers { type: CONVOLUTION blobs_lr: 1 }`) into today's."""

from __future__ import annotations

from typing import Any

from google.protobuf.unknown_fields import UnknownFieldSet

from minidl import schema
from minidl.errors import PrototxtError, raise_all
from minidl.prototxt.origin import move_line, v1_type, where

TYPES = {
    "ABSVAL": "AbsVal",
    "ACCURACY": "Accuracy",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "CONCAT": "Concat",
    "CONTRASTIVE_LOSS": "ContrastiveLoss",
    "CONVOLUTION": "Convolution",
    "DATA": "Data",
    "DECONVOLUTION": "Deconvolution",
    "DROPOUT": "Dropout",
    "DUMMY_DATA": "DummyData",
    "EUCLIDEAN_LOSS": "EuclideanLoss",
    "ELTWISE": "Eltwise",
    "EXP": "Exp",
    "FLATTEN": "Flatten",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "HINGE_LOSS": "HingeLoss",
    "IM2COL": "Im2col",
    "IMAGE_DATA": "ImageData",
    "INFOGAIN_LOSS": "InfogainLoss",
    "INNER_PRODUCT": "InnerProduct",
    "LRN": "LRN",
    "MEMORY_DATA": "MemoryData",
    "MULTINOMIAL_LOGISTIC_LOSS": "MultinomialLogisticLoss",
    "MVN": "MVN",
    "POOLING": "Pooling",
    "POWER": "Power",
    "RELU": "ReLU",
    "SIGMOID": "Sigmoid",
    "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss",
    "SILENCE": "Silence",
    "SOFTMAX": "Softmax",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "SPLIT": "Split",
    "SLICE": "Slice",
    "TANH": "TanH",
    "WINDOW_DATA": "WindowData",
    "THRESHOLD": "Threshold",
    # of forks and development branches: docs/forks.md
    "ACCURACY_REGRESSION": "AccuracyRegression",
    "ANGLE_LOSS": "AngleLoss",
    "LABEL_DROPOUT": "LabelDropout",
    "LOCAL": "Local",
    "LRN_MAP": "LRN",
    "MULTI_SOFTMAX": "Softmax",
    "MULTI_SOFTMAX_LOSS": "MultiSoftmaxLoss",
    "NORM": "Norm",
    "POSE_IMAGE_DATA": "PoseImageData",
    "RESIZE": "Resize",
    "SPATIAL_PYRAMID_POOLING": "SpatialPyramidPooling",
    "TOPK": "TopK",
}
_RENAMED = {"lrn_map_param": "lrn_param"}
_PARAM_FIELDS = {  # lists with one entry a blob -> field of ParamSpec
    "param": "name",
    "blob_share_mode": "share_mode",
    "blobs_lr": "lr_mult",
    "weight_decay": "decay_mult",
}


def v1_layers(net: Any) -> tuple[Any, list[str]]:
    """Turn layers of the form `layers`, in which types are an enum, into `layer`.

    If a text has both, they come in the order of its lines.
    """
    if not net.layers:
        return net, []
    errors = [error for layer in net.layers for error in _unknown_type(layer)]
    raise_all(errors)
    upgraded = schema.NetParameter()
    for field, value in net.ListFields():
        if field.name not in ("layers", "layer"):
            _copy_field(upgraded, field.name, value)
    for layer in net.layers:
        _layer(layer, upgraded.layer.add())
    if net.layer:
        upgraded.layer.extend(net.layer)
        upgraded.layer.sort(
            key=lambda layer: (layer.minidl_origin.line, layer.minidl_origin.column)
        )
    count = len(net.layers)
    return upgraded, [f"upgraded {count} layers from the form of 2014 (layers {{ type: RELU }})"]


def _layer(old: Any, new: Any) -> None:
    """Fill `new`, a LayerParameter, from a V1LayerParameter."""
    for field, value in old.ListFields():
        name = field.name
        if name == "type":
            new.type = TYPES.get(v1_type(old), "")  # NONE is not a type
        elif name in _PARAM_FIELDS:
            for i, item in enumerate(value):
                while len(new.param) <= i:
                    new.param.add()
                setattr(new.param[i], _PARAM_FIELDS[name], item)
        else:
            _copy_field(new, _RENAMED.get(name, name), value)
    if v1_type(old) == "LRN_MAP":
        new.lrn_param.norm_region = new.lrn_param.WITHIN_CHANNEL
    if new.HasField(schema.ORIGIN):
        _move_param_lines(new)
        _move_renamed_lines(new)


def _move_param_lines(new: Any) -> None:
    lines = new.minidl_origin.lines
    for i in range(len(new.param)):
        index = f"[{i}]" if i else ""
        moved = {key: lines.pop(f"{key}{index}", 0) for key in _PARAM_FIELDS}
        for key, line in moved.items():
            if line:
                lines[f"param{index}.{_PARAM_FIELDS[key]}"] = line


def _move_renamed_lines(new: Any) -> None:
    for path in list(new.minidl_origin.lines):
        name, dot, rest = path.partition(".")
        if name in _RENAMED:
            move_line(new.minidl_origin, path, f"{_RENAMED[name]}{dot}{rest}")


def _copy_field(message: Any, name: str, value: Any) -> None:
    target = getattr(message, name)
    if hasattr(target, "extend"):
        target.extend(value)
    elif hasattr(target, "CopyFrom"):
        target.CopyFrom(value)
    else:
        setattr(message, name, value)


def _unknown_type(layer: Any) -> list[PrototxtError]:
    """Return an error for a type in a binary file that Caffe's enum does not have (a fork's)."""
    if layer.HasField("type"):
        return []
    number = layer.DESCRIPTOR.fields_by_name["type"].number
    fields: Any = UnknownFieldSet(layer)
    unknown = [f.data for f in fields if f.field_number == number]
    return [
        PrototxtError(
            f"its type is number {value}, which Caffe's schema does not have",
            where=where(layer),
            fix="the file is from another Caffe: save it there in the form with 'layer'",
        )
        for value in unknown
    ]
