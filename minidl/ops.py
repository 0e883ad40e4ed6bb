"""Frozen descriptions of what the heavy operators compute, and the sizes of their outputs.

A description is all that an engine needs to know about a layer besides its shapes: hashable, so
that it can key a cache, and free of messages and arrays. The output sizes are Caffe's and live
here alone: layers and engines ask, nobody derives them again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

Ints = tuple[int, ...]


def conv_out(size: int, kernel: int, stride: int = 1, pad: int = 0, dilation: int = 1) -> int:
    """Outputs along one axis of a convolution; below 1 there is no output at all.

    The quotient is cut off toward zero as in C, not rounded down: a kernel that is wider than the
    padded bottom by less than one stride still gives one output, with zeros under the overhang.

    >>> conv_out(28, kernel=5), conv_out(227, kernel=11, stride=4), conv_out(4, kernel=5, stride=2)
    (24, 55, 1)
    """
    free = size + 2 * pad - (dilation * (kernel - 1) + 1)
    steps = free // stride if free >= 0 else -(-free // stride)
    return steps + 1


def deconv_out(size: int, kernel: int, stride: int = 1, pad: int = 0, dilation: int = 1) -> int:
    """Outputs along one axis of a deconvolution: the smallest bottom that a convolution of the
    same description would bring to `size`.

    >>> deconv_out(6, kernel=3, stride=2), conv_out(13, kernel=3, stride=2)
    (13, 6)
    """
    return stride * (size - 1) + dilation * (kernel - 1) + 1 - 2 * pad


def pooled_size(
    size: int,
    kernel: int,
    stride: int = 1,
    pad: int = 0,
    *,
    ceil: bool = True,
    clip: bool | None = None,
) -> int:
    """Windows along one axis of a pooling; below 1 there is none.

    ceil    count a last window that overhangs the padded border (Caffe's rule); otherwise only
            whole windows count
    clip    drop a last window that starts in the padding, where it would see nothing; by default
            where `pad` is not zero. Caffe clips both axes as soon as either of them is padded.

    Without padding nothing is clipped: where the stride exceeds the kernel the last window can
    then lie wholly outside (`empty_window` tells).

    >>> pooled_size(55, kernel=3, stride=2), pooled_size(8, kernel=3, stride=2)
    (27, 4)
    >>> pooled_size(5, kernel=2, stride=2, pad=1), pooled_size(5, kernel=2, stride=2, clip=False)
    (3, 3)
    """
    free = size + 2 * pad - kernel
    windows = (-(-free // stride) if ceil else free // stride) + 1
    if (pad != 0 if clip is None else clip) and (windows - 1) * stride >= size + pad:
        windows -= 1
    return windows


def empty_window(size: int, windows: int, stride: int, pad: int) -> bool:
    """Return whether the last of `windows` starts beyond the bottom's end.

    >>> empty_window(5, pooled_size(5, kernel=1, stride=3), stride=3, pad=0)
    True
    """
    return (windows - 1) * stride - pad >= size


@dataclass(frozen=True)
class Activation:
    """y = f(x) for each element: "relu" (x * slope where x <= 0), "sigmoid" or "tanh"."""

    kind: str
    slope: float = 0.0


@dataclass(frozen=True)
class Conv:
    """Correlate images with filters; `transposed`: the map that its transpose is.

    kernel, stride, pad, dilation   one number for all spatial axes, or one for each; `over`
                                    makes it one for each
    group       number of independent groups of channels and filters
    then        what is done to every element at the end of forward; backward starts below it
    """

    num_output: int
    kernel: Ints
    stride: Ints = (1,)
    pad: Ints = (0,)
    dilation: Ints = (1,)
    group: int = 1
    bias: bool = True
    transposed: bool = False
    then: Activation | None = None

    def over(self, axes: int) -> Conv:
        """Return the same with one number for each of this number of spatial axes."""
        given = {name: getattr(self, name) for name in ("kernel", "stride", "pad", "dilation")}
        spread = {name: v * axes if len(v) == 1 else v for name, v in given.items()}
        return replace(self, **spread)

    def out(self, size: Ints) -> Ints:
        """The top's spatial extents for the bottom's."""
        rule, op = deconv_out if self.transposed else conv_out, self.over(len(size))
        geometry = zip(size, op.kernel, op.stride, op.pad, op.dilation, strict=True)
        return tuple(rule(*axis) for axis in geometry)


@dataclass(frozen=True)
class Pool:
    """One value for each window of each channel: its "MAX", its mean ("AVE"), or one drawn at
    random in proportion to its size ("STOCHASTIC").

    kernel  (kh, kw), or () for a window as large as the bottom
    """

    kind: str
    kernel: Ints = ()
    stride: Ints = (1, 1)
    pad: Ints = (0, 0)
    ceil: bool = True

    def over(self, size: Ints) -> Pool:
        """Return the same with the window that it has on a bottom of these spatial extents."""
        return self if self.kernel else replace(self, kernel=tuple(size))

    def out(self, size: Ints) -> Ints:
        """The top's spatial extents for the bottom's."""
        geometry = zip(size, self.over(size).kernel, self.stride, self.pad, strict=True)
        return tuple(pooled_size(*axis, ceil=self.ceil, clip=any(self.pad)) for axis in geometry)


@dataclass(frozen=True)
class LRN:
    """y = x * (k + alpha * sum of x**2 over a window of `size`)**-beta.

    alpha   the factor on the sum: Caffe's alpha over the number of places in a window
    within  the window is a square of one channel, not a row of neighbouring channels
    """

    size: int
    alpha: float
    beta: float
    k: float
    within: bool = False


@dataclass(frozen=True)
class Gemm:
    """y = x W' + b for rows x; `transpose`: W is stored (inputs, outputs), so y = x W + b.

    axis    of the bottom from which on all elements of an item are its inputs
    then    as in Conv
    """

    num_output: int
    bias: bool = True
    transpose: bool = False
    axis: int = 1
    then: Activation | None = None


@dataclass(frozen=True)
class Softmax:
    """exp(x) over its sum along an axis, which may count from the end."""

    axis: int


@dataclass(frozen=True)
class SoftmaxLoss:
    """The cross-entropy of softmax and labels (SoftmaxWithLoss); the gradient is that of scores.

    axis            of the classes
    ignore_label    items with this label do not count; None: all do
    normalization   what the sum is divided by: "VALID" (items that count), "FULL" (all items),
                    "BATCH_SIZE" (those before the axis) or "NONE"; never by less than 1
    """

    axis: int
    ignore_label: int | None
    normalization: str


@dataclass(frozen=True)
class Dropout:
    """Each element is 0 with probability `ratio`, and times 1 / (1 - ratio) otherwise."""

    ratio: float


@dataclass(frozen=True)
class BatchNorm:
    """Caffe's BatchNorm: normalise each channel by the batch, or by what was seen before.

    global_stats   use (and leave alone) the statistics; otherwise those of the batch, which are
                   then added to them: s = fraction * s + new
    """

    eps: float
    fraction: float
    global_stats: bool


@dataclass(frozen=True)
class Affine:
    """y = scale * x + bias, one number for each place of the axes from `axis` on (Scale, Bias)."""

    axis: int = 1
    scale: bool = True
    bias: bool = False


@dataclass(frozen=True)
class Chain:
    """Operators one after the other, each in place on what the one before it left.

    Backward goes through all of them, too. Parameters of the first go by their names, those of
    others by `param`.
    """

    ops: tuple[Any, ...]

    @staticmethod
    def param(k: int, name: str) -> str:
        """Return what a parameter of operator k is called.

        >>> Chain.param(0, "mean"), Chain.param(1, "scale")
        ('mean', '1 scale')
        """
        return f"{k} {name}" if k else name


@dataclass(frozen=True)
class Sum:
    """y = the weighted sum of bottoms of one shape (Eltwise); backward: each its weight times dy.

    split   the transpose: tops are the bottom again (Split), whose gradient is the sum of theirs
    then    as in Conv
    """

    weights: tuple[float, ...]
    split: bool = False
    then: Activation | None = None


@dataclass(frozen=True)
class Concat:
    """The bottoms one after the other along an axis."""

    axis: int


@dataclass(frozen=True)
class Axis:
    """Windows along one axis of a bottom of `size`; window o begins at ``o * stride - pad``.

    >>> Axis(size=5, kernel=3, stride=2, pad=1, windows=3).taps
    ((slice(1, 3, None), slice(1, 4, 2)), (slice(0, 3, None), slice(0, 5, 2)), \
(slice(0, 2, None), slice(1, 4, 2)))
    """

    size: int
    kernel: int
    stride: int
    pad: int
    windows: int

    @cached_property
    def taps(self) -> tuple[tuple[slice, slice], ...]:
        """For each place in the window: the windows where it is on the bottom, and where.

        A slice of the top and a slice of the bottom of equal lengths, maybe 0.
        """
        pairs = []
        for tap in range(self.kernel):
            shift = tap - self.pad
            first = max(0, -(shift // self.stride))
            behind = max(first, min(self.windows, (self.size - 1 - shift) // self.stride + 1))
            start = first * self.stride + shift
            end = start + (behind - first - 1) * self.stride + 1 if behind > first else start
            pairs.append((slice(first, behind), slice(start, end, self.stride)))
        return tuple(pairs)

    @property
    def starts(self) -> list[int]:
        """Return where each window begins; below 0 in the padding."""
        return [window * self.stride - self.pad for window in range(self.windows)]

    @property
    def lengths(self) -> list[int]:
        """Return how much of each window is on the bottom or its padding (not beyond)."""
        return [min(start + self.kernel, self.size + self.pad) - start for start in self.starts]
