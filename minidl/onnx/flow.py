"""Data flow in a net without its losses and measures: versions of blobs, live layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minidl.onnx.table import SHAPE_ONLY, SOURCES, is_left_out


class Flow:
    """The net's blobs as *versions*, one for each time that a blob is written, numbered.

    nodes      the blueprint's, whose shapes are not looked at
    outputs    the names of the blobs that nobody reads in the net

    reads, makes   for each node, the versions of its bottoms and its tops
    needs          those of its bottoms whose values it looks at
    transparent    nodes whose tops have the versions of their bottoms, by index: Splits that the
                   net put in, and Dropout in place
    left_out       nodes that are not carried over, by index
    inputs         versions that somebody has to give, in order
    outputs        versions that the model ends with, in alphabetical order as in Caffe: what
                   nobody reads, and what only layers read that are left out, but not labels
    live           nodes on which an output depends, by index
    """

    def __init__(self, nodes: Sequence[Any], outputs: Sequence[str]) -> None:
        self.nodes = list(nodes)
        self._written: list[tuple[int, int]] = []  # of each version: node and top
        self.reads: list[list[int]] = []
        self.makes: list[list[int]] = []
        now: dict[str, int] = {}
        self.transparent = {i for i, node in enumerate(self.nodes) if _is_transparent(node)}
        for i, node in enumerate(self.nodes):
            reads = [now[name] for name in node.bottoms]
            if i in self.transparent:
                makes = reads * len(node.tops)
            else:
                makes = list(range(len(self._written), len(self._written) + len(node.tops)))
                self._written += [(i, j) for j in range(len(node.tops))]
            now.update(zip(node.tops, makes, strict=True))
            self.reads.append(reads)
            self.makes.append(makes)
        self.needs = [
            [v for j, v in enumerate(reads) if j not in SHAPE_ONLY.get(node.type, ())]
            for node, reads in zip(self.nodes, self.reads, strict=True)
        ]
        self.sources = {i for i, node in enumerate(self.nodes) if node.type in SOURCES}
        self.left_out = {
            i for i, node in enumerate(self.nodes) if is_left_out(node.type, len(node.tops))
        }
        self.outputs = self._outputs({now[name] for name in outputs})
        self.live = self._live()
        needed = {version for i in self.live for version in self.needs[i]}
        self.inputs = [v for i in sorted(self.sources) for v in self.makes[i] if v in needed]

    def blob(self, version: int) -> str:
        """Return the name of the blob that a version is of."""
        i, j = self._written[version]
        name: str = self.nodes[i].tops[j]
        return name

    def maker(self, version: int) -> int:
        """Return the node that writes it."""
        return self._written[version][0]

    def shape(self, nodes: Sequence[Any], version: int) -> tuple[int, ...]:
        """Its shape by `nodes`, which may be those of another batch."""
        i, j = self._written[version]
        shape: tuple[int, ...] = nodes[i].top_shapes[j]
        return shape

    def names(self) -> dict[int, str]:
        """A name for each version: the blob's for an input, or else for the last one of the blob,
        the layer's and the blob's for others."""
        chosen = {self.blob(version): version for version in range(len(self._written))}
        chosen |= {self.blob(version): version for version in self.inputs}
        return {
            version: blob if chosen[blob] == version else f"{self.nodes[i].name}/{blob}"
            for version, (i, _) in enumerate(self._written)
            for blob in [self.blob(version)]
        }

    def _outputs(self, unread: set[int]) -> list[int]:
        kept = [i for i in range(len(self.nodes)) if i not in self.left_out]
        read = {v for i in kept if i not in self.transparent for v in self.reads[i]}
        found = unread | {v for i in self.left_out for v in self._judged(i)}
        ends = [
            version
            for version in found - read
            if self.maker(version) not in self.sources | self.left_out
            and not self._is_loss(version)
        ]
        return sorted(ends, key=self.blob)

    def _judged(self, i: int) -> list[int]:
        """Return the inputs of a loss or a measure, without the labels that it compares with."""
        node = self.nodes[i]
        if node.type == "Silence":
            return []
        labels = node.layer.no_gradient or (() if node.layer.differentiable else (1,))
        return [v for j, v in enumerate(self.reads[i]) if j not in labels]

    def _is_loss(self, version: int) -> bool:
        i, j = self._written[version]
        return j == 0 and self.nodes[i].layer.loss

    def _live(self) -> set[int]:
        needed, live = set(self.outputs), set()
        for i in reversed(range(len(self.nodes))):
            carried = i not in self.sources | self.left_out | self.transparent
            if carried and needed.intersection(self.makes[i]):
                live.add(i)
                needed.update(self.needs[i])
        return live


def _is_transparent(node: Any) -> bool:
    if node.type == "Split":  # one that is written in the prototxt gives names of its own
        return node.tops == tuple(f"{node.name}_{k}" for k in range(len(node.tops)))
    return node.type == "Dropout" and bool(node.layer.views) and bool(node.in_place)
