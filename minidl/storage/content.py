"""The contents of a weight file in any format: arrays by layer and index.

npz, safetensors and HDF5 files name an array LAYER/INDEX, "conv1/0". Next to the arrays they hold a
short JSON text with what their format has no place for: the net's name, the order of the layers and
their types.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidl.errors import FormatError

DESCRIPTION = "minidl"  # what that text is called
_KEY = re.compile(r"(.*)/(0|[1-9]\d{0,3})", re.DOTALL)
_WIDEST = 1000  # blobs of one layer; no layer has ten


@dataclass
class LayerWeights:
    """The parameters of one layer in a file.

    type      as spelled in the file: "Convolution", "CONVOLUTION" (2014), "conv" (2013), "" (HDF5)
    blobs     arrays, float32 or float64, perhaps views of the file's bytes, not to be written to;
              None for one that is stored with the layer it is shared with (Weights.owners_only)
    legacy    for each blob whether its shape is the old four axes, 1 x 1 x 1 x N for a bias
    """

    name: str
    type: str
    blobs: list[Any] = field(default_factory=list)
    legacy: list[bool] = field(default_factory=list)


@dataclass
class Weights:
    """The contents of a weight file: the net's name, its layers with blobs, and remarks about it.

    owners_only    a parameter that layers share is stored once, with the first of them: so does
                   Caffe's HDF5, where a .caffemodel repeats it
    """

    name: str
    layers: list[LayerWeights]
    notes: list[str]
    owners_only: bool = False


def named(weights: Weights) -> Iterator[tuple[str, np.ndarray]]:
    """Yield ("conv1/0", array) for every array."""
    for layer in weights.layers:
        for i, blob in enumerate(layer.blobs):
            if blob is not None:
                yield f"{layer.name}/{i}", blob


def drop_repeated(weights: Weights) -> list[str]:
    """Keep the last of several layers of one name, as loading does; returns a remark for each.

    Only a caffemodel can have them: in the other formats names are keys.
    """
    last = {layer.name: layer for layer in weights.layers}
    names = [layer.name for layer in weights.layers]
    weights.layers = list(last.values())
    return [
        f"has {names.count(name)} layers called {name}: the last one counts"
        for name in last
        if names.count(name) > 1
    ]


def describe(weights: Weights) -> str:
    """Return the text that goes with the arrays.

    >>> describe(Weights("LeNet", [LayerWeights("ip1", "InnerProduct", [np.zeros(2)])], []))
    '{"version": 1, "net": "LeNet", "layers": [{"name": "ip1", "type": "InnerProduct"}]}'
    """
    layers = []
    for layer in weights.layers:
        entry: dict[str, Any] = {"name": layer.name, "type": layer.type}
        if any(layer.legacy):
            entry["legacy"] = layer.legacy
        layers.append(entry)
    said: dict[str, Any] = {"version": 1, "net": weights.name, "layers": layers}
    if weights.owners_only:
        said["owners_only"] = True
    return json.dumps(said)


def gather(arrays: Mapping[str, np.ndarray], text: str, path: str, owners_only: bool) -> Weights:
    """Return the weights whose arrays are named LAYER/INDEX, in the order of the description.

    text    the description, '' if the file has none: then layers come in the arrays' order

    Errors: FormatError for names of another kind, and for a layer that skips an index.
    """
    found: dict[str, dict[int, np.ndarray]] = {}
    for key, array in arrays.items():
        match = _KEY.fullmatch(key)
        if match is None or int(match[2]) >= _WIDEST:
            raise FormatError(
                f"holds an array called '{key[:80]}'",
                where=path,
                expected="LAYER/INDEX, such as conv1/0 and conv1/1, the blobs of layer conv1",
            )
        found.setdefault(match[1], {})[int(match[2])] = array
    said = _parse(text)
    owners_only = owners_only or said.get("owners_only") is True
    entries = {e["name"]: e for e in said["layers"]}
    order = [name for name in entries if name in found]
    order += [name for name in found if name not in entries]
    weights = Weights(said["net"], [], [], owners_only)
    for name in order:
        indexed, entry = found[name], entries.get(name, {})
        blobs = [indexed.get(i) for i in range(max(indexed) + 1)]
        if not owners_only and any(blob is None for blob in blobs):
            gap = next(i for i, blob in enumerate(blobs) if blob is None)
            raise FormatError(
                f"has blob {max(indexed)} of layer '{name}', but not blob {gap}", where=path
            )
        legacy = [old is True for old in entry.get("legacy", [])][: len(blobs)]
        legacy += [False] * (len(blobs) - len(legacy))
        legacy = [
            old and b is not None and b.ndim == 4 for old, b in zip(legacy, blobs, strict=True)
        ]
        weights.layers.append(LayerWeights(name, entry.get("type", ""), blobs, legacy))
    if not weights.layers:
        weights.notes.append("holds no weights")
    return weights


def _parse(text: str) -> dict[str, Any]:
    """Parse a description; one that minidl did not write gives no layers."""
    nothing: dict[str, Any] = {"net": "", "layers": []}
    try:
        said = json.loads(text) if text else nothing
    except (ValueError, RecursionError):
        return nothing
    if not isinstance(said, dict) or not isinstance(said.get("layers"), list):
        return nothing
    said["layers"] = [entry for entry in said["layers"] if _is_layer(entry)]
    said["net"] = said["net"] if isinstance(said.get("net"), str) else ""
    return said


def _is_layer(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("name"), str)
        and isinstance(entry.get("type", ""), str)
        and isinstance(entry.get("legacy", []), list)
    )


def as_floats(array: np.ndarray, name: str, path: str) -> np.ndarray:
    """The array in float32 or float64, in the machine's byte order; exact.

    Errors: FormatError for numbers that are not floating-point.
    """
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise FormatError(
            f"array '{name[:80]}' has the type {array.dtype}",
            where=path,
            expected="floating-point numbers of at most 64 bits",
        )
    wanted = np.float64 if array.dtype.itemsize == 8 else np.float32
    return np.ascontiguousarray(array, wanted).reshape(array.shape)  # () stays ()
