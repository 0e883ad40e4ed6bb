"""What `minidl time` measured, as a table and in words."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from minidl.arrays.units import bytes_
from minidl.cli import table

Json = dict[str, Any]
WAYS = ("forward", "backward")


def report(result: Json) -> str:
    """The result as a table: medians, which a busy machine disturbs less than means."""
    rows = [_row(layer) for layer in result["layers"]]
    for name, what in (("waiting for data", "waiting"), ("between layers", "between_layers")):
        ms, share = result[f"{what}_median_ms"], f"{100 * result[f'{what}_share']:.1f} %"
        if what == "waiting" and ms:
            rows.append([name, "", "", f"{ms:.3f}", "", "", "", "", share])
        elif what != "waiting":
            rows.append([name, "", "", "", "", "", "", "", share])
    forward, backward, both, floor = (
        result[name]
        for name in (
            "forward_median_ms",
            "backward_median_ms",
            "forward_backward_median_ms",
            "floor_ms",
        )
    )
    whole = [f"{forward:.3f}", f"{backward:.3f}", "", f"{floor:.3f}", _times(both, floor), ""]
    rows += [[""], ["whole net", "", "", *whole]]
    header = ["layer", "type", "engine", "forward ms", "backward ms", "GFLOP/s"]
    header += ["floor ms", "x floor", "share"]
    lines = [table.render(header, rows, left=3), ""]
    if not any(layer["backward_ms"] for layer in result["layers"]):
        lines.append("No layer runs backward: nothing that a loss depends on needs a gradient.")
    lines.append(
        f"{both:.3f} ms for a batch of {result['batch']}, {result['batch'] / both * 1e3:.1f} "
        f"records/s; medians of {result['iterations']} passes in phase {result['phase']}"
    )
    if "iteration_ms" in result:
        lines.append(_iteration(result))
    return "\n".join([*lines, "", _speeds(result), *_explained(result)])


def _iteration(result: Json) -> str:
    """What a training iteration takes on a GPU, where no layer is looked at."""
    ms = result["iteration_median_ms"]
    how = "one CUDA graph" if result["graph"] else f"no CUDA graph ({result['graph_off']})"
    text = f"as a solver runs it, {how}: {ms:.3f} ms, {result['batch'] / ms * 1e3:.1f} records/s"
    floor = result["iteration_x_floor"]
    return f"{text}, {floor:.1f} times the floor" if floor else text


def _row(layer: Json) -> list[str]:
    return [
        layer["name"],
        layer["type"],
        _who(layer),
        f"{layer['forward_median_ms']:.3f}",
        f"{layer['backward_median_ms']:.3f}",
        f"{layer['gflops']:.1f}" if layer["gflops"] >= 0.05 else "",
        f"{layer['floor_ms']:.3f}" if layer["floor_ms"] else "",
        _times(median_ms(layer), layer["floor_ms"]),
        f"{100 * layer['share']:.1f} %",
    ]


def median_ms(layer: Json) -> float:
    """A layer's forward and backward together."""
    return float(layer["forward_median_ms"] + layer["backward_median_ms"])


def _times(ms: float, floor: float) -> str:
    return f"{ms / floor:.{1 if ms < 100 * floor else 0}f}" if floor else ""


def _speeds(result: Json) -> str:
    """What the floors are worked out with."""
    sizes = result["copy_gbytes"]
    copies = (f"{sizes[size]:.0f} GB/s of {bytes_(size)}" for size in (min(sizes), max(sizes)))
    where = f"{result['threads']} thread{'s' if result['threads'] > 1 else ''}"
    if "gpu" in result:
        where = f"{result['math']} on {result['gpu']}"
    return (
        f"floors: {result['product_gflops']:.0f} GFLOP/s, the best of matrix products and layers; "
        f"copies at {' to '.join(copies)}; {where}"
    )


def _explained(result: Json) -> list[str]:
    """A line for each of the layers that are furthest above their floor."""
    layers = {layer["name"]: layer for layer in result["layers"]}
    worst = [layers[name] for name in result["worst"]]
    return ["furthest above their floors:", *map(_explain, worst)] if worst else []


def _who(layer: Json) -> str:
    from minidl.net.report import Execution

    return str(Execution(**{f.name: layer[f.name] for f in fields(Execution)}))


def _explain(layer: Json) -> str:
    """'norm1: 3.1 ms above its floor; onednn ...; forward 2.9 ms, arrays (74 MiB) take 1.2 ms'."""
    from minidl.net.report import Conversion

    said = [f"{layer['above_floor_ms']:.3g} ms above its floor", _who(layer)]
    for way in WAYS:
        floor = layer[f"{way}_floor_ms"]
        if not floor:
            continue
        what = f"arrays ({bytes_(layer[f'{way}_bytes'])}) take"
        if layer[f"{way}_bound"] == "arithmetic":
            what = f"arithmetic ({table.count(layer[f'{way}_flop'])}FLOP) takes"
        said.append(f"{way} {layer[f'{way}_median_ms']:.3g} ms, {what} {floor:.3g} ms")
    if not layer["floor_ms"]:
        said.append("nothing that it does has a floor")
    said += [f"converts {Conversion(*copy.values()).what}" for copy in layer["conversions"]]
    if layer["engine"] == "numpy":
        said.append(layer["why"])
    return f"  {layer['name']}: " + "; ".join(part for part in said if part)
