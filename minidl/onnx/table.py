"""The translation of every layer type: carried over, left out, or refused, each with a reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

from minidl.onnx.graph import Step

Exporter = Callable[[Step], Sequence["str | None"]]  # a value for each top; None: not carried over
E = TypeVar("E", bound=Exporter)

# type -> the function that writes it; filled by the modules of minidl/onnx/ops
EXPORTERS: dict[str, Exporter] = {}
WORDS: dict[str, str] = {}  # type -> what it becomes, for docs/onnx.md

# Layers without bottoms, whose tops must be given to run the model.
SOURCES = {
    "Data": "reads a data set",
    "AnnotatedData": "reads images and the boxes in them",
    "DenseImageData": "reads images and their labels",
    "ContinuationIndicator": "makes numbers up",
    "DummyData": "makes numbers up",
    "HDF5Data": "reads HDF5 files",
    "ImageData": "reads images",
    "Input": "is filled by whoever runs the net",
    "MemoryData": "is filled by whoever runs the net",
    "PoseImageData": "reads images and the joints of bodies",
    "WindowData": "reads windows of images",
}

# Only for training or measuring: the model ends with what they read.
LEFT_OUT = {
    "Accuracy": "it compares with labels, which a model that is used does not have",
    "AccuracyRegression": "it compares with labels, which a model that is used does not have",
    "AngleLoss": "a loss is for training; what it compared is an output",
    "AdaCosAddmScale": "it makes cosines harder by their labels; the cosines are an output",
    "BoxAnnotatorOHEM": "it chooses regions by their losses, for training alone",
    "ContrastiveLoss": "a loss is for training; what it compared is an output",
    "CosinAddm": "it makes cosines harder by their labels; the cosines are an output",
    "DetectionEvaluate": "it compares with objects, which a model that is used does not have",
    "CtcLoss": "a loss is for training; the scores that it read are an output",
    "EuclideanLoss": "a loss is for training; what it compared is an output",
    "FocalLoss": "a loss is for training; the scores that it read are an output",
    "HDF5Output": "it writes a file; what it wrote is an output",
    "HingeLoss": "a loss is for training; the scores that it read are an output",
    "InfogainLoss": "a loss is for training; the scores that it read are an output",
    "L1Loss": "a loss is for training; what it compared is an output",
    "LabelsequenceAccuracy": "it compares with labels, which a model that is used does not have",
    "MultiBoxLoss": "a loss is for training; the offsets and scores that it read are outputs",
    "MultiSoftmaxLoss": "a loss is for training; the scores that it read are an output",
    "MultinomialLogisticLoss": "a loss is for training; what it read is an output",
    "SigmoidCrossEntropyLoss": "a loss is for training; the scores that it read are an output",
    "NormalizedMSE": "a loss is for training; what it compared is an output",
    "Silence": "it only keeps blobs from being outputs",
    "SmoothL1Loss": "a loss is for training; what it compared is an output",
    "SmoothL1LossOHEM": "a loss is for training; what it compared is an output",
    "SoftmaxWithLoss": "a loss is for training; the scores that it read are an output",
    "SoftmaxWithLossOHEM": "a loss is for training; the scores that it read are an output",
}

# Bottoms of which only the shape matters; what makes them need not be in the model.
SHAPE_ONLY = {"Crop": (1,), "PriorBox": (0, 1)}

# Types that have no form in ONNX, with any parameters, and why.
REFUSED = {
    "AnchorTarget": "it compares with objects that are known; end the net before it",
    "ProposalTarget": "it compares with objects that are known; end the net before it",
    "DecodeBBox": "no translation of it is written; end the net before it, and move the regions by "
    "what it reads",
    "DetectNetTransformation": "it changes pictures to train on; export the net as it is used",
    "DetectionOutput": "how it picks boxes has no translation; end the net before it, and "
    "pick them from what it reads",
    "LabelDropout": "it compares with labels; end the net before it",
    "Local": "ONNX has no operator with filters of its own at every place",
    "MultiStageMeanfield": "its filters have no translation; end the net before it",
    "PSROIPooling": "ONNX has no operator in which each bin of a region reads channels of its own",
    "Proposal": "how it picks boxes has no translation; end the net before it, and "
    "pick them from what it reads",
    "TextProposal": "no translation of it is written; end the net before it, and move the "
    "anchors by what it reads",
    "Python": "it runs code of its own",
}


class CannotExport(Exception):
    """Raised by an exporter; the message is the reason, without the layer's name."""


def exports(type: str, becomes: str) -> Callable[[E], E]:
    """Decorator: the function that writes layers of this type.

    becomes   the operators, and when which, for the table in docs/onnx.md
    """

    def add(function: E) -> E:
        if type in EXPORTERS:
            raise ValueError(f"layer type {type!r} has an exporter already")
        EXPORTERS[type], WORDS[type] = function, becomes
        return function

    return add


def cannot(reason: str) -> NoReturn:
    """Refuse a layer for what its parameters ask."""
    raise CannotExport(reason)


def exporter(type: str) -> Exporter:
    """The function for a layer type, or a refusal."""
    if type in REFUSED:
        cannot(REFUSED[type])
    if type not in EXPORTERS:
        cannot("minidl has no translation of this type to ONNX")
    return EXPORTERS[type]


def is_left_out(type: str, tops: int) -> bool:
    """Return whether layers of this type go, all tops of them."""
    return type in LEFT_OUT and not (type in EXPORTERS and tops > 1)


def becomes(type: str) -> str:
    """Say what layers of a type become; "" for a type that nobody has translated."""
    if type in SOURCES:
        return f"{SOURCES[type]}: its tops become inputs"
    if type in REFUSED:
        return f"refused: {REFUSED[type]}"
    parts = [WORDS[type]] if type in WORDS else []
    parts += [f"left out: {LEFT_OUT[type]}"] if type in LEFT_OUT else []
    return "; ".join(parts)
