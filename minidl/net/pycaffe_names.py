"""Names that pycaffe gave a net beside its public ones, and that programs written for it use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from minidl.net import batches

if TYPE_CHECKING:
    from minidl.arrays.blob import Blob


class PycaffeNames:
    """What begins with an underscore in pycaffe: lists by number where Net has dicts by name."""

    if TYPE_CHECKING:
        blobs: dict[str, Blob]
        layers: list[Any]
        layer_names: list[str]
        bottoms: list[list[Blob]]
        tops: list[list[Blob]]
        inputs: list[str]
        outputs: list[str]
        _runner: Any

        def _follow_inputs(self) -> None: ...
        def seed_gradients(self) -> None: ...
        def set_input_arrays(self, data: Any, labels: Any) -> None: ...
        @property
        def loss(self) -> float: ...
        @property
        def blob_loss_weights(self) -> Mapping[str, float]: ...

    @property
    def _layer_names(self) -> list[str]:
        return self.layer_names

    @property
    def _blob_names(self) -> list[str]:
        return list(self.blobs)

    @property
    def _blobs(self) -> list[Blob]:
        return list(self.blobs.values())

    @property
    def _blob_loss_weights(self) -> list[float]:
        return list(self.blob_loss_weights.values())

    @property
    def _inputs(self) -> list[int]:
        return self._numbers_of(self.inputs)

    @property
    def _outputs(self) -> list[int]:
        return self._numbers_of(self.outputs)

    def _bottom_ids(self, layer: int) -> list[int]:
        return self._numbers_of([blob.name for blob in self.bottoms[layer]])

    def _top_ids(self, layer: int) -> list[int]:
        return self._numbers_of([blob.name for blob in self.tops[layer]])

    def _forward(self, start: int, end: int) -> float:
        """Run layers `start` to `end`, by number; the loss of all loss tops as they are then."""
        self._follow_inputs()
        self._runner.forward(start, end)
        return self.loss

    def _backward(self, start: int, end: int) -> None:
        """Run layers `start` down to `end`, by number."""
        if start == len(self.layers) - 1:
            self.seed_gradients()
        self._runner.backward(start, end)

    def _set_input_arrays(self, data: Any, labels: Any) -> None:
        self.set_input_arrays(data, labels)

    def _batch(self, blobs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Arrays of any number of items in batches of the net's size, the last filled with 0."""
        size = next(iter(self.blobs.values())).shape[0]
        return batches.batches(blobs, size, len(next(iter(blobs.values()))))

    def _numbers_of(self, names: list[str]) -> list[int]:
        known = list(self.blobs)
        return [known.index(name) for name in names]
