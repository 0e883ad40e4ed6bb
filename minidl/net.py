"""Net: a blueprint with memory, ready to run."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from minidl import fillers, prototxt, schema, weights
from minidl.blob import Blob, Param, Shape
from minidl.blueprint import AUTOMATIC, Blueprint, Node
from minidl.context import Context
from minidl.device import Device, default_device
from minidl.errors import LabelError, UsageError, did_you_mean
from minidl.layers.base import Layer
from minidl.net_log import log_building
from minidl.rng import Streams, default_seed

log = logging.getLogger("minidl")
Callback = Callable[[int], None]


class Net:
    """A net that can run forward and backward; the names are pycaffe's.

    model        path of a prototxt, its text, or a NetParameter
    phase        minidl.TEST (the default) or minidl.TRAIN; Net(model, weights, phase), the order
                 of old pycaffe scripts, is understood, too
    weights      path of a caffemodel, or several of them, loaded in order
    level, stages    select layers by their include and exclude rules, beside those that the net's
                 own `state` names
    device       "cpu"; by default what `minidl.set_device` said
    dtype        np.float32, or np.float64 for checks
    seed         of fillers, dropout and random crops; drawn from the system if left out
    absent_data  (C, H, W): data layers whose data set is not there make random records of this
                 shape instead of refusing

    blobs        {name: Blob}: `.data` and `.diff` are arrays, N x C x H x W for images
    params       {layer name: [Param]}, in the order in which a caffemodel stores them
    layers, layer_names, layer_dict    the layers in order of execution
    inputs       tops of Input layers;  outputs: tops that nobody reads, sorted
    learnable    every parameter once (shared ones belong to the first layer that has them)
    blueprint    shapes, gradients and sizes as data;  param: the NetParameter that runs

    >>> net = Net('''name: "tiny"
    ... layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
    ... layer { name: "square" type: "Power" bottom: "x" top: "y" power_param { power: 2 } }''')
    >>> float(net.forward(x=np.full((2, 3), 3.0))["y"].sum())
    54.0

    Errors: everything a prototxt can have wrong is a MinidlError that names file, line and layer.
    """

    def __init__(
        self,
        model: Any,
        phase: int | str = schema.TEST,
        old_phase: int | str | None = None,
        *,
        weights: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = (),
        level: int | None = None,
        stages: str | Sequence[str] | None = (),
        device: str | Device | None = None,
        dtype: Any = np.float32,
        seed: int | None = None,
        absent_data: Shape | None = None,
    ) -> None:
        if not isinstance(model, schema.NetParameter):
            if not isinstance(model, str | os.PathLike):
                raise UsageError(f"{model!r} is no net", expected="a path, text, or NetParameter")
            model = prototxt.read_net(model)
        if old_phase is not None:  # pycaffe's older order: file, weights, phase
            weights, phase = cast(Any, phase), old_phase
        phase = _phase(phase)
        weights = [weights] if isinstance(weights, str | os.PathLike) else weights or ()
        stages = stages.split(",") if isinstance(stages, str) else stages or ()
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise UsageError(f"dtype is {np.dtype(dtype)}", expected="float32 or float64")
        if device is None or isinstance(device, str):
            device = Device(device) if device else default_device()
        self.phase, self.device, self.dtype = phase, device, dtype
        self.streams = Streams(default_seed() if seed is None else seed)
        ctx = Context(device, dtype, phase, self.streams, absent_data=absent_data)
        self.blueprint = Blueprint(model, ctx, level, stages)
        self.param, self.name = self.blueprint.param, self.blueprint.name
        self.inputs, self.outputs = list(self.blueprint.inputs), list(self.blueprint.outputs)
        self.layers: list[Layer] = [n.layer for n in self.blueprint.nodes]
        self.layer_names = [layer.name for layer in self.layers]
        self.layer_dict = dict(zip(self.layer_names, self.layers, strict=True))
        self.before_forward: list[Callback] = []
        self.after_forward: list[Callback] = []
        self.before_backward: list[Callback] = []
        self.after_backward: list[Callback] = []
        self.blobs: dict[str, Blob] = {}
        self.params: dict[str, list[Param]] = {}
        self.learnable: list[Param] = []
        self._make_params()
        self._bind()
        log_building(self.blueprint)
        for path in weights:
            self.copy_from(path)

    # ------------------------------------------------------------------ memory

    def _make_params(self) -> None:
        made: dict[str, Param] = {}
        for node in self.blueprint.nodes:
            layer = node.layer
            layer.params = []
            for plan in node.params:
                param = Param(
                    plan.key, plan.shape, self.device, self.dtype, plan.lr_mult, plan.decay_mult
                )
                param.wanted = plan.lr_mult != 0 or (
                    self.param.force_backward and plan.attr not in layer.statistics
                )
                owner = made.get(plan.owner)
                if owner is not None:
                    owner.wanted = param.wanted = owner.wanted or param.wanted
                    param.share(owner, plan.shape)
                else:
                    made[plan.key] = param
                    self.learnable.append(param)
                    if plan.filler is not None:
                        rng = self.streams.generator(f"{layer.name}/{plan.attr}", 0)
                        fillers.fill(param.data, plan.filler, rng, layer.where)
                layer.params.append(param)
                setattr(layer, plan.attr, param)
            if layer.params:
                self.params[layer.name] = layer.params

    def _bind(self) -> None:
        """Allocate blobs and buffers for the present shapes and hand them to the layers."""
        nodes = self.blueprint.nodes
        pool = self.device.zeros((max(map(self.blueprint.scratch_bytes, nodes), default=0),), "u1")
        self.bottoms: list[list[Blob]] = []
        self.tops: list[list[Blob]] = []
        self._loss_tops: list[tuple[Blob, float]] = []
        self._shared_seeds: list[tuple[Blob, float]] = []
        old, self.blobs = self.blobs, {}
        for node in nodes:
            bottom = [self.blobs[name] for name in node.bottoms]
            top = [self._top(node, j, bottom, old) for j in range(len(node.tops))]
            self._bind_buffers(node, pool)
            for j, (blob, weight) in enumerate(zip(top, node.loss_weights, strict=True)):
                if weight:
                    self._loss_tops.append((blob, weight))
                    blob.diff[...] = weight  # where backward starts; it stays, unless
                    if node.in_place or (j in node.layer.views and node.layer.view_diffs):
                        self._shared_seeds.append((blob, weight))  # a layer below shares it
            self.bottoms.append(bottom)
            self.tops.append(top)
        self.data_layers = [layer for layer in self.layers if hasattr(layer, "position")]
        self._following = [
            (layer, [b.name for b in top])
            for layer, top in zip(self.layers, self.tops, strict=True)
            if type(layer).upcoming_shapes is not Layer.upcoming_shapes
        ]
        self._free_inputs = [
            (blob, blob.shape)
            for node, top in zip(nodes, self.tops, strict=True)
            if node.type == "Input"
            for blob in top
        ]
        self._forward_steps = [
            (layer.forward, bottom, top)
            for layer, bottom, top in zip(self.layers, self.bottoms, self.tops, strict=True)
        ]
        self._backward_steps = [
            (node.layer.backward, top, node.wanted, bottom) if node.needs_backward else None
            for node, top, bottom in zip(nodes, self.tops, self.bottoms, strict=True)
        ]

    def _top(self, node: Node, j: int, bottom: list[Blob], old: dict[str, Blob]) -> Blob:
        name, shape, layer = node.tops[j], node.top_shapes[j], node.layer
        if j == 0 and layer.is_in_place:
            return bottom[0]
        known = None if name == AUTOMATIC else old.get(name)
        blob = known or Blob(name, shape, self.device, self.dtype)
        if j in layer.views:
            blob.share(bottom[layer.views[j]], shape, diff=layer.view_diffs)
        else:
            blob.reshape(*shape)
        self.blobs[name] = blob
        return blob

    def _bind_buffers(self, node: Node, pool: Any) -> None:
        offset = 0
        for attr, (shape, kept, dtype) in node.buffers.items():
            dtype = np.dtype(dtype or self.dtype)
            if kept:
                current = getattr(node.layer, attr, None)
                if current is None or current.shape != shape or current.dtype != dtype:
                    setattr(node.layer, attr, self.device.zeros(shape, dtype))
                continue
            size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
            setattr(node.layer, attr, pool[offset : offset + size].view(dtype).reshape(shape))
            offset += -(-size // 64) * 64

    def reshape(self) -> None:
        """Follow the present shapes of the input blobs through the net (forward does it, too).

        Contents of blobs whose size changes are lost; parameters stay. Refuses shapes that some
        layer cannot take; the net then keeps the shapes it had.
        """
        given = {blob.name: blob.shape for blob, _ in self._free_inputs}
        given |= {
            name: shape
            for layer, names in self._following
            for name, shape in zip(names, layer.upcoming_shapes() or (), strict=False)
        }
        try:
            self.blueprint.reshape(given)
        except Exception:
            for blob, shape in self._free_inputs:
                blob.reshape(*shape)
            raise
        self._bind()

    def _follow_inputs(self) -> None:
        changed = any(blob.shape != shape for blob, shape in self._free_inputs)
        for layer, names in self._following:
            shapes = layer.upcoming_shapes()
            if shapes is not None:
                changed |= any(self.blobs[n].shape != s for n, s in zip(names, shapes, strict=True))
        if changed:
            self.reshape()

    # ------------------------------------------------------------------ run

    def forward_pass(self) -> float:
        """Run every layer once and return the loss: the weighted sum of all loss tops."""
        self._follow_inputs()
        self.streams.passes += 1
        self._run_forward(0, len(self.layers) - 1)
        return self.loss

    @property
    def loss(self) -> float:
        """The weighted sum of the loss tops as they are now."""
        return sum(weight * float(blob.data.sum()) for blob, weight in self._loss_tops)

    def backward_pass(self) -> None:
        """Run backward from the losses; parameter diffs are added to, blob diffs overwritten."""
        self._seed()
        self._run_backward(len(self.layers) - 1, 0)

    def clear_param_diffs(self) -> None:
        """Set the gradient of every learnable parameter to zero."""
        for param in self.learnable:
            if param.wanted:
                param.diff.fill(0)

    def forward(
        self,
        blobs: Sequence[str] = (),
        start: str | None = None,
        end: str | None = None,
        **inputs: Any,
    ) -> dict[str, Any]:
        """Run forward, wholly or from layer `start` to layer `end`, as in pycaffe.

        inputs    arrays for input blobs by name; one of another shape reshapes the net
        blobs     names of further blobs to return

        Returns {name: array} of the outputs (with `end`: of that layer's tops) and of `blobs`;
        the arrays are the blobs' own memory, so the next forward overwrites them.
        """
        for name, value in inputs.items():
            if name not in self.inputs:
                known = ", ".join(self.inputs) or "none"
                raise UsageError(
                    f"'{name}' is not an input of net '{self.name}'",
                    expected=f"one of its inputs: {known}",
                    fix=did_you_mean(name, self.inputs),
                )
            blob = self.blobs[name]
            try:
                value = np.asarray(value, self.dtype)
            except (TypeError, ValueError):
                raise UsageError(f"input '{name}' is no array of numbers") from None
            if value.ndim == len(blob.shape):
                blob.reshape(*value.shape)
            elif _without_ones(value.shape) != _without_ones(blob.shape):
                raise UsageError(
                    f"input '{name}' was given the shape {value.shape}",
                    expected=f"{len(blob.shape)} axes, as {blob.shape}",
                )
            blob.data[...] = value.reshape(blob.shape)
        self._follow_inputs()
        first = self._layer_index(start) if start is not None else 0
        last = self._layer_index(end) if end is not None else len(self.layers) - 1
        self.streams.passes += 1
        self._run_forward(first, last)
        names = [t.name for t in self.tops[last]] if end is not None else self.outputs
        return {name: self._blob(name).data for name in [*names, *blobs]}

    def backward(
        self,
        diffs: Sequence[str] = (),
        start: str | None = None,
        end: str | None = None,
        **top_diffs: Any,
    ) -> dict[str, Any]:
        """Run backward, wholly or from layer `start` down to layer `end`, as in pycaffe.

        top_diffs    gradients of output blobs by name; losses have their own already
        diffs        names of further blobs whose gradient to return

        Returns {name: gradient} of the inputs (with `end`: of that layer's bottoms) and `diffs`.
        Which layers run backward was decided when the net was made: give the net
        ``force_backward: true`` to have the gradient of its inputs.
        """
        if start is None:
            self._seed()
        for name, value in top_diffs.items():
            blob = self._blob(name)
            if np.shape(value) != blob.shape:
                raise UsageError(
                    f"the gradient of '{name}' was given the shape {np.shape(value)}",
                    expected=f"{blob.shape}",
                )
            blob.diff[...] = value
        first = self._layer_index(start) if start is not None else len(self.layers) - 1
        last = self._layer_index(end) if end is not None else 0
        self._run_backward(first, last)
        names = [b.name for b in self.bottoms[last]] if end is not None else self.inputs
        return {name: self._blob(name).diff for name in [*names, *diffs]}

    def _run_forward(self, first: int, last: int) -> None:
        before, after = self.before_forward, self.after_forward
        with np.errstate(all="ignore"):  # a NaN is found and named by its loss: see first_bad
            for i in range(first, last + 1):
                forward, bottom, top = self._forward_steps[i]
                for callback in before:
                    callback(i)
                try:
                    forward(bottom, top)
                except LabelError as error:
                    raise self._with_record(error, bottom) from None
                for callback in after:
                    callback(i)

    def _seed(self) -> None:
        """Put the loss weights back where the last backward overwrote them."""
        for blob, weight in self._shared_seeds:
            blob.diff[...] = weight

    def _run_backward(self, first: int, last: int) -> None:
        before, after = self.before_backward, self.after_backward
        with np.errstate(all="ignore"):
            for i in range(first, last - 1, -1):
                step = self._backward_steps[i]
                if step is None:
                    continue
                backward, top, wanted, bottom = step
                for callback in before:
                    callback(i)
                backward(top, wanted, bottom)
                for callback in after:
                    callback(i)

    def _layer_index(self, name: str) -> int:
        if name in self.layer_dict:
            return self.layer_names.index(name)
        fix = did_you_mean(name, self.layer_names)
        raise UsageError(f"net '{self.name}' has no layer '{name}'", fix=fix)

    def _blob(self, name: str) -> Blob:
        if name in self.blobs:
            return self.blobs[name]
        fix = did_you_mean(name, self.blobs)
        raise UsageError(f"net '{self.name}' has no blob '{name}'", fix=fix)

    # ------------------------------------------------------------------ diagnosis

    def first_bad(self) -> tuple[str, str, str] | None:
        """(layer, blob, "data" or "diff") of the first NaN or infinity, in order of execution.

        Parameters come before the blobs of their layer and are named "conv1/0". None: all finite.
        """
        finite = np.isfinite
        for layer, top in zip(self.layers, self.tops, strict=True):
            for blob in [*layer.params, *top]:
                if blob.name != AUTOMATIC and not finite(self.device.to_host(blob.data)).all():
                    return layer.name, blob.name, "data"
        for node in self.blueprint.nodes[::-1]:
            for param in node.layer.params:
                if param.wanted and not finite(self.device.to_host(param.diff)).all():
                    return node.name, param.name, "diff"
        return None

    def _with_record(self, error: LabelError, bottom: list[Blob]) -> LabelError:
        """Name the blobs as the prototxt does, and the record that the label came from."""
        for name in [blob.name for blob in bottom]:
            plain = self._before_split(name)
            error.found = error.found.replace(f"'{name}'", f"'{plain}'")
            error.expected = error.expected.replace(f"'{name}'", f"'{plain}'")
        names = {blob.name for blob in bottom[1:]}  # labels come after scores
        for node in self.blueprint.nodes[::-1]:
            if not names.intersection(node.tops):
                continue
            if hasattr(node.layer, "record"):
                source = node.layer.record(error.item)
                error.found = f"{error.found} ({source})"
                break
            names.update(node.bottoms)
        return error

    def _before_split(self, name: str) -> str:
        """The blob that a Split layer made blob `name` from; otherwise `name` itself."""
        for node in self.blueprint.nodes:
            if node.type == "Split" and name in node.tops:
                return node.bottoms[0]
        return name

    # ------------------------------------------------------------------ weights

    def copy_from(self, path: str | os.PathLike[str]) -> None:
        """Load weights by layer name from a caffemodel; says what was ignored and what was missing.

        Errors: WeightsError listing every layer whose blobs do not fit; nothing is then changed.
        """
        weights.load(self, path)

    def share_with(self, other: Net) -> None:
        """Use the parameter arrays of `other`'s layers of the same name (train net, test net)."""
        weights.share(self, other)

    def save(self, path: str | os.PathLike[str], diffs: bool = False) -> None:
        """Write the net and its weights as a caffemodel, atomically."""
        weights.save(self, path, diffs)

    def close(self) -> None:
        """Let go of the data layers' files and threads."""
        for layer in self.layers:
            layer.close()

    @property
    def top_names(self) -> dict[str, list[str]]:
        return {n.name: list(n.tops) for n in self.blueprint.nodes}

    @property
    def bottom_names(self) -> dict[str, list[str]]:
        return {n.name: list(n.bottoms) for n in self.blueprint.nodes}

    @property
    def blob_loss_weights(self) -> Mapping[str, float]:
        """The loss weight of every blob, 0 where it has none."""
        found = {name: 0.0 for name in self.blobs}
        found.update({blob.name: weight for blob, weight in self._loss_tops})
        return found

    def __enter__(self) -> Net:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Net({self.name!r}, {len(self.layers)} layers, {len(self.learnable)} parameters)"


def _phase(phase: int | str) -> int:
    """The phase as a number; "TRAIN" and "TEST" are understood, too."""
    number = schema.Phase.get(phase, phase) if isinstance(phase, str) else phase
    if number not in (schema.TRAIN, schema.TEST):
        raise UsageError(f"phase is {phase!r}", expected="minidl.TRAIN or minidl.TEST")
    return int(number)


def _without_ones(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)
