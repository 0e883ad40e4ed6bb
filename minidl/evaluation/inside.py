"""What a net holds and what it makes of one picture, array by array: layers.json and PNGs.

Of every layer its parameters and its tops, with statistics, a histogram and a picture of tiles. A
layer that works in place gets a top of its own first, so that its bottom can be seen, too.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minidl import schema
from minidl.arrays import facts
from minidl.data import browsing, planes
from minidl.draw import colours, tiles
from minidl.evaluation import measures, pictures, run, task
from minidl.evaluation.restore import Restorer
from minidl.net import NetOfImages
from minidl.prototxt import deploy
from minidl.prototxt.phases import filter_layers, net_state
from minidl.storage import files

NAME, FORMAT, INPUT = "layers.json", "minidl layers 1", "input.png"
BINS = 20
WIDTH = 1200  # pixels of a picture of tiles, at most
GAP = 255  # of the palette: transparent, between tiles
TOP = 5


class Inside(NetOfImages):
    """A net of images in which no layer works in place, so that every blob can be looked at.

    shown   the prototxt's name of each blob
    """

    def __init__(self, model: Any, pretrained: Any, *, preprocess: Any = None, **options: Any):
        level, stages = options.get("level") or 0, options.get("stages") or ()
        shape = preprocess.shape() if preprocess is not None else None
        if shape is not None and not deploy.is_for_use(model, level, stages):
            model = deploy.for_use(model, (1, *shape), level, stages)
        model, self.shown = apart(model, level, stages)
        super().__init__(model, pretrained, preprocess=preprocess, **options)


def apart(net: Any, level: int = 0, stages: Sequence[str] = ()) -> tuple[Any, dict[str, str]]:
    """Return a net of phase TEST whose layers write to tops of their own, and the blobs' old names.

    >>> from minidl.prototxt import read_net
    >>> net, names = apart(read_net('''
    ... layer { name: "a" type: "Input" top: "x" input_param { shape { dim: 1 } } }
    ... layer { name: "b" type: "ReLU" bottom: "x" top: "x" }
    ... layer { name: "c" type: "Power" bottom: "x" top: "y" }'''))
    >>> [(list(layer.bottom), list(layer.top)) for layer in net.layer]
    [([], ['x']), (['x'], ['x after b']), (['x after b'], ['y'])]
    >>> names["x after b"]
    'x'
    """
    result = schema.NetParameter()
    result.CopyFrom(filter_layers(net, net_state(schema.TEST, level or net.state.level, stages)))
    now: dict[str, str] = {}  # what a blob of the prototxt is called at this place
    names: dict[str, str] = {}
    for layer in result.layer:
        below = list(layer.bottom)
        for i, name in enumerate(below):
            layer.bottom[i] = now.get(name, name)
        for i, name in enumerate(layer.top):
            if name in below:
                now[name] = f"{name} after {layer.name}"
                layer.top[i] = now[name]
            names[layer.top[i]] = name
    return result, names


class Tiled(NamedTuple):
    """A picture of tiles: numbers of the palette (H, W), or red, green, blue and alpha (H, W, 4).

    tiles   rows, columns, height and width of a tile;  cut   what is left out, a sentence or ""
    """

    image: np.ndarray
    tiles: tuple[int, int, int, int]
    cut: str = ""


def look(
    net: Any,
    folder: Path,
    *,
    picture: Any = None,
    labels: Sequence[str] = (),
    layers: Collection[str] = (),
    tick: Callable[[int, int], object] = lambda done, total: None,
) -> dict[str, Any]:
    """Write layers.json and a PNG for each array that can be drawn; return what it says.

    net       an `Inside`; without a picture any Net
    picture   what goes through it, as `net.preprocess` takes it
    layers    only these; all of them by default
    tick      called with how many layers are done, and of how many
    """
    result: dict[str, Any] = {"format": FORMAT, "picture": None, "top": [], "params": 0}
    names = getattr(net, "shown", {})
    order = "BGR"
    if picture is not None:
        order = net.preprocess.channels if net.preprocess is not None else "BGR"
        result |= _forward(net, picture, labels, folder)
    owned = {p.owner: p for n in net.blueprint.nodes for p in n.params if p.owner == p.key}
    result["params"] = sum(math.prod(p.shape) for p in owned.values())
    kept = [
        n for n in net.blueprint.nodes if n.type != "Split" and (not layers or n.name in layers)
    ]
    found: list[dict[str, Any]] = []
    count = 0
    for i, node in enumerate(kept):
        arrays = []
        for name, kind, values, drawn in _arrays(net, node, names, order, picture is not None):
            file = None
            if isinstance(drawn, Tiled):
                file, count = f"{count:03d}.png", count + 1
                _write(folder / file, drawn.image)
            arrays.append(_entry(name, kind, values, drawn, file))
        params = sum(math.prod(p.shape) for p in node.params)
        found.append({"name": node.name, "type": node.type, "params": params, "arrays": arrays})
        tick(i + 1, len(kept))
    result["layers"] = found
    files.write_all(
        folder / NAME, [run.to_json(result).encode("utf-8", "surrogateescape")], own=True
    )
    return result


def _forward(net: Any, picture: Any, labels: Sequence[str], folder: Path) -> dict[str, Any]:
    """Put the picture through the net; return its file and the best classes."""
    ready = net.preprocess(picture)[None]
    inputs: dict[str, Any] = {net.input: ready}
    net.forward(**inputs)
    found: dict[str, Any] = {}
    if net.preprocess is not None and hasattr(net.preprocess, "transform"):
        seen = Restorer(net.preprocess.transform, rgb=net.preprocess.channels == "RGB")
        pixels = browsing.png(pictures.to_bytes(seen(ready))[0])
        files.write_all(folder / INPUT, [pixels], own=True)
        found["picture"] = INPUT
    what = task.of(net.blueprint.nodes)
    if what.kind == task.CLASSES:
        scores = net.device.to_host(net.blobs[what.output].data)[:1].reshape(1, -1)
        scores = (measures.softmax(scores) if what.then else scores)[0]
        best = np.argsort(-scores, kind="stable")[:TOP].tolist()
        named = labels if len(labels) == scores.size else [str(i) for i in range(scores.size)]
        found["top"] = [[named[i], float(scores[i])] for i in best]
    return found


def _arrays(net: Any, node: Any, names: dict[str, str], order: str, ran: bool) -> Any:
    """Yield name, kind, values, and the Tiled or why there is none, of each array of a layer."""
    host = net.device.to_host
    for i, (plan, param) in enumerate(zip(node.params, node.layer.params, strict=True)):
        values = host(param.data)
        yield f"{node.name} {plan.attr}", "weight", values, of_weights(values, i, node, order)
    if ran:
        for top in node.tops:
            values = host(net.blobs[top].data)
            coloured = top in net.inputs
            yield names.get(top, top), "activation", values, of_blob(values, node, order, coloured)


def of_weights(values: np.ndarray, place: int, node: Any, order: str = "BGR") -> Tiled | str:
    """Return a parameter's picture, or why there is none.

    Filters of three inputs are coloured, of others a tile for each input; the rows of a matrix that
    reads a map are drawn like filters.
    """
    if place:
        return "only a layer's first parameter is drawn"
    below = node.bottom_shapes[0] if node.bottom_shapes else ()
    if values.ndim == 2 and len(below) == 4 and values.shape[1] == math.prod(below[1:]):
        values = values.reshape(-1, *below[1:])
    if values.ndim != 4:
        return f"a matrix of {' x '.join(map(str, values.shape))} has no height and width"
    if values.shape[1] == 3:
        some, cut = _fitting(values, values.shape[2:], "filters")
        return _coloured(tiles.filters(some, order), cut)
    return _tiled(values.reshape(-1, *values.shape[2:]), scale=True)


def of_blob(values: np.ndarray, node: Any, order: str, coloured: bool) -> Tiled | str:
    """Return the picture of a blob's first item, or why there is none; numbers without height and
    width are tiles of a pixel. Probabilities of a Softmax are drawn as they are, from 0 to 1."""
    if values.ndim < 2 or not values.size:
        return "it has no item with channels"
    item = values[0]
    if coloured and values.ndim == 4 and len(item) == 3:
        return _coloured(tiles.filters(values[:1], order), "")
    planes = item if item.ndim == 3 else item.reshape(-1, 1, 1)
    return _tiled(planes, scale=node.type != "Softmax")


def _tiled(planes: np.ndarray, scale: bool) -> Tiled:
    """Return planes (N, h, w) as tiles; there is nothing between tiles of one pixel."""
    gap = 0 if planes.shape[1:] == (1, 1) else 1
    some, cut = _fitting(planes, planes.shape[1:], "planes", gap)
    return _grid(tiles.scaled(some) if scale else some, cut, gap)


def _fitting(
    planes: np.ndarray, size: Sequence[int], what: str, gap: int = 1
) -> tuple[np.ndarray, str]:
    """Return the planes that a picture has room for, and what is left out; also of each plane."""
    height, width = size
    most = max(1, (WIDTH + gap) // (width + gap)) * max(1, (WIDTH + gap) // (height + gap))
    cut = [f"the first {most:,} of {len(planes):,} {what}"] if len(planes) > most else []
    if max(size) > WIDTH:
        cut.append(f"the first {WIDTH} rows and columns")
        planes = planes[..., :WIDTH, :WIDTH]
    return planes[:most], ", ".join(cut)


def _grid(planes: np.ndarray, cut: str, gap: int = 1) -> Tiled:
    columns = _columns(planes.shape, gap)
    numbers = colours.levels(planes, GAP)
    image = tiles.grid(numbers, columns, gap, GAP)
    return Tiled(image, (-(-len(planes) // columns), columns, *planes.shape[1:3]), cut)


def _coloured(planes: np.ndarray, cut: str) -> Tiled:
    columns = _columns(planes.shape, 1)
    solid = np.concatenate([planes, np.ones((*planes.shape[:3], 1), planes.dtype)], axis=3)
    image = np.rint(tiles.grid(solid, columns, 1, 0.0) * 255).astype(np.uint8)
    return Tiled(image, (-(-len(planes) // columns), columns, *planes.shape[1:3]), cut)


def _columns(shape: Sequence[int], gap: int) -> int:
    """Return how many tiles to put in a row: about a square, and no wider than WIDTH."""
    count, height, width = shape[:3]
    square = round(math.sqrt(count * (height + gap) / (width + gap)))
    return max(1, min(square, (WIDTH + gap) // (width + gap)))


def _entry(name: str, kind: str, values: np.ndarray, drawn: Tiled | str, file: str | None) -> Any:
    known = facts.facts(values, int(kind == "activation"))
    finite = known.bad < values.size
    span = (known.least, known.most) if finite else None
    counts, edges = facts.histogram(values, BINS, span)
    picture = isinstance(drawn, Tiled)
    return {
        "name": name,
        "kind": kind,
        "shape": list(known.shape),
        "mean": known.mean,
        "std": known.std,
        "min": known.least,
        "max": known.most,
        "zeros": known.zeros,
        "idle": known.idle,
        "bad": known.bad,
        "counts": counts.tolist(),
        "edges": [float(edges[0]), float(edges[-1])],
        "picture": file,
        "tiles": list(drawn.tiles) if isinstance(drawn, Tiled) else None,
        "cut": drawn.cut if isinstance(drawn, Tiled) else "",
        "why_not": "" if picture else drawn,
    }


def _write(path: Path, image: np.ndarray) -> None:
    """Write a PNG of numbers of the palette, (H, W), or of colours, (H, W, 4)."""
    made, file = planes.pillow().fromarray(image), io.BytesIO()
    if image.ndim == 2:
        made.putpalette([*colours.viridis(GAP).reshape(-1).tolist(), 255, 255, 255])
        made.save(file, "PNG", compress_level=1, transparency=GAP)
    else:
        made.save(file, "PNG", compress_level=1)
    files.write_all(path, [file.getvalue()], own=True)
