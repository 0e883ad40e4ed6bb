"""`caffe.draw`: a NetParameter as a picture.

The picture is minidl's own, as `minidl draw` writes it but without shapes: what a net of this phase
would be is not worked out here. pydot and Graphviz are not needed.
"""

from __future__ import annotations

import io
import os
from typing import Any

import minidl.layers  # noqa: F401  (registers every layer)
from minidl import prototxt
from minidl.draw.picture import picture
from minidl.draw.svg import Box, svg
from minidl.errors import UsageError
from minidl.layers.base import family_of
from minidl.prototxt import phases
from minidl.storage import files

DIRECTIONS = ("LR", "TB", "BT")


def draw_net(
    caffe_net: Any,
    rankdir: str = "LR",
    ext: str = "png",
    phase: int | None = None,
    display_lrm: bool = False,
) -> bytes:
    """The picture of a net, as the bytes of a file.

    caffe_net     a NetParameter
    rankdir       "LR" from left to right, "TB" from top to bottom; "BT" is drawn as "TB"
    ext           "svg", "dot" or "raw" (Graphviz's language), or what Pillow writes: "png", "pdf"
    phase         only the layers of this phase; None: all of them
    display_lrm   say the rates' multipliers of the parameters, too
    """
    if rankdir not in DIRECTIONS:
        raise UsageError(f"rankdir is {rankdir!r}", expected=", ".join(DIRECTIONS))
    across, title = rankdir == "LR", caffe_net.name or "Net"
    boxes, arrows = picture(_layers(caffe_net, phase, display_lrm))
    if ext == "svg":
        return svg(boxes, arrows, title, across).encode()
    if ext in ("dot", "raw"):
        return _dot(boxes, arrows, title, rankdir).encode()
    from minidl.draw.raster import image

    made, file = image(boxes, arrows, across), io.BytesIO()
    try:
        made.save(file, ext)
    except KeyError:
        known = "svg, dot, raw, or a format that Pillow writes"
        raise UsageError(f"there is no format '{ext}'", expected=known) from None
    return file.getvalue()


def draw_net_to_file(
    caffe_net: Any,
    filename: str | os.PathLike[str],
    rankdir: str = "LR",
    phase: int | None = None,
    display_lrm: bool = False,
) -> None:
    """Write the picture of a net in the format that the file's name ends in."""
    ext = os.path.splitext(os.fspath(filename))[1].removeprefix(".").lower()
    ext = {"jpg": "jpeg"}.get(ext, ext)
    files.write_all(filename, [draw_net(caffe_net, rankdir, ext, phase, display_lrm)])


def _layers(net: Any, phase: int | None, display_lrm: bool) -> list[dict[str, Any]]:
    net, _ = prototxt.upgrade_net(net)
    if phase is not None:
        net = phases.filter_layers(net, phases.net_state(phase))
    return [
        {
            "spec": spec,
            "family": family_of(spec.type),
            "bottoms": list(spec.bottom),
            "tops": list(spec.top),
            "in_place": list(spec.top[:1]) == list(spec.bottom[:1]),
            "note": _rates(spec) if display_lrm else "",
        }
        for spec in net.layer
    ]


def _rates(spec: Any) -> str:
    rates = ", ".join(f"{param.lr_mult:g}" for param in spec.param)
    return f"lr_mult {rates}" if rates else ""


def _dot(boxes: list[Box], arrows: list[tuple[int, int, str]], title: str, rankdir: str) -> str:
    """The same in Graphviz's language."""
    lines = [f"digraph {_quoted(title)} {{", f"rankdir={rankdir};", "node [shape=box];"]
    for i, box in enumerate(boxes):
        said = [box.title, *box.lines, *(text for _, text in box.strips), *box.shapes]
        lines.append(f"n{i} [label={_quoted(chr(10).join(said))}];")
    lines += [f"n{a} -> n{b} [label={_quoted(text)}];" for a, b, text in arrows]
    return "\n".join([*lines, "}", ""])


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
