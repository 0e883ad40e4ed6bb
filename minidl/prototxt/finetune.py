"""Fit a net to other classes: change and rename its last layers, freeze what comes before."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from minidl.errors import GraphError, did_you_mean

_LEARNING = {"InnerProduct": "inner_product_param", "Convolution": "convolution_param"}
FASTER = 10  # rate of layers that start from scratch, relative to fine-tuned ones


def heads(net: Any) -> list[Any]:
    """Return the layers whose outputs are the classes' scores: the last that learn before each
    SoftmaxWithLoss. Errors: GraphError where there is none."""
    found: list[Any] = []
    for i, loss in enumerate(net.layer):
        if loss.type == "SoftmaxWithLoss":
            blob = loss.bottom[0]
            for layer in reversed(net.layer[:i]):
                if blob not in layer.top:
                    continue
                if layer.type in _LEARNING:
                    if not any(layer is other for other in found):
                        found.append(layer)
                    break
                blob = layer.bottom[0] if layer.bottom else ""
    if not found:
        raise GraphError(
            "has no InnerProduct or Convolution layer whose outputs go to a SoftmaxWithLoss",
            where=f"net '{net.name}'",
            expected="a net that classifies",
        )
    return found


def outputs(head: Any) -> int:
    """Return how many outputs a layer of `heads` has."""
    return int(getattr(head, _LEARNING[head.type]).num_output)


def set_classes(net: Any, count: int) -> None:
    """Give the last layers `count` outputs, and take out measures of more than the best `count`."""
    for layer in heads(net):
        getattr(layer, _LEARNING[layer.type]).num_output = count
    kept = [x for x in net.layer if x.type != "Accuracy" or x.accuracy_param.top_k < max(count, 2)]
    copies = [type(x).FromString(x.SerializeToString()) for x in kept]
    del net.layer[:]
    net.layer.extend(copies)


def rename_heads(net: Any, ending: str) -> dict[str, str]:
    """Give the last layers names of their own, and a higher rate, so that they start from scratch
    while the others take weights from a file. Return the new names by the old ones."""
    names = {}
    for layer in heads(net):
        names[layer.name] = f"{layer.name}_{ending}"
        layer.name = names[layer.name]
        while len(layer.param) < 2:
            layer.param.add(lr_mult=2 if layer.param else 1)
        for param in layer.param:
            param.lr_mult *= FASTER
    return names


def freeze(net: Any, last: str, blobs: Mapping[str, int]) -> list[str]:
    """Keep the parameters of all layers up to and including the layer `last` as they are.

    blobs   how many parameters a layer has, by its name

    Batch normalisation among them uses its stored statistics. Returns the names of the layers
    that have parameters. Errors: GraphError for an unknown name, and for the last layers.
    """
    names = [layer.name for layer in net.layer]
    if last not in names:
        raise GraphError(
            f"has no layer '{last}'", where=f"net '{net.name}'", fix=did_you_mean(last, names)
        )
    end = len(names) - names[::-1].index(last)
    for head in heads(net):
        if any(layer is head for layer in net.layer[:end]):
            raise GraphError(
                f"freezing all up to '{last}' freezes '{head.name}', which must learn the classes",
                where=f"net '{net.name}'",
                fix="name an earlier layer",
            )
    frozen = []
    for layer in net.layer[:end]:
        if layer.type == "BatchNorm":
            layer.batch_norm_param.use_global_stats = True
        count = blobs.get(layer.name, 0)
        while len(layer.param) < count:
            layer.param.add()
        for param in layer.param:
            param.lr_mult = param.decay_mult = 0
        if count and layer.name not in frozen:
            frozen.append(layer.name)
    return frozen


def missing(net: Any, blobs: Collection[str], anew: Collection[str]) -> list[str]:
    """Return the layers that usually learn but have no weights in a file, except `anew`."""
    return [
        layer.name
        for layer in net.layer
        if layer.type in _LEARNING and layer.name not in blobs and layer.name not in anew
    ]
