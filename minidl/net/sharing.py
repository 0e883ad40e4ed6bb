"""Parameters that one net uses of another: a test net those of the net that is trained."""

from __future__ import annotations

import math

import numpy as np

from minidl.arrays.blob import Param, Shape
from minidl.errors import MinidlError, WeightsError, raise_all
from minidl.net.node import Node
from minidl.net.state import State


def share(net: State, other: State) -> None:
    """Let `net`'s parameters use `other`'s arrays, paired as `partners` says.

    Layers of `net` that share a parameter with each other go on to do so, gradient included.
    """
    pairs = partners(net, other)
    _refuse_other_places(net, other, pairs)
    _refuse_other_shapes(net, other, pairs)
    owned = net.parameters.owned()
    for plan, mine in net.parameters.planned():
        if plan.key not in pairs:
            continue
        theirs, owner = pairs[plan.key], owned[plan.owner]
        if mine is not owner and owner.values is theirs.values:
            mine.share(owner, mine.shape)
        else:
            mine.share(theirs, mine.shape, diff=False)
        mine.borrowed = True
        if mine.values is not owner.values:  # plans are made for the owner's layout
            for param in (mine, owner):
                param.arrange(None)
                param.values.plain_only = True


def unshared(net: State, other: State) -> list[str]:
    """Return the layers of `net` with a parameter that `share` leaves to `net` alone."""
    pairs = partners(net, other)
    return [
        node.name
        for node in net.blueprint.nodes
        if any(plan.key not in pairs for plan in node.params)
    ]


def partners(net: State, other: State) -> dict[str, Param]:
    """Find whose values each parameter of `net` is to use, by its key.

    As in Caffe, `other`'s at the same place of the layer of the same name. Where `other` has no
    such layer, what `param { name }` says holds between the nets, too: the parameter follows those
    that `net` shares it with, else it is `other`'s of that name. (Caffe leaves it with the values
    that it was filled with: its issue 4585.)
    """
    theirs = {plan.key: param for plan, param in other.parameters.planned()}
    named = {plan.name: theirs[plan.owner] for plan, _ in other.parameters.planned() if plan.name}
    ours = [plan for plan, _ in net.parameters.planned()]
    both = [plan for plan in reversed(ours) if plan.name and plan.key in theirs]
    named |= {plan.name: theirs[plan.key] for plan in both}
    pairs = {plan.key: theirs.get(plan.key, named.get(plan.name)) for plan in ours}
    return {key: param for key, param in pairs.items() if param is not None}


def _refuse_other_places(net: State, other: State, pairs: dict[str, Param]) -> None:
    mine = (net.device.name, np.dtype(net.dtype))
    theirs = (other.device.name, np.dtype(other.dtype))
    for verb, found, expected in zip(("on", "of"), mine, theirs, strict=True):
        if pairs and found != expected:
            raise WeightsError(
                f"is {verb} {found}",
                where=f"net '{net.name}'",
                expected=f"{expected}, as the net it shares parameters with",
            )


def _refuse_other_shapes(net: State, other: State, pairs: dict[str, Param]) -> None:
    errors: list[MinidlError] = []
    for node in filter(lambda node: node.params, net.blueprint.nodes):
        ours = [plan.shape for plan in node.params]
        if node.name in other.params:
            theirs = [param.shape for param in other.params[node.name]]
        else:
            theirs = [
                _shape_for(node, i, pairs.get(plan.key)) for i, plan in enumerate(node.params)
            ]
        if ours != theirs:
            errors.append(
                WeightsError(
                    f"layer '{node.name}' has parameters of shapes {ours}",
                    where=f"net '{net.name}'",
                    expected=f"{theirs}, as in the net it shares them with",
                )
            )
    raise_all(errors)


def _shape_for(node: Node, index: int, partner: Param | None) -> Shape:
    """Return the shape that a parameter needs to use that of `partner`; its own without one."""
    own = node.params[index].shape
    if partner is None:
        return own
    spec = node.spec.param[index]
    permissive = spec.share_mode == spec.PERMISSIVE
    same = permissive and math.prod(own) == math.prod(partner.shape)
    return own if same else partner.shape
