"""Whole nets: the losses of the CPU, dropout's masks, the same bits every time, graphs or not."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks import nets
from benchmarks.gpu.cases import Case, Facts, LeftOut, Settings, Wrong
from benchmarks.gpu.weights import fill
from minidl import Net, get_solver, prototxt, schema
from minidl.arrays.cuda_graph import SWITCH
from minidl.solver.rules import RULES

STEPS = 20
# Of the largest loss: float32 adds up in another order, and every step builds on the one before.
CLOSE = {"float32": 1e-3, "tf32": 5e-2, "fp16": 5e-2, "bf16": 1e-1}
# What the fused update has to take into account.
SETTINGS = ("iter_size: 2", "clip_gradients: 0.1", 'regularization_type: "L1"')
# The other rules, which divide by what may be all but zero: their losses agree less closely.
ADAPTIVE = {
    "Nesterov": "",
    "AdaGrad": "momentum: 0",
    "RMSProp": "momentum: 0 base_lr: 0.0003",
    "AdaDelta": "momentum: 0.95 base_lr: 1",
    "Adam": "base_lr: 0.001",
}
CLOSE_ADAPTIVE = 2e-2
CLOSE_ALEXNET = 1e-2  # a ReLU or a maximum that turns over, in one of many layers, counts at once
RATES = {"lenet": 0.001, "alexnet": 0.0001}
SMALL = 67  # rows and columns of AlexNet's images, where all of it is to be quick on a CPU


def cases(settings: Settings) -> Iterator[Case]:
    steps = 3 if settings.tiny else STEPS
    for engine in ("numpy", "cupy", "cudnn", "auto"):
        run = functools.partial(trajectory, "lenet", 16, steps, engine, "float32")
        yield Case(f"LeNet, {steps} steps, {engine}, float32", run)
    yield Case("LeNet, graphs and not, the same bits", functools.partial(graphs, "lenet", steps))
    yield Case("LeNet, twice, the same bits", functools.partial(again, "lenet", steps))
    yield Case("Dropout, the CPU's masks", masks)
    for fields in SETTINGS[:2] if settings.tiny else SETTINGS:
        yield Case(f"LeNet, {fields}", functools.partial(with_fields, steps, fields))
    for rule in ADAPTIVE if not settings.tiny else ():
        if rule in RULES:
            yield Case(f"LeNet, {rule}", functools.partial(by_rule, steps, rule))
    if settings.tiny:
        return
    for math in ("tf32", "fp16", "bf16"):
        run = functools.partial(trajectory, "lenet", 64, steps, "auto", math)
        yield Case(f"LeNet, {steps} steps, {math}", run)
    for engine in ("numpy", "cupy", "auto"):
        run = functools.partial(
            trajectory, "alexnet", 8, steps, engine, "float32", SMALL, close=CLOSE_ALEXNET
        )
        yield Case(f"AlexNet at {SMALL} x {SMALL}, {steps} steps, {engine}, float32", run)
    yield Case("AlexNet, graphs and not, the same bits", functools.partial(graphs, "alexnet", 8))
    run = functools.partial(trajectory, "alexnet", 8, 5, "auto", "float32", close=CLOSE_ALEXNET)
    yield Case("AlexNet at 227 x 227, 5 steps, float32", run)
    for math in ("tf32", "fp16", "bf16"):
        run = functools.partial(trajectory, "alexnet", 8, 5, "auto", math, SMALL)
        yield Case(f"AlexNet at {SMALL} x {SMALL}, 5 steps, {math}", run)


def solver(net: str, batch: int, device: str, size: int = 0, fields: str = "", **options: Any):
    """A solver on one of the zoo's nets, from one seed, with one batch of random records in it."""
    usual = {"base_lr": RATES[net], "momentum": 0.9, "weight_decay": 0.0005}
    text = " ".join(f"{k}: {v}" for k, v in usual.items() if f"{k}:" not in fields)
    param = prototxt.read_solver(
        f'{text} {fields} lr_policy: "fixed" max_iter: 1000000 snapshot_after_train: false '
        "random_seed: 1"
    )
    model = nets.train_net(net, batch)
    shape = list(nets.IMAGE[net])
    if size:
        shape[1:] = size, size
        model.layer[0].input_param.shape[0].dim[2:] = shape[1:]
    param.net_param.CopyFrom(model)
    made = get_solver(param, device=device, **options)
    fill(made.net)
    random, write = np.random.default_rng(1), made.net.device.write
    classes = 10 if net == "lenet" else 1000
    write(made.net.blobs["data"].data, random.standard_normal((batch, *shape), np.float32))
    write(made.net.blobs["label"].data, random.integers(0, classes, batch))
    return made


def losses(made: Any, steps: int) -> list[float]:
    """The loss of each of so many steps."""
    found = []
    for _ in range(steps):
        made.step(1)
        found.append(float(made.loss.value))
    return found


@functools.cache
def on_cpu(net: str, batch: int, steps: int, size: int, fields: str = "") -> list[float]:
    """What the CPU gives, whatever is fastest there."""
    return losses(solver(net, batch, "cpu", size, fields), steps)


def on_gpu(net: str, batch: int, size: int = 0, fields: str = "", **options: Any) -> Any:
    """A solver on the GPU. Errors: LeftOut where the engine that is asked for is not available."""
    from minidl.errors import EngineError

    try:
        return solver(net, batch, "cuda:0", size, fields, **options)
    except EngineError as error:
        if "is not available" in str(error):
            raise LeftOut(" ".join(str(error).split())) from error
        raise


def trajectory(
    net: str,
    batch: int,
    steps: int,
    engine: str,
    math: str,
    size: int = 0,
    fields: str = "",
    close: float = 0.0,
) -> Facts:
    """The losses on both devices; dropout draws the same masks, so AlexNet's agree, too.

    close   how far they may be apart, of the largest; 0: what CLOSE says
    """
    expected = on_cpu(net, batch, steps, size, fields)
    made = on_gpu(net, batch, size, fields, engine=engine, math=math, deterministic=True)
    found = losses(made, steps)
    difference = float(np.abs(np.subtract(found, expected)).max() / np.abs(expected).max())
    facts = {"cpu": expected, "gpu": found, "difference": difference}
    if not difference <= (close or CLOSE[math]):
        raise Wrong(f"losses differ by {difference:.1e} of the largest", facts)
    if expected[-1] == expected[0]:
        raise Wrong("the losses do not move: they show nothing", facts)
    return facts


# ------------------------------------------------------------------ the same bits


def outcome(made: Any, steps: int) -> tuple[list[float], list[np.ndarray]]:
    """Losses of so many steps, then all weights."""
    found = losses(made, steps)
    return found, [made.net.device.to_host(p.read()) for p in made.net.learnable]


def same(one: Any, other: Any) -> None:
    """Errors: Wrong where two outcomes differ in a bit."""
    if one[0] != other[0]:
        raise Wrong(f"losses differ: {one[0]} and {other[0]}")
    for i, (a, b) in enumerate(zip(one[1], other[1], strict=True)):
        if not np.array_equal(a, b):
            raise Wrong(f"parameter {i} differs in {int((a != b).sum())} of {a.size} elements")


def size_of(net: str) -> int:
    return SMALL if net == "alexnet" else 0


def graphs(net: str, steps: int) -> Facts:
    """A graph that is launched again does what its kernels do one by one."""
    made = on_gpu(net, 16, size_of(net), deterministic=True)
    recorded = outcome(made, steps)
    if off := made.net.graph_off:
        raise Wrong(f"no graph was recorded: {off}")
    with _without_graphs():
        made = on_gpu(net, 16, size_of(net), deterministic=True)
        same(outcome(made, steps), recorded)
    return {"losses": recorded[0]}


@contextlib.contextmanager
def _without_graphs() -> Iterator[None]:
    before = os.environ.get(SWITCH)
    os.environ[SWITCH] = "0"
    try:
        yield
    finally:
        os.environ.pop(SWITCH)
        if before is not None:
            os.environ[SWITCH] = before


def again(net: str, steps: int) -> Facts:
    """With --deterministic two runs are one."""
    first, second = (
        outcome(on_gpu(net, 16, size_of(net), deterministic=True), steps) for _ in range(2)
    )
    same(first, second)
    return {"losses": first[0]}


# ------------------------------------------------------------------ others

DROPOUT = """layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 64 dim: 4096 } } }
layer { name: "drop6" type: "Dropout" bottom: "x" top: "y" }
layer { name: "drop7" type: "Dropout" bottom: "y" top: "z"
  dropout_param { dropout_ratio: 0.25 } }"""


def masks() -> Facts:
    """Of three passes, each of another mask: equal to the CPU's, element by element."""
    ones = np.ones((64, 4096), np.float32)
    made = {name: Net(DROPOUT, schema.TRAIN, seed=1, device=name) for name in ("cpu", "cuda:0")}
    before = None
    for i in range(3):
        results = {
            name: np.array(net.device.to_host(net.forward(x=ones)["z"]))
            for name, net in made.items()
        }
        if not np.array_equal(results["cpu"], results["cuda:0"]):
            count = int((results["cpu"] != results["cuda:0"]).sum())
            raise Wrong(f"pass {i + 1}: {count} of {ones.size} elements differ")
        if before is not None and np.array_equal(before, results["cpu"]):
            raise Wrong("two passes draw the same mask")
        before = results["cpu"]
    return {"kept": float((before != 0).mean())}


def with_fields(steps: int, fields: str) -> Facts:
    """A solver with one more field set."""
    return trajectory("lenet", 8, steps, "auto", "float32", fields=fields)


def by_rule(steps: int, rule: str) -> Facts:
    """A solver of another type."""
    fields = f'type: "{rule}" {ADAPTIVE[rule]}'
    return trajectory("lenet", 8, steps, "auto", "float32", fields=fields, close=CLOSE_ADAPTIVE)
