"""Compare a layer's backward with finite differences of its forward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidl.arrays.blob import Blob
from minidl.arrays.device import Device
from minidl.layers.base import Layer
from minidl.testing.harness import bind

STEP = 1e-5
TOLERANCE = 1e-7
KINK = 1e-3  # one-sided slopes further apart than this straddle a corner of max(), |x|, ...
UNDECLARED = (
    "NaN comes from an element that backward did not write, or from data that it read and "
    "that neither `keeps` nor a saved buffer declares"
)


@dataclass(frozen=True)
class Mismatch:
    """One gradient that is not the derivative: the worst element of one array."""

    layer: str
    blob: str
    index: tuple[int, ...]
    analytic: float
    numeric: float
    tolerance: float
    wrong: int
    checked: int

    def __str__(self) -> str:
        ratio = self.analytic / self.numeric if self.numeric else float("inf")
        error = abs(self.analytic - self.numeric)
        unread = "; " + UNDECLARED if np.isnan(self.analytic) else ""
        return (
            f"{self.layer}: d{self.blob}[{', '.join(map(str, self.index))}] "
            f"is {self.analytic:.6g}, "
            f"finite differences say {self.numeric:.6g} (ratio {ratio:.4g}, "
            f"error {error:.1e} > {self.tolerance:.0e}, "
            f"{self.wrong} of {self.checked} elements wrong)"
            f"{unread}"
        )


@dataclass
class Report:
    """The result of `check`: elements compared, corners skipped, and what was wrong.

    elements   all there are; fewer are `checked` under a limit
    """

    checked: int
    kinks: int
    mismatches: list[Mismatch]
    elements: int = 0


def check(
    layer: Layer,
    *arrays: np.ndarray,
    params: Sequence[np.ndarray] | None = None,
    wanted: Sequence[bool] | None = None,
    step: float = STEP,
    tolerance: float = TOLERANCE,
    limit: int | None = None,
    seed: int = 0,
) -> Report:
    """Check every gradient the layer gives, in the arithmetic it was built with (use float64), and
    on its device.

    arrays     the bottoms
    params     the parameters; random by default
    wanted     which bottoms to ask for; by default all but `layer.no_gradient`
    step       of the central difference
    tolerance  |analytic - numeric| <= tolerance * max(1, |analytic|, |numeric|)
    limit      check this number of random elements of each array, not all
    seed       of the cotangent: the tops are weighted at random, because a plain sum would let a
               softmax (gradient zero) or any permutation pass

    Where the left and the right slope differ, the point is a corner; there the analytic
    gradient only has to lie between the two, and the element counts as a kink.

    Before backward all data that the layer does not declare is spoilt, as a net may do by then: a
    layer that reads it is found to be wrong.
    """
    device, rng = layer.ctx.device, np.random.default_rng(seed)
    wanted = [i not in layer.no_gradient for i in range(len(arrays))] if wanted is None else wanted
    bottom, top = bind(layer, *arrays, params=params, seed=seed)
    inputs = [np.array(a, dtype=layer.ctx.dtype) for a in arrays]

    def copied(array: Any) -> np.ndarray:
        return np.array(device.to_host(array))

    start = [copied(p.data) for p in layer.params]

    def forward() -> list[np.ndarray]:
        for blob, values in zip(bottom, inputs, strict=True):
            device.write(blob.data, values)
        for param, values in zip(layer.params, start, strict=True):
            device.write(param.data, values)
        with device.current():
            layer.forward(bottom, top)
        return [copied(t.data) for t in top]

    outputs = forward()
    cotangent = [rng.standard_normal(out.shape) for out in outputs]
    for blob in bottom:
        device.write(blob.diff, np.nan)
    for blob, values in zip(top, cotangent, strict=True):
        device.write(blob.diff, values)
    before = [rng.standard_normal(p.shape) for p in layer.params]
    for param, values in zip(layer.params, before, strict=True):
        device.write(param.diff, values)  # backward must add to it
    spoil(layer, bottom, top)
    with device.current():
        layer.backward(top, wanted, bottom)

    variables = [
        (blob.name, values, copied(blob.diff))
        for blob, values, want in zip(bottom, inputs, wanted, strict=True)
        if want
    ]
    names = list(layer.param_shapes(*[b.shape for b in bottom]))
    variables += [
        (name, values, copied(param.diff) - offset)
        for name, param, values, offset in zip(names, layer.params, start, before, strict=True)
        if param.wanted
    ]
    report = Report(0, 0, [])
    for name, values, analytic in variables:
        flat, gradient = values.reshape(-1), analytic.reshape(-1)
        chosen = np.arange(flat.size)
        if limit is not None and flat.size > limit:
            chosen = np.sort(rng.choice(flat.size, limit, replace=False))
        worst, wrong = None, 0
        for k in chosen:
            slopes = []
            for delta in (step, -step):
                keep, flat[k] = flat[k], flat[k] + delta
                moved = forward()
                flat[k] = keep
                slopes.append(
                    sum(
                        float(np.sum(c * (m - o)))
                        for c, m, o in zip(cotangent, moved, outputs, strict=True)
                    )
                    / delta
                )
            numeric, got = sum(slopes) / 2, float(gradient[k])
            allowed = tolerance * max(1.0, abs(numeric), abs(got))
            if abs(slopes[0] - slopes[1]) > KINK * max(1.0, abs(numeric)):
                report.kinks += 1
                if min(slopes) - allowed <= got <= max(slopes) + allowed:
                    continue
            error = abs(got - numeric)
            if not error <= allowed:
                wrong += 1
                if worst is None or not error <= worst[0]:
                    worst = (error, k, got, numeric)
        report.checked += len(chosen)
        report.elements += flat.size
        if worst is not None:
            _, k, got, numeric = worst
            index = tuple(int(i) for i in np.unravel_index(k, values.shape))
            report.mismatches.append(
                Mismatch(
                    layer.type if layer.name == "layer" else f"{layer.type} layer '{layer.name}'",
                    "x" if name == "x0" and len(arrays) == 1 else name,
                    index,
                    got,
                    numeric,
                    tolerance,
                    wrong,
                    len(chosen),
                )
            )
    return report


def spoil(layer: Layer, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
    """Destroy all that backward has no right to read: data that is not in `keeps`, and scratch.

    Of a "top sign" the sign stays. Memory that a kept blob shares is left alone.
    """
    device = layer.ctx.device
    kept = [*(bottom if "bottom" in layer.keeps else ()), *(top if "top" in layer.keeps else ())]
    signs = top if "top sign" in layer.keeps else []
    for blob in [*bottom, *top]:
        if any(share_memory(device, blob.data, other.data) for other in [*kept, *signs]):
            continue
        device.write(blob.data, np.nan)
    for blob in signs:
        if not any(share_memory(device, blob.data, other.data) for other in kept):
            device.write(blob.data, np.sign(device.to_host(blob.data)))
    for name, buffer in layer.buffers(*(b.shape for b in bottom)).items():
        if not buffer.kept:
            array = getattr(layer, name)
            device.write(array, np.nan if array.dtype.kind == "f" else 1)


def share_memory(device: Device, a: Any, b: Any) -> bool:
    """Return whether two contiguous arrays of the device have bytes in common."""
    (start, end), (other, behind) = (
        (device.address(array), device.address(array) + array.nbytes) for array in (a, b)
    )
    return start < behind and other < end


def check_backward(layer: Layer, *arrays: np.ndarray, **options: object) -> Report:
    """`check`, raising an AssertionError that names layer, array, index and both values."""
    report = check(layer, *arrays, **options)  # type: ignore[arg-type]
    assert report.checked > 0, f"{layer.type}: no gradient was asked for"
    assert not report.mismatches, "\n".join(map(str, report.mismatches))
    return report
