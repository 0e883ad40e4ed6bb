"""All of cuDNN's algorithms on every convolution of a net: times, workspaces, errors."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from minidl import ops, prototxt
from minidl.arrays.device import Device
from minidl.arrays.memory import Shape
from minidl.engines.cudnn import Cudnn
from minidl.engines.cudnn.choice import choose
from minidl.engines.cudnn.convolution import plain_problem, ways
from minidl.engines.cudnn.problem import Problem
from minidl.engines.request import Declined, Request
from minidl.engines.select import Policy
from minidl.errors import EngineError, UsageError
from minidl.net.blueprint import Blueprint, Node
from minidl.profile.cudnn_survey import Result, survey
from minidl.profile.engines import Engines


@dataclass(frozen=True)
class Convolution:
    """One convolution, or several layers that are alike.

    declined   why cuDNN does not take it; then nothing else is known
    order      of its arrays: "nchw" or "nhwc"
    passes     by the layer's pass: what each algorithm does
    taken      by the layer's pass: the algorithm that a net would take, "" if there is none
    """

    layers: tuple[str, ...]
    declined: str = ""
    bottom: Shape = ()
    filters: Shape = ()
    top: Shape = ()
    group: int = 1
    order: str = ""
    passes: dict[str, list[Result]] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Algorithms:
    """All convolutions of a net, on this chip, by this version of cuDNN, in this arithmetic."""

    device: str
    cudnn: str
    math: str
    convolutions: tuple[Convolution, ...]


def algorithms(
    blueprint: Blueprint,
    device: Device,
    batch: int | None = None,
    iterations: int = 10,
    engines: Engines | None = None,
) -> Algorithms:
    """Run all of cuDNN's algorithms for every convolution, each of its passes, on random numbers.

    batch     records at a time; by default the net's own
    engines   `math` is the arithmetic; what needs more than `workspace_limit` does not run;
              `algorithm` and `deterministic` say which one a net would take

    Errors: UsageError for a net that has no convolution; EngineError where cuDNN is not available.
    """
    nodes = [node for node in blueprint.nodes if isinstance(node.layer.op, ops.Conv)]
    if not nodes:
        raise UsageError("has no convolution", where=prototxt.where(blueprint.filtered))
    policy = (engines or Engines()).policy(device)
    engine = Cudnn.load(device)
    if isinstance(engine, Declined):
        raise EngineError(f"cuDNN is not available: {engine.reason}")
    found: dict[Any, Convolution] = {}
    for node in nodes:
        problem = _problem(node, policy, batch)
        alike = problem, node.layer.op.transposed
        if isinstance(problem, Declined):
            found[node.name] = Convolution((node.name,), problem.reason)
        elif alike in found:
            found[alike] = replace(found[alike], layers=(*found[alike].layers, node.name))
        else:
            found[alike] = _convolution(engine, node, problem, policy, iterations)
    return Algorithms(engine.isa, engine.version, policy.math.name, tuple(found.values()))


def _request(node: Node, policy: Policy) -> Request:
    return Request(
        bottom_shapes=node.bottom_shapes[:1],
        top_shapes=node.top_shapes[:1],
        params=tuple((p.attr, p.shape) for p in node.params),
        math=policy.math,
        limit=policy.limit,
        algorithm=policy.algorithm,
        deterministic=policy.deterministic,
    )


def _problem(node: Node, policy: Policy, batch: int | None) -> Problem | Declined:
    """The convolution in cuDNN's words: of this many records, in the arrays of this arithmetic."""
    problem = plain_problem(node.layer.op, _request(node, policy))
    if isinstance(problem, Declined):
        return problem
    if policy.math.halves:
        dtype = policy.math.arrays
        problem = replace(problem, dtype=dtype, order="nhwc", math=policy.math)
    if batch:
        images = problem.x[0] // node.bottom_shapes[0][0] * batch
        x, y = (images, *problem.x[1:]), (images, *problem.y[1:])
        problem = replace(problem, x=x, y=y)
    return problem


def _convolution(
    engine: Cudnn, node: Node, problem: Problem, policy: Policy, iterations: int
) -> Convolution:
    op, request = node.layer.op, _request(node, policy)
    results = list(survey(engine.device, engine.algorithms, problem, iterations, policy.limit))
    taken = {}
    for name, way in ways(op).items():
        choices = choose(engine.algorithms.expected(problem, way), request, request.limit)
        star = next(choices).algorithm
        taken[name] = star.name if star is not None else ""
    return Convolution(
        (node.name,),
        bottom=problem.y if op.transposed else problem.x,
        filters=problem.w,
        top=problem.x if op.transposed else problem.y,
        group=problem.group,
        order=problem.order,
        passes={name: [r for r in results if r.way == way] for name, way in ways(op).items()},
        taken=taken,
    )
