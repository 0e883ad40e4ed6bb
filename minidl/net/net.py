"""Net: the public class, with pycaffe's names; its parts are in the modules next to it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from minidl import prototxt, schema
from minidl.arrays.arena import Arena
from minidl.arrays.blob import Blob, Param
from minidl.arrays.device import Device, default_device, on_host
from minidl.arrays.memory import Shape
from minidl.arrays.rng import DevicePasses, Streams, default_seed
from minidl.arrays.threads import threads
from minidl.engines import select
from minidl.errors import UsageError, did_you_mean
from minidl.layers.base import Layer
from minidl.layers.context import Context, python_allowed
from minidl.net import batches, diagnosis, run, sharing, weights
from minidl.net.blueprint import Blueprint
from minidl.net.caffe_log import log_building
from minidl.net.named import Named, blob_names
from minidl.net.schedule import Schedule
from minidl.net.state import Callbacks, State


def _of(name: str) -> Any:
    """Make an attribute of a net that is one of its state's."""
    return property(lambda net: getattr(net.state, name))


class Net:
    """A net that can run forward and backward; the names are pycaffe's.

    model        path of a prototxt, its text, or a NetParameter
    phase        minidl.TEST (the default) or minidl.TRAIN; Net(model, weights, phase), the order
                 of old pycaffe scripts, is understood, too
    weights      path of a caffemodel, or of weights in HDF5, npz or safetensors; or several of
                 them, loaded in order
    level, stages    select layers by their include and exclude rules, besides those that the net's
                 own `state` names
    device       "cpu", or "cuda:0" for a GPU; by default what `minidl.set_device` said
    dtype        np.float32, or np.float64 for checks
    seed         of fillers, dropout and random crops; drawn from the system if left out
    absent_data  (C, H, W): data layers whose data set is not there make random records of this
                 shape instead of refusing
    engine       "auto": the fastest there is for each layer; "numpy": the layers' own array code
                 (on a GPU through CuPy); "onednn" on the CPU, "cudnn" or "cupy" (our own kernels)
                 on a GPU: an error if it is not available; by default what the environment variable
                 MINIDL_ENGINE says, else "auto"
    math         "float32", or "bf16": activations and weights in bfloat16 where an engine
                 computes, with float32 parameters and gradients; on a GPU also "fp16", and "tf32":
                 products of numbers rounded to 10 bits
    deterministic   only implementations that give the same bits in every run
    algorithm, workspace_limit, tuning   which of an engine's implementations may run, and how
                 one is chosen: see minidl.engines.select.Policy
    share        blobs that no layer needs any more give their memory to others, and a net in
                 phase TEST computes no gradients: for use, where it takes a fraction of the memory
                 and of the time. Reading such a blob is refused, unless `keep` names it. Of no
                 effect where values decide shapes (Filter). None: as far as a backward pass allows
    keep         blobs to keep in spite of `share`
    allow_python   whether Python layers may run the code that the net names; by default only if the
                 environment variable MINIDL_ALLOW_PYTHON is 1

    Data and gradients of blobs are computed in the layouts that suit the engines; whoever reads
    one sees a plain array, which stays live for as long as it is held.

    blobs        {name: Blob}: `.data` and `.diff` are arrays, N x C x H x W for images
    params       {layer name: [Param]}, in the order in which a caffemodel stores them
    layers, layer_names, layer_dict    the layers in order of execution; of Python layers the
                 objects of the users' own classes
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
        engine: str | None = None,
        math: str = "float32",
        algorithm: str = "fastest",
        workspace_limit: int | None = None,
        tuning: str = "heuristic",
        deterministic: bool = False,
        share: bool | None = False,
        keep: Sequence[str] = (),
        allow_python: bool | None = None,
    ) -> None:
        if not isinstance(model, schema.NetParameter):
            if not isinstance(model, str | os.PathLike):
                raise UsageError(
                    f"{model!r} is not a net", expected="a path, text, or NetParameter"
                )
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
        streams = Streams(default_seed() if seed is None else seed)
        how = algorithm, workspace_limit, threads(), tuning, device, deterministic
        policy = select.policy(engine, math, *how)
        if np.dtype(dtype) == np.float64:
            select.say_of_float64(policy)
        passes = DevicePasses(device, streams) if device.kind == "cuda" else None
        ctx = Context(
            device,
            dtype,
            phase,
            streams,
            counter=passes.address if passes is not None else 0,
            absent_data=absent_data,
            allow_python=python_allowed() if allow_python is None else allow_python,
        )
        blueprint = Blueprint(model, ctx, level, stages)
        self.state = state = State(blueprint, policy, share, keep, passes)
        self.phase, self.device, self.dtype = phase, device, dtype
        self.name, self.param = state.name, prototxt.without_origins(blueprint.param)
        self.inputs, self.outputs = list(blueprint.inputs), list(blueprint.outputs)
        self.layer_names = [layer.name for layer in state.layers]
        self.layers: list[Any] = [layer.for_users() for layer in state.layers]
        pairs = zip(self.layer_names, self.layers, strict=True)
        self.layer_dict: Named[Any] = Named(pairs, what="layer", of=f"net '{self.name}'")
        self.data_layers = [layer for layer in state.layers if layer.position is not None]
        log_building(blueprint)
        self.copy_from(*weights)

    # ------------------------------------------------------------------ what it holds

    blueprint: Blueprint = _of("blueprint")
    policy: select.Policy = _of("policy")
    streams: Streams = _of("streams")
    share: bool = _of("share")
    keep: frozenset[str] = _of("keep")
    own_layers: list[Layer] = _of("layers")
    blobs: Named[Blob] = _of("blobs")
    params: Named[list[Param]] = _of("params")
    learnable: list[Param] = _of("learnable")
    bottoms: list[list[Blob]] = _of("bottoms")
    tops: list[list[Blob]] = _of("tops")
    loss_tops: list[tuple[Blob, float]] = _of("loss_tops")
    before_forward: Callbacks = _of("before_forward")
    after_forward: Callbacks = _of("after_forward")
    before_backward: Callbacks = _of("before_backward")
    after_backward: Callbacks = _of("after_backward")

    @property
    def schedule(self) -> Schedule:
        """How the next pass will run: the plan of each layer, layouts, memory."""
        return run.ready(self.state).schedule

    def reshape(self) -> None:
        """Follow the present shapes of the input blobs through the net (forward does it, too).

        Contents of blobs whose size changes are lost; parameters stay. Refuses shapes that some
        layer cannot take; the net then keeps the shapes it had. Where nothing has changed, nothing
        is done: a forward may be waiting for its backward.
        """
        self.state.reshape()

    # ------------------------------------------------------------------ run

    def prepare(self) -> None:
        """Choose plans and allocate memory now, as the first pass would, and log the plans."""
        run.ready(self.state)

    def forward_pass(self) -> float:
        """Run every layer once and return the loss: the weighted sum of all loss tops."""
        self.state.follow_inputs()
        run.forward(self.state, 0, len(self.layers) - 1)
        return self.loss

    def set_input_arrays(self, data: Any, labels: Any) -> None:
        """Let the first MemoryData layer give these from now on, batch by batch.

        data     (M, C, H, W), labels (M); M a multiple of the layer's batch_size
        """
        for layer in self.own_layers:
            if layer.type == "MemoryData":
                layer.reset(data, labels)  # type: ignore[attr-defined]
                return
        raise UsageError(f"net '{self.name}' has no MemoryData layer", fix="net.forward(data=...)")

    def reseed(self, seed: int) -> None:
        """Let everything random from now on derive from `seed`."""
        if self.streams.seed != seed:
            self.streams.seed = seed
            self.close()  # batches that were made ahead are of the old seed,
            self.state.stale = True  # and so are plans with random numbers

    @property
    def loss(self) -> float:
        """The weighted sum of the loss tops as they are now; a GPU is waited for."""
        host = self.device.to_host
        return sum(weight * float(host(blob.read()).sum()) for blob, weight in self.loss_tops)

    def training_pass(self) -> Any:
        """Run forward and backward without a wait for the device, if that is a GPU.

        Returns the loss where it is: an array () of the device, which the next pass overwrites.
        """
        cuda_pass = run.at_one_go(self.state)
        if cuda_pass is not None:
            return run.forward_backward(self.state, cuda_pass)
        loss = self.device.zeros((), np.float64)
        self.device.write(loss, self.forward_pass())
        self.backward_pass()
        return loss

    @property
    def graph_off(self) -> str:
        """Why `training_pass` runs layer by layer and as no CUDA graph; "" where it is one."""
        cuda_pass = run.at_one_go(self.state)
        return cuda_pass.off if cuda_pass is not None else "layers run one by one"

    def backward_pass(self) -> None:
        """Run backward from the losses; parameter diffs are added to, blob diffs overwritten."""
        self.state.seed_gradients()
        run.backward(self.state, len(self.layers) - 1, 0)

    @property
    def arena(self) -> Arena | None:
        """The arena of everything that a training net learns; None for other nets."""
        return self.state.parameters.arena

    def clear_param_diffs(self) -> None:
        """Set the gradient of every learnable parameter to zero."""
        for param in self.learnable:
            if param.wanted:
                param.gradient.clear()

    def forward(
        self,
        blobs: Sequence[str] | None = (),
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
        blobs = self._known(blobs, "forward")
        for name, value in inputs.items():
            if name not in self.inputs:
                known = ", ".join(self.inputs) or "none"
                raise UsageError(
                    f"'{name}' is not an input of net '{self.name}'",
                    expected=f"one of its inputs: {known}",
                    fix=did_you_mean(name, self.inputs),
                )
            blob = self.blobs[name]
            value = self._numbers(name, value)
            if value.ndim == len(blob.shape):
                blob.reshape(*value.shape)
            elif _without_ones(value.shape) != _without_ones(blob.shape):
                raise UsageError(
                    f"input '{name}' was given the shape {value.shape}",
                    expected=f"{len(blob.shape)} axes, as {blob.shape}",
                )
            self.device.write(blob.data, value.reshape(blob.shape))
        self.state.follow_inputs()
        first = self._layer_index(start) if start is not None else 0
        last = self._layer_index(end) if end is not None else len(self.layers) - 1
        run.forward(self.state, first, last)
        names = [t.name for t in self.tops[last]] if end is not None else self.outputs
        return {name: self.blobs[name].data for name in [*names, *blobs]}

    def backward(
        self,
        diffs: Sequence[str] | None = (),
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
        diffs = self._known(diffs, "backward")
        if start is None:
            self.state.seed_gradients()
        for name, value in top_diffs.items():
            blob = self.blobs[name]
            value = self._numbers(name, value)
            if value.shape != blob.shape:
                raise UsageError(
                    f"the gradient of '{name}' was given the shape {value.shape}",
                    expected=f"{blob.shape}",
                )
            self.device.write(blob.diff, value)
        first = self._layer_index(start) if start is not None else len(self.layers) - 1
        last = self._layer_index(end) if end is not None else 0
        run.backward(self.state, first, last)
        names = [b.name for b in self.bottoms[last]] if end is not None else self.inputs
        return {name: self.blobs[name].diff for name in [*names, *diffs]}

    def forward_all(self, blobs: Sequence[str] = (), **inputs: Any) -> dict[str, Any]:
        """Run forward on any number of items, batch by batch: {name: array (M, ...)}, copies.

        inputs    for every input an array (M, ...), or a list of M arrays
        blobs     names of further blobs to return
        """
        return batches.forward_all(
            self.state, self.forward, self._known(blobs, "forward_all"), inputs
        )

    def forward_backward_all(
        self, blobs: Sequence[str] = (), diffs: Sequence[str] = (), **given: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Do the same forward and backward; `given` are inputs, and gradients of outputs.

        Returns ({name: data}, {name: gradient}): of outputs and `blobs`, of inputs and `diffs`.
        """
        blobs, diffs = (self._known(names, "forward_backward_all") for names in (blobs, diffs))
        return batches.forward_backward_all(
            self.state, self.forward, self.backward, blobs, diffs, given
        )

    def _numbers(self, name: str, values: Any) -> Any:
        """Return `values` as an array of the host, or as they are if they are one of the device."""
        if isinstance(values, self.device.xp.ndarray):
            return values.astype(self.dtype, copy=False)
        try:
            return np.asarray(on_host(values), self.dtype)
        except (TypeError, ValueError):
            raise UsageError(f"input '{name}' is not a numeric array") from None

    def layer_by_layer(self) -> None:
        """Let callbacks see every blob as its layer left it, from now on.

        Nothing is computed with the layer before it any more, and every blob and gradient has
        plain memory of its own, which costs time and memory.
        """
        run.watch(self.state)

    def _layer_index(self, name: str) -> int:
        self.layer_dict[name]
        return self.layer_names.index(name)

    def _known(self, blobs: Any, call: str) -> tuple[str, ...]:
        """Return the names of blobs given to a call; refuse unknown ones before anything runs."""
        names = blob_names(blobs, f"net.{call}", self.inputs)
        for name in names:
            self.blobs[name]
        return names

    def first_bad(self) -> tuple[str, str, str] | None:
        """Find the first NaN or infinity: (layer, blob, "data" or "diff"); None: all is finite."""
        return diagnosis.first_bad(self.state)

    # ------------------------------------------------------------------ weights

    def copy_from(self, *paths: str | os.PathLike[str]) -> None:
        """Load weights by layer name; says what was ignored, what was missing, what was reshaped.

        paths   caffemodels, or weights in HDF5, npz or safetensors, loaded in this order

        Errors: WeightsError listing every layer whose blobs do not fit; nothing is then changed.
        """
        weights.load(self.state, *paths)

    load_hdf5 = copy_from

    def share_with(self, other: Net) -> None:
        """Use the parameter arrays of `other`'s layers of the same name (train net, test net).

        A layer that `other` lacks follows the parameters it shares by `param { name }`.
        """
        sharing.share(self.state, other.state)

    def save(self, path: str | os.PathLike[str], diffs: bool = False) -> None:
        """Write the weights, atomically, in the format that the path ends in.

        .h5, .hdf5, .npz, .safetensors; everything else is a caffemodel, which has the net, too.
        """
        weights.save(self.state, path, diffs)

    def save_hdf5(self, path: str | os.PathLike[str], write_diff: bool = False) -> None:
        """Write the weights in HDF5, for any ending of the path."""
        weights.save(self.state, path, write_diff, weights.HDF5)

    def close(self) -> None:
        """Let go of the data layers' files and threads."""
        for layer in self.own_layers:
            layer.close()

    top_names = property(lambda net: {n.name: list(n.tops) for n in net.blueprint.nodes})
    bottom_names = property(lambda net: {n.name: list(n.bottoms) for n in net.blueprint.nodes})

    @property
    def blob_loss_weights(self) -> Mapping[str, float]:
        """The loss weight of every blob, 0 where it has none."""
        found = {name: 0.0 for name in self.blobs}
        found.update({blob.name: weight for blob, weight in self.loss_tops})
        return found

    # ------------------------------------------------------------------ pycaffe's lists by number

    _layer_names = property(lambda net: net.layer_names)
    _blob_names = property(lambda net: list(net.blobs))
    _blobs = property(lambda net: list(net.blobs.values()))
    _blob_loss_weights = property(lambda net: list(net.blob_loss_weights.values()))
    _inputs = property(lambda net: net._numbers_of(net.inputs))
    _outputs = property(lambda net: net._numbers_of(net.outputs))
    _set_input_arrays = set_input_arrays

    def _bottom_ids(self, layer: int) -> list[int]:
        return self._numbers_of([blob.name for blob in self.bottoms[layer]])

    def _top_ids(self, layer: int) -> list[int]:
        return self._numbers_of([blob.name for blob in self.tops[layer]])

    def _forward(self, start: int, end: int) -> float:
        """Run layers `start` to `end`, by number; the loss of all loss tops as they are then."""
        self.state.follow_inputs()
        run.forward(self.state, start, end)
        return self.loss

    def _backward(self, start: int, end: int) -> None:
        """Run layers `start` down to `end`, by number."""
        if start == len(self.layers) - 1:
            self.state.seed_gradients()
        run.backward(self.state, start, end)

    def _batch(self, blobs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield arrays of any number of items in batches of the net's size, filled up with 0."""
        size = next(iter(self.blobs.values())).shape[0]
        return batches.batches(blobs, size, len(next(iter(blobs.values()))))

    def _numbers_of(self, names: list[str]) -> list[int]:
        known = list(self.blobs)
        return [known.index(name) for name in names]

    def __enter__(self) -> Net:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Net({self.name!r}, {len(self.layers)} layers, {len(self.learnable)} parameters)"


def _phase(phase: int | str) -> int:
    """Return the phase as a number; "TRAIN" and "TEST" are understood, too."""
    number = schema.Phase.get(phase, phase) if isinstance(phase, str) else phase
    if number not in (schema.TRAIN, schema.TEST):
        raise UsageError(f"phase is {phase!r}", expected="minidl.TRAIN or minidl.TEST")
    return int(number)


def _without_ones(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)
