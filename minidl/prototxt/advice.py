"""Suggest what an unknown field may have been meant to be."""

from __future__ import annotations

import re

from minidl import schema
from minidl.errors import did_you_mean, nearest
from minidl.prototxt.block import Block
from minidl.prototxt.elsewhere import field_hint, type_hint
from minidl.prototxt.fields import MESSAGE, fields
from minidl.prototxt.values import short

Parts = tuple[str, str, str]  # found, expected, fix

LAYER_TYPES: set[str] = set()  # layers add theirs; empty until a layer is imported

_CALLED = {
    "NetParameter": "the net",
    "SolverParameter": "the solver",
    "LayerParameter": "the layer",
    "V1LayerParameter": "the layer, in its old form,",
    "V0LayerParameter": "the inner layer",
}
_MOVED = {  # fields of `layers` that `layer` has under another name
    "blobs_lr": "in 'layer' it is lr_mult: param { lr_mult: ... }, one param for each blob",
    "weight_decay": "in 'layer' it is decay_mult: param { decay_mult: ... }, one for each blob",
    "blob_share_mode": "in 'layer' it is share_mode: param { share_mode: ... }, one for each blob",
}
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def called(block: Block) -> str:
    """Return a message's name for errors: its path within the layer, or its kind."""
    return block.path or _CALLED.get(block.kind, f"the {block.kind}")


def unknown_field(name: str, block: Block, near: bool) -> Parts:
    """Return the parts of an error about a field that `block` does not have.

    near    whether to look for the nearest name, which takes a millisecond
    """
    return f"{called(block)} has no field '{short(name)}'", "", _fix(name, block, near)


def unknown_type(block: Block, near: bool) -> Parts | None:
    """Return the parts of an error if a layer has unknown fields because its type is unknown.

    An unknown type by itself is for the net to refuse, which may well leave the layer out.

    near    as in `unknown_field`
    """
    if block.kind != "LayerParameter" or block.seen.keys() <= block.fields.keys():
        return None
    name = block.message.type
    if not name or name in LAYER_TYPES or not LAYER_TYPES:
        return None
    fix = type_hint(name, LAYER_TYPES if near and len(name) <= 80 else ())
    return f"unknown type '{short(name)}'", "", fix


def _fix(name: str, block: Block, near: bool) -> str:
    if block.kind == "LayerParameter" and name in _MOVED:
        return _MOVED[name]
    if block.layer and (hint := field_hint(name)):
        return hint
    outer = block.outer
    while outer is not None:
        if name in outer.fields:
            return f"it is a field of {called(outer)}: move it out of {called(block)}"
        outer = outer.outer
    inside = [
        info.name
        for info in block.fields.values()
        if info.kind == MESSAGE and name in fields(info.message)
    ]
    if inside and block.kind != "NetParameter":
        names = ", ".join(inside[:3]) + (", ..." if len(inside) > 3 else "")
        return f"it is a field of {names}: move it in there"
    if not near or len(name) > 80:
        return ""
    if not name.endswith("_param"):
        return did_you_mean(name, block.fields)
    # the shared ending would make all names look alike
    stems = [known.removesuffix("_param") for known in block.fields if known.endswith("_param")]
    match = nearest(name.removesuffix("_param"), stems)
    if match:
        return f"did you mean '{match}_param'?"
    if not block.layer:
        return ""
    return "is it from another Caffe? minidl has BVLC's layers and those of docs/forks.md"


def other_kind(root: Block) -> Parts | None:
    """The parts of an error if a solver was read as a net, or a net as a solver."""
    kinds = {"NetParameter": "SolverParameter", "SolverParameter": "NetParameter"}
    other = kinds.get(root.kind)
    if other is None:
        return None
    theirs = fields(getattr(schema, other).DESCRIPTOR)
    given = root.seen.keys()
    unknown = [name for name in given if name not in root.fields]
    if not unknown or any(name not in theirs for name in given):
        return None
    names = ", ".join(unknown[:3]) + (", ..." if len(unknown) > 3 else "")
    article = {kind: called.replace("the", "a") for kind, called in _CALLED.items()}
    return f"this is {article[other]}, with the fields {names}", article[root.kind], ""


def template(text: str) -> Parts:
    """Return the parts of an error if a text is a template still to be filled in; else empty."""
    names = dict.fromkeys(_PLACEHOLDER.findall(text))
    if not names and "{{" not in text:
        return "", "", ""
    found = "this is a template, not yet a prototxt: it has "
    found += f"placeholders like '{{{short(next(iter(names)))}}}'" if names else "doubled braces"
    listing = ", ".join(short(name) for name in list(names)[:5])
    fix = "fill it in first, with Python's str.format"
    if listing:
        fix += f" with {listing}"
    return found, "", fix
