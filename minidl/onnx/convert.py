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
    """What a net became.

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
            expected="a layer that computes a top beside losses and measures",
        )
    result = Conversion(_emit(plan.nodes, flow, weights, plan.name), _notes(flow))
    _free_the_batch(result, plan, flow, weights)
    return result


def _emit(nodes: Any, flow: Flow, weights: _Weights, name: str) -> Graph:
    """All operators for these nodes, which say the shapes."""
    graph, names, errors = Graph(name or "net"), flow.names(), []
    found: dict[int, str] = {}  # version -> value
    own: set[int] = set()  # versions whose value has a name made for it
    ends = {version: graph.fresh(names[version]) for version in [*flow.inputs, *flow.outputs]}
    for version in flow.inputs:
        found[version] = ends[version]
        graph.inputs[found[version]] = flow.shape(nodes, version)
    for i, node in enumerate(nodes):
        if i not in flow.live:
            continue
        missing = [flow.blob(v) for v in flow.reads[i] if v not in found]
        try:
            if missing:
                cannot(f"it reads '{missing[0]}', which is left out")
            step = Step(
                graph,
                node.layer,
                [found[version] for version in flow.reads[i]],
                node.bottom_shapes,
                node.top_shapes,
                *weights.of(node),
            )
            first = len(graph.ops)
            values = exporter(node.type)(step)
        except CannotExport as error:
            errors.append(ExportError(str(error), where=node.layer.where))
            found.update((v, names[v]) for v in flow.makes[i])  # go on: there may be more
            continue
        made = {value for op in graph.ops[first:] for value in op.outputs}
        for version, value in zip(flow.makes[i], values, strict=True):
            if value is None:
                continue
            if value in made:
                found[version] = ends.get(version) or graph.fresh(names[version])
                graph.rename(value, found[version], first)
                own.add(version)
            else:
                found[version] = value
    raise_all(errors)
    for version in flow.outputs:
        if version not in own:  # another blob's value: an Identity gives it the name of this one
            step = Step(graph, nodes[flow.maker(version)].layer, (), (), (), {}, {})
            graph.rename(step.emit("Identity", found[version]), ends[version], -1)
        graph.outputs[ends[version]] = flow.shape(nodes, version)
    return graph


def _free_the_batch(result: Conversion, plan: Any, flow: Flow, weights: _Weights) -> None:
    """Let the first size of the inputs vary, if the same operators fit a batch of another size.

    The graph is made for two sizes and compared: a size that became a constant shows.
    """
    sizes = {shape[0] for v in flow.inputs if (shape := flow.shape(plan.nodes, v))}
    if len(sizes) != 1:
        result.notes.append(f"The batch is fixed: inputs begin with the sizes {sorted(sizes)}.")
        return
    (batch,) = sizes
    sources = [n for n in plan.nodes if not n.bottoms]
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
        """How to read a layer's parameters, and the names of their constants, by attribute."""
        pairs = zip(node.params, node.layer.params, strict=True)
        readers = {plan.attr: lambda p=plan, m=param: self._values(p, m) for plan, param in pairs}
        return readers, {plan.attr: self.names[plan.owner] for plan in node.params}

    def _values(self, plan: Any, param: Any) -> np.ndarray:
        if plan.owner not in self.read:
            array = self.net.device.to_host(param.read())
            self.read[plan.owner] = np.ascontiguousarray(array, np.float32)
        return self.read[plan.owner].reshape(plan.shape)


def _notes(flow: Flow) -> list[str]:
    """What is not as in the net, a sentence each."""
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
