"""What a net answers: a class, a class for each pixel, a picture, or boxes; and in which blob."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from minidl import schema
from minidl.errors import UsageError
from minidl.net.node import Node
from minidl.prototxt.deploy import READERS, SCORES
from minidl.prototxt.phases import filter_layers, net_state

CLASSES, PIXELS, PICTURES, BOXES = "classification", "segmentation", "pairs", "detection"
SAME_SIZE = {  # losses that compare two arrays of one size: what makes the former comparable
    "EuclideanLoss": "",
    "L1Loss": "",
    "SmoothL1Loss": "",
    "SigmoidCrossEntropyLoss": "sigmoid",
}
_COPIES = ("Split", "Flatten", "Reshape", "Silence")
_FINDERS = ("DetectionOutput",)


@dataclass(frozen=True)
class Task:
    """What a net answers, and where.

    kind     CLASSES, PIXELS, PICTURES or BOXES
    output   the blob with the answers: scores (N, C, ...), pictures of any shape, rows of boxes
    shape    of that blob
    truth    the blob with what should have come; "" where the net has none
    then     "softmax" or "sigmoid": what is still to be done to the output
    source   the top of a data layer that the truth is a copy of; "" where there is none
    ignore   a label that does not count; None: all do
    """

    kind: str
    output: str
    shape: tuple[int, ...]
    truth: str = ""
    then: str = ""
    source: str = ""
    ignore: int | None = None


def of(nodes: Sequence[Node]) -> Task:
    """Return what a net of phase TEST answers, by its last loss, or by its last layer.

    nodes   of a net or a blueprint

    Errors: UsageError for one that answers something else.
    """
    shapes = {t: s for n in nodes for t, s in zip(n.tops, n.top_shapes, strict=True)}
    first = next((n for n in nodes if not n.bottoms and n.tops), None)
    picture = tuple(first.top_shapes[0][1:]) if first is not None else ()
    finder = next((n for n in reversed(nodes) if n.type in _FINDERS), None)
    if finder is not None:
        truth = next((n.bottoms[1] for n in nodes if n.type == "DetectionEvaluate"), "")
        return Task(BOXES, finder.tops[0], shapes[finder.tops[0]], _origin(truth, nodes))
    losses = [n for n in nodes if n.type.endswith("Loss") and len(n.bottoms) >= 2]
    counting = [n for n in losses if any(n.loss_weights)] or losses
    if not counting:
        return _by_last_layer(nodes, shapes, picture)
    loss = next((n for n in reversed(counting) if n.type in SCORES), counting[-1])
    output, truth = (_unsplit(blob, nodes) for blob in loss.bottoms[:2])
    shape, own = shapes[output], _made_by(nodes, output)
    if loss.type in SAME_SIZE:
        if not is_picture(shape, picture):
            raise UsageError(
                f"net answers arrays of {shape}, which are no pictures",
                where=loss.layer.where,
                expected="classes, pictures, a class for each pixel, or boxes",
            )
        source = _origin(truth, nodes)
        return Task(PICTURES, output, shape, truth, SAME_SIZE[loss.type], source)
    p = loss.spec.loss_param
    then = "" if own == "Softmax" else "softmax"
    ignore = p.ignore_label if p.HasField("ignore_label") else None
    kind = PIXELS if math.prod(shape[2:]) > 1 else CLASSES
    return Task(kind, output, shape, truth, then, _origin(truth, nodes), ignore)


class Aim(NamedTuple):
    """What a net that answers with pictures was trained towards.

    input       whether that is what goes in, as for an autoencoder
    transform   the TransformationParameter of the data layer that it comes from; None: not known
    """

    input: bool
    transform: Any


def aim_of(net: Any, level: int = 0, stages: Sequence[str] = ()) -> Aim:
    """Return what the last loss of a net for training compares its pictures with.

    net   a NetParameter; one for use says nothing
    """
    kept = list(filter_layers(net, net_state(schema.TEST, level, stages)).layer)
    losses = [x for x in kept if x.type in SAME_SIZE and len(x.bottom) >= 2]
    losses = [x for x in losses if list(x.loss_weight[:1]) != [0]] or losses
    blob = losses[-1].bottom[1] if losses else ""
    for layer in reversed(kept):
        if not blob or blob not in layer.top:
            continue
        if layer.type in READERS:
            first = next(x for x in kept if x.type in READERS)
            return Aim(layer is first and blob == layer.top[0], layer.transform_param)
        blob = layer.bottom[0] if layer.type in _COPIES and layer.bottom else ""
    return Aim(False, None)


def is_picture(shape: Sequence[int], picture: Sequence[int]) -> bool:
    """Return whether a blob of this shape holds pictures: as many values as the net's input
    (C, H, W) has, or one or three channels with rows and columns."""
    if math.prod(shape[1:]) == math.prod(picture) > 1:
        return True
    return len(shape) == 4 and shape[1] in (1, 3) and min(shape[2:]) > 2


def _by_last_layer(nodes: Sequence[Node], shapes: Any, picture: tuple[int, ...]) -> Task:
    """Return the task of a net for use."""
    read = {bottom for node in nodes for bottom in node.bottoms}
    ends = [n for n in nodes if n.bottoms and not read.intersection(n.tops)]
    ends = [n for n in ends if n.tops] or [n for n in nodes if n.tops][-1:]
    if not ends:
        raise UsageError("the net answers nothing", expected="a net with layers")
    last = next((n for n in reversed(ends) if n.type == "Softmax"), ends[-1])
    output = last.tops[0]
    shape = shapes[output]
    if last.type == "Softmax":
        return Task(PIXELS if math.prod(shape[2:]) > 1 else CLASSES, output, shape)
    if is_picture(shape, picture):
        return Task(PICTURES, output, shape)
    if math.prod(shape[2:]) > 1:
        return Task(PIXELS, output, shape, then="softmax")
    return Task(CLASSES, output, shape, then="softmax")


def _made_by(nodes: Sequence[Node], blob: str) -> str:
    """Return the type of the layer that writes a blob last, past Split layers."""
    for node in reversed(nodes):
        if blob in node.tops:
            return _made_by(nodes, node.bottoms[0]) if node.type == "Split" else node.type
    return ""


def _unsplit(blob: str, nodes: Sequence[Node]) -> str:
    """Return the blob as the prototxt calls it: Split layers give its readers other names."""
    for node in nodes:
        if node.type == "Split" and blob in node.tops:
            return node.bottoms[0]
    return blob


def _origin(blob: str, nodes: Sequence[Node]) -> str:
    """Return the data layer's top that a blob is a copy of; "" if it is none."""
    for node in reversed(nodes):
        if blob and blob in node.tops:
            if node.type in READERS or not node.bottoms:
                return blob
            return _origin(node.bottoms[0], nodes) if node.type in _COPIES else ""
    return ""
