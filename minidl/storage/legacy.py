"""Weights of old files in today's shapes: a bias of 1 x 1 x 1 x 96 becomes one of 96."""

from __future__ import annotations

import re

import numpy as np

from minidl.storage.content import LayerWeights, Weights

# Types as files of any age spell them, letters only, in lower case -> today's name.
_TYPES = {
    "conv": "Convolution",
    "convolution": "Convolution",
    "deconvolution": "Deconvolution",
    "innerproduct": "InnerProduct",
}
# Today's number of axes of blob 0, of blob 1, and of the rest.
_AXES = {
    "Convolution": (4, 1),
    "Deconvolution": (4, 1),
    "InnerProduct": (2, 1),
    "PReLU": (1,),
    "Scale": (1, 1),
    "Bias": (1,),
    "BatchNorm": (1, 1, 1),
}


def modern(weights: Weights) -> Weights:
    """Return the same weights with today's types and shapes, as far as the types determine them.

    Caffe does the same while loading, where it knows the net: 4 axes with leading 1s lose these. A
    blob of a type that is not in the table above keeps its four axes and stays `legacy`.
    """
    layers = [_modern(layer) for layer in weights.layers]
    return Weights(weights.name, layers, weights.notes, weights.owners_only)


def _modern(layer: LayerWeights) -> LayerWeights:
    type_ = _TYPES.get(re.sub(r"[^a-z]", "", layer.type.lower()), layer.type)
    axes = _AXES.get(type_, ())
    new = LayerWeights(layer.name, type_)
    for i, (blob, old) in enumerate(zip(layer.blobs, layer.legacy, strict=True)):
        keep = axes[i] if i < len(axes) else 4
        fits = old and blob is not None and all(d == 1 for d in blob.shape[: 4 - keep])
        new.blobs.append(blob.reshape(blob.shape[4 - keep :]) if fits else blob)
        new.legacy.append(old and not (fits and i < len(axes)))
    return new


def reshaped(before: Weights, after: Weights) -> list[tuple[str, int, np.ndarray, np.ndarray]]:
    """(layer, index, old array, new array) of every blob whose shape differs."""
    pairs = zip(before.layers, after.layers, strict=True)
    return [
        (old.name, i, b, a)
        for old, new in pairs
        for i, (b, a) in enumerate(zip(old.blobs, new.blobs, strict=True))
        if b is not None and b.shape != a.shape
    ]
