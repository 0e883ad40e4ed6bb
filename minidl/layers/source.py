"""Base of the layers without bottoms."""

from __future__ import annotations

from typing import Any

from minidl.arrays.blob import Shape
from minidl.layers.base import Count, Layer


class Source(Layer):
    """A layer without bottoms: the shapes of its tops are given, not inferred.

    overwritten   names of tops in whose memory a layer above works in place; the net sets it
    """

    family = "data"
    bottoms = 0
    tops: Count = (1, None)
    differentiable = False
    overwritten: frozenset[str] = frozenset()

    def shapes_for_tops(self, message: Any, field: str) -> list[Shape]:
        """Return the BlobShapes of `message`, one for each top; one shape alone serves all tops."""
        given = [tuple(int(d) for d in shape.dim) for shape in message.shape]
        tops = len(self.spec.top)
        if len(given) not in (1, tops):
            self.reject(
                f"has {len(given)} shape entries for {tops} tops",
                expected="one for all tops, or one for each",
                field=f"{field}.shape",
            )
        for shape in given:
            if any(d < 0 for d in shape):
                self.reject(f"shape {shape} has a negative size", field=f"{field}.shape")
        return given if len(given) == tops else given * tops
