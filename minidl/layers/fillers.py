"""Fillers: how a parameter's values start."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import numpy as np

from minidl.errors import LayerConfigError, did_you_mean

if TYPE_CHECKING:
    from minidl.arrays.device import Device

Filler = Callable[["Request"], None]
F = TypeVar("F", bound=Filler)

FILLERS: dict[str, Filler] = {}


def filler(name: str) -> Callable[[F], F]:
    """Function decorator: make a filler known under the prototxt's `type`.

    The function takes a `Request` and overwrites all of `request.array`.
    """

    def add(function: F) -> F:
        if name in FILLERS:
            raise ValueError(f"filler {name!r} is registered by {FILLERS[name].__name__}")
        FILLERS[name] = function
        return function

    return add


def fill(
    array: Any, param: Any, rng: np.random.Generator, where: str = "", device: Device | None = None
) -> None:
    """Overwrite `array`, of float32 or float64, as the FillerParameter says.

    rng      what the random fillers draw from
    where    head of the message of a refusal: "InnerProduct layer 'ip1'"
    device   where `array` is; None: a NumPy array. For a GPU the values are made on the host and
             sent over, so they are the same on every device

    >>> from minidl import schema
    >>> weight = np.empty((2, 3), np.float32)
    >>> fill(weight, schema.FillerParameter(type="constant", value=0.5), np.random.default_rng(1))
    >>> weight.tolist()
    [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]
    """
    host = device is None or device.kind == "cpu"
    values = array if host else np.empty(array.shape, array.dtype)
    request = Request(values, param, rng, where)
    request.check()
    if values.size:
        FILLERS[param.type](request)
    if device is not None and not host:
        device.write(array, values)


def check(shape: tuple[int, ...], param: Any, where: str = "") -> None:
    """Refuse what `fill` would refuse for an array of this shape, without having one."""
    request = _Trial(shape, param, where)
    request.check()
    if request.array.size:
        with contextlib.suppress(_Accepted):
            FILLERS[param.type](request)


class Request:
    """One array to be filled: `array`, `param` (a FillerParameter), `rng`, and how to refuse."""

    def __init__(
        self, array: np.ndarray, param: Any, rng: np.random.Generator, where: str = ""
    ) -> None:
        self.array, self.param, self.rng, self.where = array, param, rng, where

    def check(self) -> None:
        """Refuse an unknown type, and `sparse` where it has no meaning."""
        param = self.param
        if param.type not in FILLERS:
            self.reject(
                f"unknown filler type '{param.type}'",
                expected=", ".join(sorted(FILLERS)),
                fix=did_you_mean(param.type, FILLERS),
            )
        if param.sparse != -1 and param.type != "gaussian":
            self.reject(
                f"filler '{param.type}' cannot be sparse, but sparse is {param.sparse}",
                fix='delete sparse, or use type: "gaussian"',
            )

    def reject(self, found: str, *, expected: str = "", fix: str = "") -> NoReturn:
        raise LayerConfigError(found, where=self.where, expected=expected, fix=fix)

    def constant(self, values: Any) -> None:
        """These values, broadcast."""
        self.array[...] = values

    def uniform(self, low: float, high: float) -> None:
        """Numbers drawn evenly from [low, high)."""
        self._draw(self.rng.random)
        self.array *= high - low
        self.array += low

    def gaussian(self, mean: float, std: float) -> None:
        """Normally distributed numbers."""
        self._draw(self.rng.standard_normal)
        self.array *= std
        self.array += mean

    def _draw(self, draw: Callable[..., Any]) -> None:
        # In float32 whatever the array is: a float64 net then starts from the same weights. And
        # straight into it where possible: AlexNet's fc6 has 37 million.
        if self.array.dtype == np.float32 and self.array.flags.c_contiguous:
            draw(dtype=np.float32, out=self.array)
        else:
            self.array[...] = draw(self.array.shape, np.float32)

    def needs_axes(self, least: int) -> None:
        """Refuse an array with fewer axes."""
        if self.array.ndim < least:
            self.reject(
                f"filler '{self.param.type}' cannot fill an array of shape {self.array.shape}",
                expected=f"at least {least} {'axis' if least == 1 else 'axes'}",
                fix='use type: "constant", "uniform" or "gaussian"',
            )

    def fan(self) -> float:
        """Return how many weights meet in one output, or one input, by `variance_norm`.

        For a weight of shape (outputs, inputs, kh, kw): FAN_IN = inputs kh kw, FAN_OUT =
        outputs kh kw, AVERAGE is the mean of both. Caffe knows no more than the shape: a
        convolution's `group` has already made its inputs fewer, but not its outputs, and where
        `transpose: true` stores (inputs, outputs) the two change places.
        """
        self.needs_axes(1)
        count, shape = self.array.size, self.array.shape
        fan_in = count / shape[0]  # inputs * kh * kw
        fan_out = count / shape[1] if len(shape) > 1 else count  # outputs * kh * kw
        if self.param.variance_norm == self.param.FAN_OUT:
            return fan_out
        if self.param.variance_norm == self.param.AVERAGE:
            return (fan_in + fan_out) / 2
        return fan_in


class _Accepted(Exception):
    """A filler came as far as drawing numbers: it has refused nothing."""


class _Trial(Request):
    """A request for an array that takes no memory; whoever begins to fill it has accepted it."""

    def __init__(self, shape: tuple[int, ...], param: Any, where: str) -> None:
        array = np.broadcast_to(np.float32(0), shape)
        super().__init__(array, param, np.random.default_rng(0), where)

    def constant(self, values: Any) -> None:
        raise _Accepted

    def uniform(self, low: float, high: float) -> None:
        raise _Accepted

    def gaussian(self, mean: float, std: float) -> None:
        raise _Accepted


@filler("constant")
def constant(request: Request) -> None:
    """`value` everywhere."""
    request.constant(request.param.value)


@filler("uniform")
def uniform(request: Request) -> None:
    """Numbers drawn evenly from `min` to `max`."""
    low, high = request.param.min, request.param.max
    if not (low <= high and math.isfinite(high - low)):
        request.reject(
            f"filler 'uniform' has min {low:g} and max {high:g}", expected="min <= max, both finite"
        )
    request.uniform(low, high)


@filler("gaussian")
def gaussian(request: Request) -> None:
    """Normal numbers of `mean` and `std`; with `sparse` most of them become zero.

    `sparse: s` keeps each weight with probability s / shape[0]. With an InnerProduct's shape
    (outputs, inputs), each input then reaches about s outputs.

    Source: for sparse starts, Martens 2010, section 5 ("Deep learning via Hessian-free
    optimization").
    """
    p = request.param
    if not (p.std >= 0 and math.isfinite(p.std)):
        request.reject(f"filler 'gaussian' has std {p.std:g}", expected="a finite std >= 0")
    if p.sparse != -1:
        request.needs_axes(1)
        outputs = request.array.shape[0]
        if not 0 <= p.sparse <= outputs:
            request.reject(
                f"filler 'gaussian' has sparse {p.sparse} for an array of shape "
                f"{request.array.shape}",
                expected=f"0 to {outputs}, the size of its first axis, or -1 for no zeros",
            )
    request.gaussian(p.mean, p.std)
    if p.sparse != -1:
        # A fresh draw decides: how large a weight is says nothing about whether it is kept.
        dropped = request.rng.random(request.array.shape, np.float32) >= p.sparse / outputs
        request.array[dropped] = 0


@filler("positive_unitball")
def positive_unitball(request: Request) -> None:
    """Positive numbers that sum to 1 in each row (axis 0 counts the rows)."""
    request.needs_axes(1)
    request.uniform(1, 0)  # (0, 1]: a row of one zero could not be brought to 1
    rows = request.array.reshape(request.array.shape[0], -1)
    rows /= rows.sum(axis=1, keepdims=True)
    request.array[...] = rows.reshape(request.array.shape)


@filler("xavier")
def xavier(request: Request) -> None:
    """Even numbers within +-sqrt(3 / n), variance 1 / n, where n is the fan.

    Source: Glorot & Bengio 2010, section 4.2.1; theirs is `variance_norm: AVERAGE`.
    """
    bound = math.sqrt(3 / request.fan())
    request.uniform(-bound, bound)


@filler("msra")
def msra(request: Request) -> None:
    """Normal numbers of variance 2 / n, where n is the fan: for layers followed by ReLU.

    Source: He, Zhang, Ren & Sun 2015, section 2.2 ("Delving deep into rectifiers").
    """
    request.gaussian(0, math.sqrt(2 / request.fan()))


@filler("bilinear")
def bilinear(request: Request) -> None:
    """Return the tent that interpolates between pixels: for Deconvolution layers that enlarge.

    With k the side of the kernel, f = ceil(k / 2) and c = (k - 1) / (2 f),

        w[..., i, j] = (1 - |i / f - c|) (1 - |j / f - c|)

    To enlarge f times: kernel_size 2 f - f % 2, stride f, pad ceil((f - 1) / 2), a group for
    each channel, lr_mult 0.
    """
    shape = request.array.shape
    if len(shape) != 4 or shape[2] != shape[3]:
        request.reject(
            f"filler 'bilinear' cannot fill an array of shape {shape}",
            expected="a 4-D weight with square kernels",
        )
    k = shape[3]
    f = math.ceil(k / 2)
    # 1 in the middle, falling to both sides
    tent = 1 - np.abs(np.arange(k) / f - (k - 1) / (2 * f))
    request.constant(np.outer(tent, tent))
