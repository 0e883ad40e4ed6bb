"""Plans against float64 layers: all of an engine's candidates, every arithmetic, every layout.

The bounds are those of tests/engines.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.gpu.cases import Case, Facts, LeftOut, Settings, Wrong
from minidl import ops, schema
from minidl.arrays.device import Device
from minidl.arrays.rng import DevicePasses
from minidl.engines.request import Declined
from minidl.testing.harness import build
from tests.engines.cudnn import as_layer as cudnn_layer
from tests.engines.cudnn.convolved import Convolved, convolved
from tests.engines.cupy_kernels import as_layer as cupy_layer
from tests.layers.examples import EXAMPLES, example

MATHS = ("float32", "tf32", "fp16", "bf16")
WEIGHTED = (ops.Conv, ops.Gemm)
PASSES = 41  # any number that is not 0

# Beside the contract's examples: geometry that takes other ways, and shapes as nets have them.
MORE = {
    "Convolution": {
        "strides": example((1, 3, 23, 21), num_output=4, kernel_size=5, stride=2),
        "depthwise": example((2, 5, 6, 5), num_output=5, kernel_size=3, group=5),
        "one axis": example((2, 6, 11), num_output=5, kernel_size=[3], dilation=[2]),
        "three axes": example((2, 3, 4, 5, 6), num_output=4, kernel_size=[2], stride=[2]),
        "3 x 3": example((2, 16, 13, 13), num_output=24, kernel_size=3, pad=1),
    },
    "InnerProduct": {"rows": example((8, 40), num_output=24)},
}
OF_NETS = {
    "Convolution": {
        "LeNet conv2": example((8, 20, 12, 12), num_output=50, kernel_size=5),
        "AlexNet conv1": example((2, 3, 227, 227), num_output=96, kernel_size=11, stride=4),
        "AlexNet conv2": example((2, 96, 27, 27), num_output=256, kernel_size=5, pad=2, group=2),
        "AlexNet conv3": example((2, 256, 13, 13), num_output=384, kernel_size=3, pad=1),
    },
    "InnerProduct": {"AlexNet fc6": example((16, 9216), num_output=512)},
    "LRN": {"AlexNet norm1": example((2, 96, 27, 27), local_size=5, alpha=1e-4, beta=0.75)},
    "Pooling": {"AlexNet pool1": example((2, 96, 55, 55), kernel_size=3, stride=2)},
    "Softmax": {"AlexNet prob": example((64, 1000))},
    "SoftmaxWithLoss": {"AlexNet loss": example((64, 1000), (64,))},
    "Dropout": {"AlexNet drop6": example((64, 4096))},
}


def cases(settings: Settings) -> Iterator[Case]:
    engine = functools.cache(functools.partial(loaded, settings.word))
    for kind, label, shapes, keywords, op in _examples(settings.tiny):
        if keywords.get("phase", schema.TRAIN) != schema.TRAIN:
            continue
        name = f"{kind} {label}".strip()
        if isinstance(op, WEIGHTED) and len(shapes) == 1:
            for math in MATHS:
                run = functools.partial(weighted, engine, kind, shapes[0], keywords, math)
                yield Case(f"{name}, {math}", run)
        elif settings.word == "cudnn":
            layouts = cudnn_layer.ARRANGEMENTS if len(shapes[0]) == 4 else ("plain",)
            for arrangement in layouts:
                run = functools.partial(by_cudnn, engine, kind, shapes, keywords, arrangement)
                yield Case(f"{name}, {arrangement}", run)
        else:
            yield Case(name, functools.partial(by_kernels, engine, kind, shapes, keywords))


def _examples(tiny: bool) -> Iterator[tuple[str, str, Any, Any, Any]]:
    """(type, label, shapes, keywords, op) of types that plans may stand in for."""
    tables = (EXAMPLES,) if tiny else (EXAMPLES, MORE, OF_NETS)
    for table in tables:
        for kind, examples in table.items():
            for label, (shapes, keywords) in list(examples.items())[: 1 if tiny else None]:
                if kind == "Split":
                    continue  # only its backward does anything: whole nets have it
                op = build(kind, **keywords).op
                if shapes and op is not None:
                    yield kind, label, shapes, keywords, op


def loaded(word: str) -> Any:
    """The engine. Errors: LeftOut where it is not available."""
    from minidl.engines.cudnn import Cudnn
    from minidl.engines.cupy_kernels import CupyKernels

    engine = (Cudnn if word == "cudnn" else CupyKernels).load(Device("cuda:0"))
    if isinstance(engine, Declined):
        raise LeftOut(engine.reason)
    return engine


# ------------------------------------------------------------------ layers with weights


@dataclass
class Measured(Convolved):
    """A layer beside which plans are run; says how far off they are and refuses none.

    worst   the largest error so far, in units of what is allowed
    """

    worst: dict[str, float] = field(default_factory=dict)

    def close(self, plan: Any, what: str, found: np.ndarray, expected: np.ndarray) -> None:
        terms = np.sqrt(self.truth.terms[what])
        limit = (1e-5 + 8 * cudnn_eps(self.math)) * terms
        error = float((np.abs(found - expected) / limit).max())
        self.worst[what] = max(error, self.worst.get(what, 0.0)) if error == error else np.inf


def cudnn_eps(math: str) -> float:
    """The relative error of a number as it is stored or multiplied."""
    from tests.engines.cudnn.convolved import EPS

    return EPS[math]


def weighted(engine: Any, kind: str, shape: Any, keywords: Any, math: str) -> Facts:
    """Every candidate for a convolution or an inner product, each alone."""
    fields = {key: value for key, value in keywords.items() if key != "bottoms"}
    made = convolved(kind, shape, math, **fields)
    answer = engine().plans(made.op, made.truth.request(math=math))
    if isinstance(answer, Declined):
        return {"declined": answer.reason or f"it has nothing for {kind}"}
    errors, wrong = {}, []
    for plan in answer:
        measured = Measured(made.truth, math)
        name = _name(plan)
        try:
            measured.check(plan)
        except AssertionError as error:
            wrong.append(f"{name}: {error}")
        errors[name] = measured.worst
        far = {what: round(error, 1) for what, error in measured.worst.items() if not error <= 1}
        if far:
            wrong.append(f"{name} is {far} limits off")
    if wrong:
        raise Wrong("; ".join(wrong), {"errors": errors})
    return {"errors": errors}


def _name(plan: Any) -> str:
    """Its passes and layout: what tells candidates apart."""
    from minidl.engines.tuning import describe

    return describe(plan)


# ------------------------------------------------------------------ others


def by_kernels(engine: Any, kind: str, shapes: Any, keywords: Any) -> Facts:
    """Our kernels' only plan, by the check of tests/engines/cupy_kernels."""
    layer, x = _layer(kind, shapes, keywords)
    options: dict[str, Any] = {"wanted": [i not in layer.no_gradient for i in range(len(x))]}
    kept: list[Any] = []
    if isinstance(layer.op, ops.Dropout):
        options |= _random(engine(), layer, kept)
    tops = layer.top_shapes(*shapes)
    params = [(name, shape) for name, shape in layer.param_shapes(*shapes).items()]
    asked = cupy_layer.request(x, tops, params=params, **options)
    if (refusal := _refusal(engine(), layer.op, asked)) is not None:
        return {"declined": refusal}
    plan = _asserted(functools.partial(cupy_layer.check, engine(), layer.op, layer, x, **options))
    return {"algorithm": plan.algorithm}


def by_cudnn(engine: Any, kind: str, shapes: Any, keywords: Any, arrangement: str) -> Facts:
    """cuDNN's only plan, in the layout in which the bottom arrives."""
    layer, x = _layer(kind, shapes, keywords)
    if len(x) > 1:
        return {"declined": "cuDNN's plans have one bottom"}
    layout = cudnn_layer.ARRANGEMENTS[arrangement](shapes[0])
    params = [(name, shape) for name, shape in layer.param_shapes(*shapes).items()]
    tops = layer.top_shapes(*shapes)
    asked = cupy_layer.request(x, tops, params=params, bottom_layouts=(layout,))
    if (refusal := _refusal(engine(), layer.op, asked)) is not None:
        return {"declined": refusal}
    check = functools.partial(cudnn_layer.check, engine(), layer.op, layer, x[0], layout)
    return {"algorithm": _asserted(check).algorithm}


def _layer(kind: str, shapes: Any, keywords: Any) -> tuple[Any, list[np.ndarray]]:
    layer = build(kind, **keywords)
    samples = layer.sample_bottoms(shapes, np.random.default_rng(3))
    return layer, [np.float64(np.float32(each)) for each in samples]


def _random(engine: Any, layer: Any, kept: list[Any]) -> Facts:
    """What a plan that draws random numbers is told, so that it draws those of the layer."""
    streams = layer.ctx.streams
    streams.passes = PASSES
    passes = DevicePasses(engine.device, streams)
    with engine.device.current():
        passes.begin()
        passes.count()
    kept.append(passes)
    return {"key": streams.key(layer.name), "counter": passes.address}


def _refusal(engine: Any, op: Any, asked: Any) -> str | None:
    answer = engine.plans(op, asked)
    if isinstance(answer, Declined):
        return answer.reason or f"it has nothing for {type(op).__name__}"
    return None


def _asserted(check: Any) -> Any:
    """What the check returns; its assertion, first lines, as what is wrong."""
    try:
        return check()
    except AssertionError as error:
        raise Wrong(" ".join(str(error).split())[:600]) from error
