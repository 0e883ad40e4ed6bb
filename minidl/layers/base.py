"""The contract every layer keeps, and the registry of layer types.

A layer declares, then acts. `top_shapes`, `param_shapes` and `buffers` are pure: from shapes they
say what the layer will need, so shapes, parameter counts and memory can be printed before one
array exists. The net allocates all of it, binds it to the layer, and calls `forward` and
`backward`, which only compute.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from operator import attrgetter
from typing import Any, ClassVar, NamedTuple, NoReturn, TypeVar

import numpy as np

from minidl import prototxt
from minidl.arrays.blob import Blob, Param, Shape
from minidl.arrays.device import Cuda
from minidl.arrays.method_cache import method_cache
from minidl.engines.request import Wish
from minidl.errors import DeviceError, LayerConfigError, UnknownLayerTypeError
from minidl.layers.context import Context
from minidl.prototxt.elsewhere import type_hint
from minidl.prototxt.fields import is_repeated

log = logging.getLogger("minidl")
# Values of `engine` fields, by the kind of device. CAFFE is Caffe's own code: on the CPU the
# layer's here, on a GPU our own kernels. MKL2017 and MKLDNN are Intel's libraries in its fork of
# Caffe, of which oneDNN is the present form.
ENGINES = {
    "cpu": {"CAFFE": "numpy", "MKL2017": "onednn", "MKLDNN": "onednn"},
    "cuda": {"CAFFE": "cupy", "CUDNN": "cudnn"},
}
FAMILIES = {  # key: title
    "data": "data",
    "weights": "filters and products",
    "pooling": "pooling",
    "norm": "normalisation, scale and shift",
    "activation": "activations",
    "combine": "several blobs into one, one into several",
    "shape": "shapes, sizes and order",
    "sequence": "sequences",
    "detection": "detection",
    "loss": "losses and figures",
    "": "your own",
}
Count = int | tuple[int, int | None]  # exactly this many, or (least, most); most None: no bound


class Buffer(NamedTuple):
    """An array a layer asks for beside its tops and parameters."""

    shape: Shape
    kept: bool  # until this layer's backward; otherwise for the length of one call
    dtype: Any = None  # None: the net's number type
    lasting: bool = False  # from pass to pass, in memory of its own


def saved(shape: Shape, dtype: Any = None) -> Buffer:
    """Ask for a buffer whose contents live from a forward to the backward that follows it."""
    return Buffer(tuple(shape), True, dtype)


def scratch(shape: Shape, dtype: Any = None) -> Buffer:
    """Ask for a buffer for one call: other layers share its memory, its contents are garbage."""
    return Buffer(tuple(shape), False, dtype)


def carried(shape: Shape, dtype: Any = None) -> Buffer:
    """Ask for a buffer that a pass leaves to the next: zero at first, and after new shapes."""
    return Buffer(tuple(shape), True, dtype, lasting=True)


class Layer:
    """One step of a net: some bottoms in, some tops out.

    What a subclass states about itself (an instance may narrow any of it in `__init__`):

    bottoms, tops   how many of each: a number, or (least, most)
    same_counts     there are as many tops as bottoms
    parameters      the fields of LayerParameter that it reads ("convolution_param", ...)
    keeps           what backward reads again of the blobs: "bottom", "top", or "top sign" (only
                    where the top is positive); the net refuses to overwrite these in place
    in_place        whether top[0] may be the very blob that bottom[0] is
    keeps_sign      an in-place pass leaves the sign of every element whose gradient is not zero
                    (Dropout, ReLU), so a "top sign" before it stays true
    views           {top: bottom}: these tops are the bottom's memory under another shape; forward
                    and backward have nothing to do for them
    view_diffs      whether a view shares the gradient too (Split's tops do not)
    op              what it computes, a description of `minidl.ops` for which engines may have
                    plans; None: array code alone computes it
    computes        the classes of these descriptions, one of which an instance may have as `op`
    loss            top[0] is a loss: weight 1 unless the prototxt says otherwise, and a scalar top
                    is made where the prototxt names none
    no_gradient     bottoms that never receive a gradient (labels)
    differentiable  False: no gradient passes at all (Accuracy)
    statistics      parameters that the layer itself updates and no solver may (BatchNorm)
    family          what kind of layer it is, a key of FAMILIES: its place in docs/layers.md, its
                    colour in drawings
    fork            whose layer it is, where it is not BVLC's: a repository, for docs/forks.md
    keeps_positions top[0] has at every place what belongs to that place of each bottom (coord_map)
    unfinished      forward found only as it ran which shapes the tops need: `late_shapes` says
                    them now, and a second forward fills the tops (Python)
    position        of a layer that reads a data set: the number of batches given so far, which may
                    be set to go on elsewhere; None: it reads none. See `records`, `record` and
                    `labels_of`
    labels_bottom   which bottom holds labels, or numbers of rows, that `check_labels` can refuse

    What the net gives it: `bottom` and `top` lists of Blobs in every call; each parameter as an
    attribute (`self.weight`, a Param; `wanted` says whether its gradient is asked for) and all
    of them in order in `self.params`; each buffer as an attribute holding an array.

    forward     overwrites all of every top's data
    backward    overwrites bottom[i].diff where wanted[i], adds to param.diff; is only called if
                something is wanted. Neither allocates what `buffers` could have declared.

    Both compute with `self.xp`, NumPy or on a GPU CuPy, and on a GPU they only launch: then a pass
    is not held up, and can be recorded as a CUDA graph. So results go where `out=` says, arrays of
    the host come in through `table` or `uniform`, and no number is fetched: no float() or `if` of
    an array, no indexing by a mask. Array code that does not keep to this works, but slowly.
    """

    type: ClassVar[str]
    parameters: ClassVar[tuple[str, ...]] = ()
    bottoms: Count = 1
    tops: Count = 1
    same_counts: bool = False
    keeps: tuple[str, ...] = ()
    in_place: bool = False
    keeps_sign: bool = False
    views: Mapping[int, int] = {}
    view_diffs: bool = True
    op: Any = None
    computes: ClassVar[tuple[Any, ...]] = ()
    loss: bool = False
    no_gradient: tuple[int, ...] = ()
    differentiable: bool = True
    statistics: tuple[str, ...] = ()
    family: ClassVar[str] = ""
    fork: ClassVar[str] = ""
    keeps_positions: ClassVar[bool] = False
    unfinished: bool = False
    position: int | None = None
    labels_bottom: int | None = None
    engine_wish: Wish = Wish()  # what `check_engine` found

    def __init__(self, spec: Any, ctx: Context) -> None:
        """Read and check the LayerParameter `spec`; no shapes are known yet, no arrays are made.

        spec    schema.LayerParameter, upgraded; its tops and bottoms carry the names of splits
        ctx     the net's Context

        Subclasses call this first, then turn their messages into plain attributes; `fillers`
        maps a parameter's name to the FillerParameter that starts it.
        """
        self.spec, self.ctx, self.name = spec, ctx, spec.name
        self.xp = ctx.xp
        self.dtype = ctx.dtype
        self.is_in_place = bool(spec.top and spec.bottom) and spec.top[0] == spec.bottom[0]
        self.fillers: dict[str, Any] = {}
        self.params: list[Param] = []
        # Of the last shapes; a data set of images of many sizes does not fill the memory.
        self._tables = method_cache(self._make_table, 32)
        self._check_counts()

    # ------------------------------------------------------------------ declare (pure)

    def top_shapes(self, *bottom: Shape) -> tuple[Shape, ...]:
        """Return the shapes of all tops for these bottom shapes, or refuse them with `reject`."""
        raise NotImplementedError

    def param_shapes(self, *bottom: Shape) -> dict[str, Shape]:
        """Return the parameters' shapes by name, in the order in which a caffemodel stores them."""
        return {}

    def buffers(self, *bottom: Shape) -> dict[str, Buffer]:
        """Return the arrays to be bound beside tops and parameters, by attribute name."""
        return {}

    def first_values(self, name: str, shape: Shape) -> np.ndarray | None:
        """Return what a parameter without a filler starts with; None: zeros."""
        return None

    def multiply_adds(self, *bottom: Shape) -> int:
        """Return the multiply-and-add pairs of a forward; 0 for what only moves or compares."""
        return 0

    def sample_bottoms(self, shapes: Sequence[Shape], rng: np.random.Generator) -> list[np.ndarray]:
        """Return random float64 bottoms that the layer accepts, for gradient checks and trials."""
        return [rng.standard_normal(shape) for shape in shapes]

    # ------------------------------------------------------------------ act

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        raise NotImplementedError

    def backward(self, top: list[Blob], wanted: Sequence[bool], bottom: list[Blob]) -> None:
        raise NotImplementedError

    def upcoming_shapes(self) -> tuple[Shape, ...] | None:
        """Return the tops' shapes where the next batch decides them; None: as declared."""
        return None

    def late_shapes(self, bottom: list[Blob]) -> tuple[Shape, ...] | None:
        """Return the tops' shapes where the bottoms' values decide them; None: as declared.

        Called just before forward. Where the shapes are not those of the last pass, the net works
        out again all that comes after. So it cannot share memory between blobs, and a GPU is waited
        for in every pass.
        """
        return None

    @property
    def is_late(self) -> bool:
        """Whether it has `late_shapes`."""
        return type(self).late_shapes is not Layer.late_shapes

    @property
    def records(self) -> int:
        """How many records the data set has that the layer reads, one after the other over and
        over; 0 where it reads none, draws them, or cannot know."""
        return 0

    def record(self, item: int, ago: int = 0) -> str:
        """Name the record that became item `item` of the last batch, or of one `ago` batches before
        it: "record 7 of train_lmdb"; "" where the layer reads no records."""
        return ""

    def labels_of(self, number: int) -> np.ndarray | None:
        """Return the labels of batch `number`, read again; None where there are none."""
        return None

    def check_labels(self, labels: np.ndarray, shape: Shape) -> None:
        """Raise LabelError for the first value that forward cannot use.

        labels   what bottom[labels_bottom] holds or held, on the host
        shape    of bottom[0]
        """

    def bound_as(self, name: str) -> Any:
        """Return the array or Param that the net has bound under this name; None: there is none,
        or the net has not run yet."""
        return vars(self).get(name)

    def for_users(self) -> Any:
        """Return what stands for the layer in ``net.layers``, once its parameters are bound."""
        return self

    def close(self) -> None:
        """Let go of files and threads."""

    # ------------------------------------------------------------------ for subclasses

    def random(self) -> np.random.Generator:
        """Return this layer's generator for the pass now running; it draws on the host."""
        return self.ctx.streams.generator(self.name)

    def uniform(self, rng: np.random.Generator, out: Any) -> None:
        """Fill `out`, float32 or float64, with the next numbers of `rng` from [0, 1).

        On a GPU they are those of the CPU: drawn on the host and sent over in every pass, which
        therefore cannot be recorded as a CUDA graph. An engine that has a plan for the layer draws
        the same numbers on the device.
        """
        device = self.ctx.device
        if isinstance(device, Cuda):
            if device.stream.is_capturing():
                raise DeviceError("draws its random numbers on the host", where=self.where)
            device.write(out, rng.random(out.shape, out.dtype))
        else:
            rng.random(dtype=out.dtype, out=out)

    def table(self, make: Callable[..., np.ndarray], *key: Hashable) -> Any:
        """Return the array ``make(*key)`` on this layer's device; it is made and sent once.

        make   a function of numbers, types and tuples alone, which makes a NumPy array
        """
        return self._tables(make, *key)

    @property
    def blobs(self) -> list[Param]:
        """pycaffe's name for `params`."""
        return self.params

    @property
    def where(self) -> str:
        """'net.prototxt:41: Pooling layer 'pool1'', for the head of a message."""
        return prototxt.where(self.spec)

    def reject(self, found: str, *, expected: str = "", fix: str = "", field: str = "") -> NoReturn:
        """Refuse the layer's parameters or bottoms.

        field   "lrn_param.local_size" moves the message to that field's line, where known
        """
        where = prototxt.where(self.spec, field)
        raise LayerConfigError(found, where=where, expected=expected, fix=fix)

    def reject_field(self, field: str, *, expected: str = "", fix: str = "") -> NoReturn:
        """Refuse the value of a field: of "lrn_param.local_size" it says "local_size is 4", or
        "local_size is missing" where it is not set and has no default."""
        message, _, name = field.rpartition(".")
        p = attrgetter(message)(self.spec)
        value, known = getattr(p, name), p.DESCRIPTOR.fields_by_name[name]
        if isinstance(value, float):
            value = f"{value:g}"
        elif isinstance(value, str):
            value = repr(value)
        if not (known.has_default_value or is_repeated(known) or p.HasField(name)):
            value = "missing"
        self.reject(f"{name} is {value}", expected=expected, fix=fix, field=field)

    def check_positive(self, message: str, *names: str) -> None:
        """Refuse fields of a message ("local_param") that are below 1."""
        p = getattr(self.spec, message)
        for name in names:
            field, value = p.DESCRIPTOR.fields_by_name[name], getattr(p, name)
            if value < 1:
                found = "0 or missing" if value == field.default_value == 0 else value
                where = f"{message}.{name}"
                self.reject(f"{name} is {found}", expected="at least 1", field=where)

    def check_images(self, bottom: Shape) -> None:
        """Refuse a bottom that is not (N, C, H, W), or is empty."""
        if len(bottom) != 4 or 0 in bottom:
            self.reject(
                f"the bottom has the shape {bottom}",
                expected="a 4-dimensional bottom (N, C, H, W), not empty",
            )

    def check_engine(self, params: Any) -> None:
        """Note which engine the prototxt asks for; warn where that is one for other devices."""
        value = params.Engine.Name(params.engine)
        kind = self.ctx.device.kind
        if value == "DEFAULT":
            return
        if value not in ENGINES[kind]:
            log.warning(
                "%s: engine %s is not available, another one computes it", self.where, value
            )
            return
        described = params.DESCRIPTOR
        fields = self.spec.DESCRIPTOR.fields
        name = next(f.name for f in fields if f.message_type is described)
        where = prototxt.where(self.spec, f"{name}.engine")
        self.engine_wish = Wish(ENGINES[kind][value], value, where, soft=kind == "cuda")

    def axis(self, index: int, shape: Shape, field: str = "axis") -> int:
        """Return `index` counted from the front for a blob of this shape; refuse one outside."""
        if not -len(shape) <= index < len(shape):
            self.reject(
                f"{field} is {index}, but the bottom {shape} has {len(shape)} axes",
                expected=f"{-len(shape)} to {len(shape) - 1}" if shape else "a bottom with axes",
            )
        return index % len(shape)

    def _make_table(self, make: Callable[..., np.ndarray], *key: Hashable) -> Any:
        return self.xp.asarray(make(*key))

    def _check_counts(self) -> None:
        spec = self.spec
        for kind, names, count in (
            ("bottom", spec.bottom, self.bottoms),
            ("top", spec.top, self.tops),
        ):
            least, most = count if isinstance(count, tuple) else (count, count)
            if len(names) < least or (most is not None and len(names) > most):
                if kind == "top" and self.loss and not names:
                    continue  # the net makes the scalar top that the prototxt left out
                wanted = str(least) if least == most else f"{least} to {most}"
                if most is None:
                    wanted = f"at least {least}"
                has = f"has {len(names)} {kind}{'' if len(names) == 1 else 's'}"
                listing = f" ({', '.join(names)})" if names else ""
                self.reject(
                    has + listing, expected=f"{wanted} {kind}{'' if wanted == '1' else 's'}"
                )
        if self.same_counts and len(spec.top) != len(spec.bottom):
            self.reject(
                f"has {len(spec.bottom)} bottoms and {len(spec.top)} tops",
                expected="a top for each bottom",
            )
        if self.is_in_place and not self.in_place:
            self.reject(
                f"cannot work in place: top and bottom are both '{spec.top[0]}'",
                fix="give the top a name of its own",
            )
        shared = [t for t, b in zip(spec.top[1:], spec.bottom[1:], strict=False) if t == b]
        if shared:
            self.reject(f"cannot work in place on '{shared[0]}': only top[0] may be bottom[0]")


REGISTRY: dict[str, type[Layer]] = {}
L = TypeVar("L", bound=type[Layer])


def register(name: str) -> Callable[[L], L]:
    """Class decorator: make a Layer known under the prototxt's `type`.

    A module that is loaded again, or a notebook's cell, replaces the class that it registered.
    """

    def add(cls: L) -> L:
        known = REGISTRY.get(name, cls)
        if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"layer type {name!r} is registered by {REGISTRY[name].__name__}")
        cls.type = name
        REGISTRY[name] = cls
        prototxt.LAYER_TYPES.add(name)
        return cls

    return add


def family_of(type: str) -> str:
    """Return the key of FAMILIES for a layer type, registered or not."""
    cls = REGISTRY.get(type)
    if cls is None:
        return "loss" if type.endswith("Loss") else ""
    return cls.family or ("loss" if cls.loss else "")


def layer_type_list() -> list[str]:
    """Return the names of all layer types, sorted."""
    return sorted(REGISTRY)


def layer_class(spec: Any) -> type[Layer]:
    """Return the class for `spec.type`; raise UnknownLayerTypeError with the nearest name."""
    if spec.type in REGISTRY:
        return REGISTRY[spec.type]
    raise UnknownLayerTypeError(
        f"unknown type '{spec.type}'",
        where=prototxt.where(spec),
        fix=type_hint(spec.type, REGISTRY),
    )
