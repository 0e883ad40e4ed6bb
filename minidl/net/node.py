"""A layer in its place: the one record that every pass over a net takes, and returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from minidl.arrays.memory import Layout, Shape

Layouts = tuple[Layout | None, ...]  # one for each blob, None: plain; () where all are


@dataclass(frozen=True)
class ParamPlan:
    """One parameter of one layer.

    key       "conv1/0": layer and index, as in a caffemodel
    attr      the layer's attribute it is bound to ("weight")
    owner     key of the parameter whose memory it uses: its own key, or, where `param { name }`
              is shared, that of the first layer with this name
    filler    FillerParameter or None
    name      what `param { name }` calls it, '' without
    """

    key: str
    attr: str
    shape: Shape
    lr_mult: float = 1.0
    decay_mult: float = 1.0
    owner: str = ""
    filler: Any = None
    name: str = ""


@dataclass(frozen=True)
class Node:
    """One layer in its place. A pass returns Nodes that know more; what is not known is empty.

    From the file:
        name, type       of the layer
        bottoms, tops    names of blobs; in place, a top has the name of the bottom at its index
        propagate_down   empty, or one flag a bottom

    From the layer (`layers.base.Layer` explains them):
        op, views, view_diffs, keeps_sign, no_gradient, differentiable
        keeps            what its backward reads again: "bottom", "top", "top sign"
        layer            the layer itself, for the code that runs it

    From `infer`:
        bottom_shapes, top_shapes
        params, buffers  what it learns, and what else it needs memory for
        loss_weights     one for each top

    From `gradients`:
        needs_backward, wanted   whether its backward runs, and which bottoms get a gradient

    From `schedule`, where an engine's plan runs it:
        bottom_layouts, top_layouts, bottom_diff_layouts, top_diff_layouts
        keeps            the plan's
        private          those of `keeps` that array code would not read: users may overwrite them
        idle             its forward does nothing: its tops are its bottoms, or users fill them
    """

    name: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    type: str = ""
    propagate_down: tuple[bool, ...] = ()

    op: Any = None
    views: Mapping[int, int] = field(default_factory=dict)
    view_diffs: bool = True
    keeps: tuple[str, ...] = ()
    keeps_sign: bool = False
    no_gradient: tuple[int, ...] = ()
    differentiable: bool = True
    layer: Any = None

    bottom_shapes: tuple[Shape, ...] = ()
    top_shapes: tuple[Shape, ...] = ()
    params: tuple[ParamPlan, ...] = ()
    buffers: Mapping[str, Any] = field(default_factory=dict)
    loss_weights: tuple[float, ...] = ()

    needs_backward: bool = False
    wanted: tuple[bool, ...] = ()

    bottom_layouts: Layouts = ()
    top_layouts: Layouts = ()
    bottom_diff_layouts: Layouts = ()
    top_diff_layouts: Layouts = ()
    private: tuple[str, ...] = ()
    idle: bool = False

    @property
    def spec(self) -> Any:
        """The layer's message."""
        return self.layer.spec

    @property
    def learns(self) -> bool:
        """Whether a solver moves any of its parameters."""
        return any(p.lr_mult != 0 for p in self.params)

    @property
    def in_place(self) -> bool:
        """Whether the first top is the first bottom itself."""
        return bool(self.tops) and self.overwrites(0)

    def overwrites(self, index: int) -> bool:
        """Return whether the top of this index is the bottom at its place."""
        return index < len(self.bottoms) and self.bottoms[index] == self.tops[index]

    def rereads(self, what: str) -> bool:
        """Return whether its backward reads the "bottom" or the "top" again, if only the signs."""
        return what in self.keeps or f"{what} sign" in self.keeps

    @property
    def param_shapes(self) -> dict[str, Shape]:
        return {p.attr: p.shape for p in self.params}

    @property
    def multiply_adds(self) -> int:
        count: int = self.layer.multiply_adds(*self.bottom_shapes)
        return count
