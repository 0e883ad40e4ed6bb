"""The state of a net, shared by its stages: the public Net is one door to it, a pass another."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from minidl import schema
from minidl.arrays.blob import Blob
from minidl.arrays.memory import Shape
from minidl.arrays.rng import DevicePasses
from minidl.engines.select import Policy
from minidl.errors import MinidlError
from minidl.layers.base import Layer
from minidl.net.blueprint import Blueprint
from minidl.net.cuda_pass import CudaPass
from minidl.net.named import Named
from minidl.net.node import Node
from minidl.net.parameters import Params
from minidl.net.program import Program

Callback = Callable[[int], None]


class Callbacks(list[Callback]):
    """Functions of a layer's index; called with one, as pycaffe's scripts do, it is added.

    seeing   they may look at blobs and write to them: so every layer leaves its own top, and what
             is written between two layers counts
    """

    seeing = True

    def __call__(self, callback: Callback) -> None:
        self.append(callback)


class State:
    """The blobs and parameters of a blueprint, and everything that decides how they are run.

    blueprint    layers, shapes and gradients as data;  layers: in the order of execution
    policy       what is asked of the engines
    share, keep  whether blobs give their memory to others (None: where no gradient is lost by it),
                 and which do not
    passes       on a GPU, the number of the pass in its memory; else None
    device, dtype, phase, streams, name   of the blueprint

    blobs        by name;  bottoms, tops: those of each node
    parameters   see Params;  params, learnable: by layer, and each once
    loss_tops    (blob, weight) of every loss; shared_seeds: those where a layer below overwrites
                 the gradient that backward starts from
    before_forward, after_forward, before_backward, after_backward   callbacks

    program      of the last pass;  stale: shapes or seeds have changed since it was made
    separate     every layer has to leave its own top: nothing is computed with the layer before it
    watched      callbacks read blobs and gradients as layers leave them
    cuda_pass    on a GPU, what runs forward and backward at one go
    plans_said   names of the layers whose plans the log has told of
    """

    def __init__(
        self,
        blueprint: Blueprint,
        policy: Policy,
        share: bool | None = False,
        keep: Collection[str] = (),
        passes: DevicePasses | None = None,
    ) -> None:
        self.blueprint, self.policy, self.passes = blueprint, policy, passes
        ctx = blueprint.ctx
        self.device, self.dtype = ctx.device, ctx.dtype
        self.phase, self.streams = ctx.phase, ctx.streams
        self.name, self.layers = blueprint.name, blueprint.layers
        self.is_late = any(layer.is_late for layer in self.layers)
        if share is None:
            learns = any(node.needs_backward for node in blueprint.nodes)
            share = self.phase == schema.TRAIN or not learns
        self.share, self.keep = share and not self.is_late, frozenset(keep)
        self.before_forward, self.after_forward = Callbacks(), Callbacks()
        self.before_backward, self.after_backward = Callbacks(), Callbacks()
        self.callbacks = (
            *(self.before_forward, self.after_forward),
            *(self.before_backward, self.after_backward),
        )
        self.blobs: Named[Blob] = Named(what="blob", of=f"net '{self.name}'")
        self.parameters = Params(blueprint, ctx)
        self.params, self.learnable = self.parameters.by_layer, self.parameters.learnable
        self._following = [
            (layer, list(layer.spec.top))
            for layer in self.layers
            if type(layer).upcoming_shapes is not Layer.upcoming_shapes
        ]
        self.program: Program | None = None
        self.separate = self.watched = False
        self.cuda_pass = CudaPass(self.device, self.dtype, passes) if passes is not None else None
        self.plans_said: set[str] = set()
        self._bind()

    # ------------------------------------------------------------------ blobs

    def _bind(self) -> None:
        """Make blobs of the present shapes; their memory comes with the first pass."""
        self.bottoms: list[list[Blob]] = []
        self.tops: list[list[Blob]] = []
        self.loss_tops: list[tuple[Blob, float]] = []
        self.shared_seeds: list[tuple[Blob, float]] = []
        for node in self.blueprint.nodes:
            bottom = [self.blobs[name] for name in node.bottoms]
            top = [self._top(node, j, bottom) for j in range(len(node.tops))]
            for j, (blob, weight) in enumerate(zip(top, node.loss_weights, strict=True)):
                if weight:
                    self.loss_tops.append((blob, weight))
                    self._start_from(blob, weight)  # where backward starts; it stays, unless
                    if node.in_place or (j in node.views and node.view_diffs):
                        self.shared_seeds.append((blob, weight))  # a layer below shares it
            self.bottoms.append(bottom)
            self.tops.append(top)
        self._free_inputs = [
            (self.blobs[name], self.blobs[name].shape)
            for layer in self.layers
            if layer.type == "Input"
            for name in layer.spec.top
        ]
        self.stale = True

    def _top(self, node: Node, j: int, bottom: list[Blob]) -> Blob:
        name, shape = node.tops[j], node.top_shapes[j]
        if j == 0 and node.in_place:
            return bottom[0]
        blob = self.blobs.get(name) or Blob(name, shape, self.device, self.dtype)
        if j in node.views:
            blob.share(bottom[node.views[j]], shape, diff=node.view_diffs)
        else:
            blob.reshape(*shape)
        self.blobs[name] = blob
        return blob

    def seed_gradients(self) -> None:
        """Put the loss weights back where the last backward overwrote them."""
        for blob, weight in self.shared_seeds:
            self._start_from(blob, weight)

    def _start_from(self, blob: Blob, weight: float) -> None:
        with self.device.current():
            blob.diff.fill(weight)

    # ------------------------------------------------------------------ shapes

    def follow_inputs(self) -> None:
        """Reshape the net if somebody gave an input another shape."""
        if self._inputs_have_new_shapes():
            self.reshape()

    def reshape(self) -> None:
        """Follow the present shapes of the inputs through the net; see `Net.reshape`."""
        if not (self.is_late or self._has_new_shapes()):
            return
        given = {blob.name: blob.shape for blob, _ in self._free_inputs}
        given |= {
            name: shape
            for layer, names in self._following
            for name, shape in zip(names, layer.upcoming_shapes() or (), strict=False)
        }
        try:
            self._work_out(given, after=-1)
        except Exception:
            for blob, shape in self._free_inputs:
                blob.reshape(*shape)
            raise
        self._bind()

    def follow_values(self, index: int, ran: bool = False) -> bool:
        """Give the tops of this layer the shapes that its bottoms' values ask for, and reshape what
        comes after it; whether there was anything to do. For layers that are `is_late`.

        ran   its forward is over, which may have found other shapes
        """
        nodes, layer = self.blueprint.nodes, self.layers[index]
        ends_here = len(nodes) == index + 1 < len(self.layers)
        shapes = None
        if not ran or layer.unfinished:
            shapes = layer.late_shapes(self.bottoms[index])
        if shapes is None or shapes == nodes[index].top_shapes:
            if not (ran and ends_here):
                return False
            shapes = nodes[index].top_shapes
        # Those of late layers further on were for other values.
        known = [n for n in nodes[:index] if n.layer.is_late] + [n for n in nodes if not n.bottoms]
        given = {t: s for n in known for t, s in zip(n.tops, n.top_shapes, strict=True)}
        waiting = [layer for layer in self.layers[len(nodes) :] if not layer.spec.bottom]
        given |= {name: self.blobs[name].shape for layer in waiting for name in layer.spec.top}
        given |= zip(nodes[index].tops, shapes, strict=True)
        self._work_out(given, index if ran else index - 1)
        self._bind()
        return True

    def _work_out(self, given: Mapping[str, Shape], after: int) -> None:
        """Work out all shapes; where those of late layers that are still to run, the ones after
        this index, do not fit what is below them now, of the layers up to the next of these only.
        """
        late = [i for i in range(after + 1, len(self.layers)) if self.layers[i].is_late]
        try:
            self.blueprint.reshape(given)
        except MinidlError:
            if not late:
                raise
            self.blueprint.reshape(given, late[0] + 1)

    def _inputs_have_new_shapes(self) -> bool:
        changed = any(blob.shape != shape for blob, shape in self._free_inputs)
        for layer, names in self._following:
            shapes = layer.upcoming_shapes()
            if shapes is not None:
                changed |= any(self.blobs[n].shape != s for n, s in zip(names, shapes, strict=True))
        return changed

    def _has_new_shapes(self) -> bool:
        """Tell whether some blob, an input or one reshaped by hand, has another shape than the net
        was made for."""
        known: Any = self.blueprint.blob_shapes.items()
        return self._inputs_have_new_shapes() or any(self.blobs[n].shape != s for n, s in known)
