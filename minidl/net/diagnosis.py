"""Find what went wrong in a net: the first bad number, the bad record."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from minidl.arrays.blob import Blob
from minidl.errors import LabelError, UsageError
from minidl.net.infer import AUTOMATIC
from minidl.net.state import State


def first_bad(state: State) -> tuple[str, str, str] | None:
    """Find the first NaN or infinity in order of execution: (layer, blob, "data" or "diff").

    Parameters come before the blobs of their layer and are named "conv1/0". Blobs whose memory
    is another's by now are passed over. None: all is finite.
    """
    host = state.device.to_host
    for layer, top in zip(state.layers, state.tops, strict=False):
        for blob in [*layer.params, *top]:
            if blob.name.startswith(AUTOMATIC) or _is_gone(blob):
                continue
            if not np.isfinite(host(blob.read())).all():
                return layer.name, blob.name, "data"
    for node in state.blueprint.nodes[::-1]:
        for param in node.layer.params:
            if param.wanted and not np.isfinite(host(param.read("diff"))).all():
                return node.name, param.name, "diff"
    return None


def _is_gone(blob: Blob) -> bool:
    try:
        blob.read()
    except UsageError:
        return True
    return False


def refuse_bad_label(state: State, passes: Iterable[int]) -> None:
    """Raise the LabelError for a label in these passes of the net that names no class, if any does;
    or for a number that names no row, where rows are picked by number.

    On a GPU nobody looks at them while the net runs: such a label makes the loss NaN. Batches
    of passes that are over are made again.
    """
    for node in state.blueprint.nodes:
        if node.layer.labels_bottom is None:
            continue
        for number in passes:
            blob = node.bottoms[node.layer.labels_bottom]
            labels = _labels(state, blob, state.streams.passes - number)
            if labels is None:
                continue
            try:
                node.layer.check_labels(labels, node.bottom_shapes[0])
            except LabelError as error:
                bottom = [state.blobs[name] for name in node.bottoms]
                raise with_record(state, error, bottom, state.streams.passes - number) from None


def _labels(state: State, blob: str, ago: int) -> np.ndarray | None:
    """Return a blob of labels as it was some passes ago; None if that is no longer known."""
    if ago == 0:
        return state.device.to_host(state.blobs[blob].read())
    plain = _before_split(state, blob)
    for node in state.blueprint.nodes:
        if plain in node.tops and node.layer.position is not None:
            labels: np.ndarray | None = node.layer.labels_of(node.layer.position - 1 - ago)
            return labels
    return None


def with_record(state: State, error: LabelError, bottom: list[Blob], ago: int = 0) -> LabelError:
    """Name the blobs as the prototxt does, and the record that the label came from.

    ago    how many passes ago it was read
    """
    for name in [blob.name for blob in bottom]:
        plain = _before_split(state, name)
        error.found = error.found.replace(f"'{name}'", f"'{plain}'")
        error.expected = error.expected.replace(f"'{name}'", f"'{plain}'")
    names = {blob.name for blob in bottom[1:] or bottom}  # labels come after scores, if any
    for node in state.blueprint.nodes[::-1]:
        if not names.intersection(node.tops):
            continue
        if source := node.layer.record(error.item, ago):
            error.found = f"{error.found} ({source})"
            break
        names.update(node.bottoms)
    return error


def _before_split(state: State, name: str) -> str:
    """Return the blob that a Split layer made blob `name` from; otherwise `name` itself."""
    for node in state.blueprint.nodes:
        if node.type == "Split" and name in node.tops:
            return node.bottoms[0]
    return name
