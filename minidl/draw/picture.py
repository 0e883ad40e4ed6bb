"""The picture of a net: a box for each layer, with its parameters; arrows for blobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from minidl.draw.svg import Box


def picture(layers: Sequence[Mapping[str, Any]]) -> tuple[list[Box], list[tuple[int, int, str]]]:
    """Boxes and arrows, as `minidl.draw.svg.svg` takes them.

    layers   in the order of execution: `spec`, the LayerParameter; `family`, a key of COLOURS;
             `bottoms` and `tops`; `in_place`; if known, `top_shapes`; if there is one, a `note`

    Where layers for several phases make one blob, arrows lead from all of them.
    """
    drawn: list[dict[str, Any]] = []
    arrows: list[tuple[int, int, str]] = []
    makers: dict[str, list[int]] = {}  # blob -> numbers of boxes
    shapes: dict[str, str] = {}
    for layer in layers:
        spec, bottoms, tops = layer["spec"], layer["bottoms"], layer["tops"]
        family, said = layer["family"], " ".join(filter(None, [spec.type, detail(spec)]))
        if layer["in_place"] and len(bottoms) == 1 and bottoms[0] in makers:
            for number in makers[bottoms[0]]:
                drawn[number]["strips"].append((family, said))
            continue
        number = len(drawn)
        for blob in bottoms:
            text = f"{blob}: {shapes[blob]}" if shapes.get(blob) else blob
            arrows += [(maker, number, text) for maker in makers.get(blob, ())]
        made = [_shape(shape) for shape in layer.get("top_shapes", ())] or [""] * len(tops)
        pairs = list(zip(tops, made, strict=True))
        lines = [shape if len(pairs) == 1 else f"{top}: {shape}" for top, shape in pairs if shape]
        drawn.append(
            {
                "title": spec.name,
                "lines": [said, layer["note"]] if layer.get("note") else [said],
                "strips": [],
                "shapes": lines,
                "family": family,
            }
        )
        for top in tops:
            makers[top] = [number] if top in bottoms else [*makers.get(top, ()), number]
        shapes.update(pairs)
    return [Box(**facts) for facts in drawn], arrows


def detail(spec: Any) -> str:
    """Return a layer's parameters in few words: '3 × 3, stride 2, pad 1'."""
    if spec.type in ("Convolution", "Deconvolution", "Im2col"):
        p = spec.convolution_param
        parts = [_window(p, list(p.kernel_size), list(p.stride), list(p.pad))]
        parts += [f"dilation {_times(p.dilation)}"] if any(d > 1 for d in p.dilation) else []
        parts += [f"group {p.group}"] if p.group > 1 else []
        return ", ".join(filter(None, parts))
    if spec.type == "Pooling":
        p = spec.pooling_param
        kind = p.PoolMethod.Name(p.pool)
        if p.global_pooling:
            return f"{kind} of all"
        kernel = [p.kernel_size] if p.HasField("kernel_size") else []
        return f"{kind} {_window(p, kernel, [p.stride], [p.pad])}"
    if spec.type == "Eltwise":
        return str(spec.eltwise_param.EltwiseOp.Name(spec.eltwise_param.operation))
    if spec.type == "Dropout":
        return f"{spec.dropout_param.dropout_ratio:g}"
    if spec.type == "LRN":
        return f"{spec.lrn_param.local_size}"
    return ""


def _window(p: Any, kernel: list[int], stride: list[int], pad: list[int]) -> str:
    sizes = {"": kernel, "stride": stride, "pad": pad}
    for name, stem in (("", "kernel"), ("stride", "stride"), ("pad", "pad")):
        if p.HasField(f"{stem}_h") or p.HasField(f"{stem}_w"):
            sizes[name] = [getattr(p, f"{stem}_h"), getattr(p, f"{stem}_w")]
    said = [_times(sizes[""] * 2 if len(sizes[""]) == 1 else sizes[""])]
    said += [f"stride {_times(sizes['stride'])}"] if set(sizes["stride"]) - {1} else []
    said += [f"pad {_times(sizes['pad'])}"] if any(sizes["pad"]) else []
    return ", ".join(filter(None, said))


def _times(sizes: Sequence[int]) -> str:
    return " × ".join(map(str, sizes))


def _shape(shape: Sequence[int]) -> str:
    return _times(shape) or "one number"
