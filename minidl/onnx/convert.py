"""A net as an ONNX graph: what is carried over, what is left out, and which size may vary."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

import minidl.onnx.ops  # noqa: F401  (fills the table)
from minidl import prototxt, schema
from minidl.errors import ExportError, MinidlError, UsageError, raise_all
from minidl.onnx.flow import Flow
from minidl.onnx.graph import Graph, Step
from minidl.onnx.table import LEFT_OUT, SOURCES, CannotExport, cannot, exporter

if TYPE_CHECKING:
    from minidl.net import Net

BATCH = "N"  # the name of the size that may be anything

Values = Mapping[str, Callable[[], np.ndarray]]


@dataclass
class Conversion:
    """The result of converting a net.

    graph   the operators, with inputs and outputs by the names of their blobs
    notes   a sentence on everything that was left out, and on what the user has to know
    batch   the size that may vary in spite of what the prototxt says; 0 if it is fixed
    """

    graph: Graph
    notes: list[str] = field(default_factory=list)
    batch: int = 0


def convert(net: Net) -> Conversion:
    """The ONNX graph of a net in phase TEST, with its weights.

    Errors: ExportError naming every layer that cannot be expressed, and why.
    """
    if net.phase != schema.TEST:
        raise UsageError(
            f"net '{net.name}' is in phase TRAIN",
            expected="phase TEST: a model is for those who use the net, not for training",
        )
    plan, weights = net.blueprint, _Weights(net)
    flow = Flow(plan.nodes, plan.outputs)
    if not flow.outputs:
        raise ExportError(
            "nothing would be left: no layer makes something of the inputs that is not left out",
            where=f"net '{plan.name}'",
            expected="a layer that computes a top besides losses and measures",
        )
    graph = _emit(plan.nodes, flow, weights, plan.name)
    result = Conversion(graph, _notes(flow) + graph.notes)
    _free_the_batch(result, plan, flow, weights)
    return result


def _emit(nodes: Any, flow: Flow, weights: _Weights, name: str) -> Graph:
    """Emit all operators for these nodes, which say the shapes."""
    return _Walk(nodes, flow, weights, Graph(name or "net")).run()


class _Walk:
    """One walk over the layers, from the first to the last.

    found   the value of each version made so far
    own     versions whose value has a name that was made for it; others are another blob's values
    ends    the names of inputs and outputs, which come first so that nothing else takes them
    """

    def __init__(self, nodes: Any, flow: Flow, weights: _Weights, graph: Graph) -> None:
        self.nodes, self.flow, self.weights, self.graph = nodes, flow, weights, graph
        self.names = flow.names()
        self.ends = {v: graph.fresh(self.names[v]) for v in [*flow.inputs, *flow.outputs]}
        self.found = {version: self.ends[version] for version in flow.inputs}
        self.own: set[int] = set()

    def run(self) -> Graph:
        errors: list[MinidlError] = []
        for version in self.flow.inputs:
            self.graph.inputs[self.ends[version]] = self.flow.shape(self.nodes, version)
        for i in sorted(self.flow.live):
            try:
                self._layer(i, self.nodes[i])
            except CannotExport as error:
                errors.append(ExportError(str(error), where=self.nodes[i].layer.where))
                self.found.update(
                    (v, self.names[v]) for v in self.flow.makes[i]
                )  # there may be more
        raise_all(errors)
        for version in self.flow.outputs:
            self._output(version)
        return self.graph

    def _layer(self, i: int, node: Any) -> None:
        """Let the exporter of its type write it, and give the values that it made their names."""
        needs, reads = self.flow.needs[i], self.flow.reads[i]
        if missing := [self.flow.blob(v) for v in needs if v not in self.found]:
            cannot(f"it reads '{missing[0]}', which is left out")
        step = Step(
            self.graph,
            node.layer,
            [self.found.get(version, "") for version in reads],
            node.bottom_shapes,
            node.top_shapes,
            *self.weights.of(node),
        )
        first = len(self.graph.ops)
        values = exporter(node.type)(step)
        made = {value for op in self.graph.ops[first:] for value in op.outputs}
        for version, value in zip(self.flow.makes[i], values, strict=True):
            if value in made:
                self.own.add(version)
                self.found[version] = self.ends.get(version) or self._name(version)
                self.graph.rename(value, self.found[version], first)
            elif value is not None:
                self.found[version] = value

    def _name(self, version: int) -> str:
        return self.graph.fresh(self.names[version])

    def _output(self, version: int) -> None:
        """Make a version an output; an Identity names it where it is another blob's value."""
        graph, flow = self.graph, self.flow
        if version not in self.own:
            step = Step(graph, self.nodes[flow.maker(version)].layer, (), (), (), {}, {})
            graph.rename(step.emit("Identity", self.found[version]), self.ends[version], -1)
        graph.outputs[self.ends[version]] = flow.shape(self.nodes, version)


def _free_the_batch(result: Conversion, plan: Any, flow: Flow, weights: _Weights) -> None:
    """Let the first size of the inputs vary, if the same operators fit a batch of another size.

    The graph is made for two sizes and compared: a size that became a constant shows.
    """
    sizes = {shape[0] for v in flow.inputs if (shape := flow.shape(plan.nodes, v))}
    if len(sizes) != 1:
        result.notes.append(f"The batch is fixed: inputs begin with the sizes {sorted(sizes)}.")
        return
    (batch,) = sizes
    sources = [n for n in plan.nodes if n.type in SOURCES]
    shapes = {t: s for n in sources for t, s in zip(n.tops, n.top_shapes, strict=True)}
    given = {t: (batch + 1, *s[1:]) for t, s in shapes.items() if s and s[0] == batch}
    other = copy.copy(plan)
    try:
        other.reshape(given)
        graph = _emit(other.nodes, flow, weights, plan.name)
    except MinidlError as error:
        reason = str(error).partition("\n")[0]
        result.notes.append(f"The batch is fixed at {batch}: {reason}")
        return
    if layer := result.graph.difference(graph):
        result.notes.append(f"The batch is fixed at {batch}: layer '{layer}' depends on it.")
        return
    result.batch = batch
    for mine, theirs in (
        (result.graph.inputs, graph.inputs),
        (result.graph.outputs, graph.outputs),
    ):
        for name, dims in mine.items():
            mine[name] = tuple(
                a if a == b else BATCH if (a, b) == (batch, batch + 1) else f"{name}_{i}"
                for i, (a, b) in enumerate(zip(dims, theirs[name], strict=True))
            )


class _Weights:
    """The net's parameters, each read once, on the host."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.read: dict[str, np.ndarray] = {}
        nodes = net.blueprint.nodes
        self.names = {p.key: f"{n.name}/{p.attr}" for n in nodes for p in n.params}

    def of(self, node: Any) -> tuple[Values, dict[str, str]]:
        """Return how to read a layer's parameters, and their constants' names, by attribute."""
        pairs = zip(node.params, node.layer.params, strict=True)
        readers = {plan.attr: lambda p=plan, m=param: self._values(p, m) for plan, param in pairs}
        return readers, {plan.attr: self.names[plan.owner] for plan in node.params}

    def _values(self, plan: Any, param: Any) -> np.ndarray:
        if plan.owner not in self.read:
            array = self.net.device.to_host(param.read())
            self.read[plan.owner] = np.ascontiguousarray(array, np.float32)
        return self.read[plan.owner].reshape(plan.shape)


def _notes(flow: Flow) -> list[str]:
    """Return the differences from the net, a sentence each."""
    notes = []
    for i, node in enumerate(flow.nodes):
        where = f"{node.type} layer '{node.name}'"
        if node.type in SOURCES:
            if node.type != "Input":
                notes.append(f"{where} {SOURCES[node.type]}: {_source(flow, i, node)}.")
        elif i in flow.left_out:
            notes.append(f"{where} is left out: {LEFT_OUT[node.type]}.")
        elif i not in flow.live | flow.transparent:
            notes.append(f"{where} is left out: no output depends on it.")
    return notes


def _source(flow: Flow, i: int, node: Any) -> str:
    given = [f"'{flow.blob(v)}'" for v in flow.makes[i] if v in flow.inputs]
    unread = [f"'{flow.blob(v)}'" for v in flow.makes[i] if v not in flow.inputs]
    said = [f"{' and '.join(given)} became an input"] if given else []
    if unread:
        said.append(f"{' and '.join(unread)} is not needed")
    transform = node.spec.transform_param
    if given and transform.ByteSize():
        text = " ".join(prototxt.to_text(transform).split())
        said.append(f"what is given there has to be transformed already ({text})")
    return ", ".join(said)
