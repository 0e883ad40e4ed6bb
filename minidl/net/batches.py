"""Any number of inputs through a net, batch by batch: forward_all, forward_backward_all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from minidl.errors import UsageError, did_you_mean
from minidl.net.state import State

Arrays = dict[str, Any]  # by the names of blobs
Pass = Callable[..., Arrays]  # Net.forward or Net.backward


def forward_all(
    net: State, forward: Pass, blobs: Sequence[str], inputs: Mapping[str, Any]
) -> Arrays:
    """Return a net's outputs, and `blobs`, for M items: {name: array (M, ...)}, copies.

    inputs    for every input of the net an array (M, ...), or a list of M arrays

    The last batch is filled up with zeros, and what they give is dropped.
    """
    count = _count(net, inputs, ())
    parts = [
        {name: np.array(net.device.to_host(a)) for name, a in forward(blobs, **batch).items()}
        for batch in batches(inputs, _batch_size(net), count)
    ]
    return _joined(parts, count, _batch_size(net))


def forward_backward_all(
    net: State,
    forward: Pass,
    backward: Pass,
    blobs: Sequence[str],
    diffs: Sequence[str],
    given: Mapping[str, Any],
) -> tuple[Arrays, Arrays]:
    """Return outputs and gradients for M items: ({name: array}, {name: gradient}), copies.

    blobs, diffs   names of further blobs whose data, whose gradients to return
    given          inputs, and gradients of outputs, (M, ...) each; losses have their own

    Parameters' gradients are summed over all batches, as in any backward.
    """
    count = _count(net, given, net.blueprint.outputs)
    inputs = {name: values for name, values in given.items() if name in net.blueprint.inputs}
    tops = {name: values for name, values in given.items() if name not in net.blueprint.inputs}
    size, host = _batch_size(net), net.device.to_host
    outs, gradients = [], []
    pairs = zip(batches(inputs, size, count), batches(tops, size, count), strict=True)
    for batch, top_diffs in pairs:
        found = forward(blobs, **batch)
        outs.append({name: np.array(host(a)) for name, a in found.items()})
        found = backward(diffs, **top_diffs)
        gradients.append({name: np.array(host(a)) for name, a in found.items()})
    return _joined(outs, count, size), _joined(gradients, count, size)


def _batch_size(net: State) -> int:
    return int(net.blobs[net.blueprint.inputs[0]].shape[0])


def _count(net: State, given: Mapping[str, Any], outputs: Sequence[str]) -> int:
    """Return the number of items; refuse what is not given, not known, or of another length."""
    where = f"net '{net.name}'"
    known = [*net.blueprint.inputs, *outputs]
    if not net.blueprint.inputs:
        raise UsageError("it has no inputs to fill", where=where, fix="net.forward() reads data")
    for name in given:
        if name not in known:
            expected, fix = ", ".join(known), did_you_mean(name, known)
            raise UsageError(
                f"'{name}' is not one of its inputs", where=where, expected=expected, fix=fix
            )
    missing = [name for name in net.blueprint.inputs if name not in given]
    if missing:
        raise UsageError(f"no values for {', '.join(missing)}", where=where)
    counts = {name: len(values) for name, values in given.items()}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        found = ", ".join(f"{count} of {name}" for name, count in counts.items())
        raise UsageError(f"was given {found}", where=where, expected="as many of each, at least 1")
    sizes = {name: net.blobs[name].shape[:1] for name in net.blueprint.inputs}
    if () in sizes.values() or len(set(sizes.values())) != 1:
        raise UsageError(f"its inputs take batches of {sizes}", where=where, expected="one size")
    return next(iter(counts.values()))


def batches(given: Mapping[str, Any], size: int, count: int) -> Iterator[Arrays]:
    for start in range(0, count, size):
        yield {name: _filled(values[start : start + size], size) for name, values in given.items()}


def _filled(values: Any, size: int) -> np.ndarray:
    """Return `values` and as many zeros as make a whole batch."""
    values = np.asarray(values)
    rest = np.zeros((size - len(values), *values.shape[1:]), values.dtype)
    return np.concatenate([values, rest]) if len(rest) else values


def _joined(parts: Sequence[Arrays], count: int, size: int) -> Arrays:
    """Join items one after the other; of what has none (a loss), one value for each batch."""
    return {
        name: np.concatenate([part[name] for part in parts])[:count]
        if first.shape[:1] == (size,)
        else np.stack([part[name] for part in parts])
        for name, first in parts[0].items()
    }
