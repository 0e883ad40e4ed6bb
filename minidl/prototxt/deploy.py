"""Turn a net that trains into one to use: an input for its data, scores for its losses."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from minidl import schema
from minidl.errors import GraphError
from minidl.prototxt.phases import filter_layers, net_state

READERS = {  # layers that read a data set: the message with its `source`
    "Data": "data_param",
    "ImageData": "image_data_param",
    "AnnotatedData": "data_param",
    "HDF5Data": "hdf5_data_param",
    "WindowData": "window_data_param",
}
SCORES = {"SoftmaxWithLoss": "Softmax", "SigmoidCrossEntropyLoss": "Sigmoid"}
_SOURCES = (*READERS, "MemoryData")
_MEASURES = ("Accuracy", "Silence", "HDF5Output")


def readers(net: Any, level: int = 0, stages: Sequence[str] = ()) -> list[Any]:
    """Return the layers from which a net gets its data: the first of phase TEST, that of TRAIN."""
    found = []
    for phase in (schema.TEST, schema.TRAIN):
        kept = filter_layers(net, _state(net, phase, level, stages)).layer
        found += [layer for layer in kept if layer.type in _SOURCES][:1]
    return found


def reader(net: Any, level: int = 0, stages: Sequence[str] = ()) -> Any | None:
    """Return the layer from which a net of phase TEST, else TRAIN, gets its data; or None."""
    return next(iter(readers(net, level, stages)), None)


def is_for_use(net: Any, level: int = 0, stages: Sequence[str] = ()) -> bool:
    """Return whether a net of phase TEST takes its data from the program."""
    kept = filter_layers(net, _state(net, schema.TEST, level, stages))
    return bool(kept.input) or any(layer.type == "Input" for layer in kept.layer)


def for_use(net: Any, shape: Sequence[int], level: int = 0, stages: Sequence[str] = ()) -> Any:
    """Return the net of phase TEST without data layers, labels, losses and measures.

    shape   of the Input layer that takes the place of the data layer's first top

    The last loss that has scores (SoftmaxWithLoss, SigmoidCrossEntropyLoss) becomes a layer that
    makes them, 'prob', and only what they depend on is kept. Without such a loss, all layers that
    need no labels are kept. Errors: GraphError for a net without a data layer.
    """
    source = reader(net, level, stages)
    if source is None:
        raise GraphError(
            "has neither a data layer nor an Input layer",
            where=f"net '{net.name}'",
            expected="a train_val.prototxt, or a deploy.prototxt",
        )
    result = filter_layers(net, _state(net, schema.TEST, level, stages))
    layers = [_input(source, shape)]
    head, absent = None, set(source.top[1:])
    for layer in result.layer:
        if layer.type in SCORES and layer.bottom[0] not in absent:
            head = layer
        elif layer.type.endswith("Loss") or layer.type in _MEASURES:
            continue
        elif layer.type in _SOURCES or absent.intersection(layer.bottom):
            absent.update(set(layer.top) - set(source.top[:1]))
        else:
            layers.append(layer)
    if head is not None:
        layers = [
            *_needed(layers, {head.bottom[0]}),
            _scores(head, {n for x in layers for n in x.top}),
        ]
    copies = [schema.LayerParameter.FromString(layer.SerializeToString()) for layer in layers]
    for copy in copies:
        del copy.include[:]
        del copy.exclude[:]
    del result.layer[:]
    result.layer.extend(copies)
    result.ClearField("state")
    return result


def _state(net: Any, phase: int, level: int, stages: Sequence[str]) -> Any:
    """Return the net's own state plus what is asked for."""
    return net_state(phase, level or net.state.level, [*net.state.stage, *stages])


def _input(source: Any, shape: Sequence[int]) -> Any:
    layer = schema.LayerParameter(name=source.name, type="Input", top=[source.top[0]])
    layer.input_param.shape.add(dim=list(shape))
    return layer


def _scores(loss: Any, taken: Collection[str]) -> Any:
    name = "prob" if "prob" not in taken else f"{loss.name}_prob"
    layer = schema.LayerParameter(name=name, type=SCORES[loss.type], bottom=[loss.bottom[0]])
    layer.top.append(name)
    if loss.HasField("softmax_param"):
        layer.softmax_param.CopyFrom(loss.softmax_param)
    return layer


def _needed(layers: list[Any], wanted: set[str]) -> list[Any]:
    """Return the layers on which the blobs `wanted` depend."""
    kept = []
    for layer in reversed(layers):
        if wanted.intersection(layer.top):
            kept.append(layer)
            wanted = wanted.union(layer.bottom)
    return kept[::-1]
