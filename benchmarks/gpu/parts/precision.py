"""What each arithmetic costs: one step of a net on the GPU beside the same in float64 on the CPU.

The weights, the records and the dropout masks are the same. An error is that of a whole array, in
the L2 norm: |found - exact| / |exact|.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks import nets
from benchmarks.gpu.cases import Case, Facts, Settings, Wrong
from benchmarks.gpu.weights import fill
from benchmarks.inputs import batch_of
from minidl import TRAIN, Net

MATHS = ("float32", "tf32", "fp16", "bf16")
# Of a net's errors: beyond that it is not the arithmetic any more. A maximum or a ReLU's sign that
# turns over makes a gradient jump, which is most of these errors.
ALLOWED = {"float32": 1e-2, "tf32": 1e-1, "fp16": 1e-1, "bf16": 5e-1}

Errors = dict[str, dict[str, float]]


def cases(settings: Settings) -> Iterator[Case]:
    net, batch = ("lenet", 2) if settings.tiny else ("alexnet", 8)
    for math in MATHS:
        yield Case(f"{net}, {math}", functools.partial(step, net, batch, math))


def step(name: str, batch: int, math: str) -> Facts:
    """Errors of every layer's top and of its weights' gradient."""
    exact = reference(name, batch)
    found = arrays(name, batch, device="cuda:0", math=math)
    errors = {key: _error(found[key], values) for key, values in exact.items()}
    worst = max(errors, key=errors.__getitem__)
    text = "; ".join(f"{key} {error:.1e}" for key, error in errors.items())
    facts = {"errors": errors, "text": f"{math}: {text}"}
    if not errors[worst] <= ALLOWED[math]:
        raise Wrong(f"{worst} is off by {errors[worst]:.1e}", facts)
    return facts


@functools.cache
def reference(name: str, batch: int) -> dict[str, np.ndarray]:
    return arrays(name, batch, device="cpu", engine="numpy", dtype=np.float64)


def arrays(name: str, batch: int, **options: Any) -> dict[str, np.ndarray]:
    """What one step leaves on the host: tops and gradients of layers with weights, the loss."""
    net = Net(nets.train_net(name, batch), TRAIN, seed=1, **options)
    fill(net)
    images, labels = batch_of(name, batch)
    write, host = net.device.write, net.device.to_host
    write(net.blobs["data"].data, images)
    write(net.blobs["label"].data, labels)
    net.clear_param_diffs()
    net.forward_pass()
    net.backward_pass()
    found = {f"{layer} top": _top(net, layer) for layer in net.params}
    found |= {f"{layer} gradient": host(p[0].read("diff")) for layer, p in net.params.items()}
    return {key: np.array(values, np.float64) for key, values in found.items()} | {
        "loss": np.array([net.loss])
    }


def _top(net: Any, layer: str) -> np.ndarray:
    """After a ReLU in place: that is what the layers above see."""
    top = net.tops[net.layer_names.index(layer)][0]
    return np.array(net.device.to_host(top.data))


def _error(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.linalg.norm(found - exact) / (np.linalg.norm(exact) or 1.0))
