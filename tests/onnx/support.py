"""One layer, or a whole net, computed by onnxruntime beside minidl's array code in float64."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from minidl import schema
from minidl.layers.base import REGISTRY
from minidl.net import Net
from minidl.onnx import convert, to_model
from minidl.testing.harness import make_spec
from tests.support import relative_error

onnx = pytest.importorskip("onnx", reason="onnx is not installed: no model can be written")
runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: no oracle")

BOUND = 1e-5  # float32 there, float64 here; relative to the largest value


def skip_without(type: str) -> None:
    """Skip the test where minidl does not have this layer type."""
    if type not in REGISTRY:
        pytest.skip(f"minidl does not have {type}")


def needs(type: str) -> Any:
    """Decorator: skip the test where minidl does not have this layer type."""
    return pytest.mark.skipif(type not in REGISTRY, reason=f"minidl does not have {type}")


def layer_net(type: str, *shapes: tuple[int, ...], seed: int = 0, **keywords: Any) -> Net:
    """A net in float64 of an Input for each shape and one layer, with random parameters."""
    spec = make_spec(type, bottoms=len(shapes), **keywords)
    net = schema.NetParameter(name=type)
    for name, shape in zip(spec.bottom, shapes, strict=True):
        layer = net.layer.add(name=f"in_{name}", type="Input", top=[name])
        layer.input_param.shape.add(dim=shape)
    net.layer.append(spec)
    made = Net(net, dtype=np.float64, engine="numpy", seed=0)
    fill(made, seed)
    return made


def fill(net: Net, seed: int = 0) -> None:
    """Random parameters, scaled by fan-in; statistics above zero."""
    rng = np.random.default_rng(seed)
    for node in net.blueprint.nodes:
        for plan, param in zip(node.params, node.layer.params, strict=True):
            values = rng.standard_normal(plan.shape)
            fan_in = max(1, values.size // max(1, plan.shape[0] if plan.shape else 1))
            values = values / np.sqrt(fan_in)
            is_statistic = plan.attr in node.layer.statistics
            param.data[...] = np.abs(values) + 0.1 if is_statistic else values


def random_inputs(net: Net, seed: int = 1, batch: int = 0) -> dict[str, np.ndarray]:
    """Signed numbers for every input; `batch` replaces the first sizes."""
    rng = np.random.default_rng(seed)
    shapes = {name: net.blobs[name].shape for name in net.inputs}
    return {
        name: rng.standard_normal((batch, *s[1:]) if batch and s else s).astype(np.float32)
        for name, s in shapes.items()
    }


def outputs_there(net: Net, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What onnxruntime makes of the exported net."""
    model = to_model(convert(net)).SerializeToString()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(model, options)
    fed = {i.name: np.asarray(inputs[i.name], np.float32) for i in session.get_inputs()}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, fed), strict=True))


def check(
    net: Net,
    inputs: Mapping[str, np.ndarray] | None = None,
    bound: float = BOUND,
    vary: bool = True,
) -> None:
    """Equal outputs, and equal once more for a batch of another size if the model lets it vary.

    vary    False: leave out the second, for layers that do not accept any numbers
    """
    inputs = random_inputs(net) if inputs is None else inputs
    _compare(net, inputs, bound)
    batch = convert(net).batch
    if vary and batch:
        _compare(net, random_inputs(net, seed=2, batch=batch + 2), bound)


def check_layer(type: str, *shapes: tuple[int, ...], **keywords: Any) -> Net:
    """`check` of a net of one layer; returns the net."""
    net = layer_net(type, *shapes, **keywords)
    check(net)
    return net


def operators(net: Net) -> list[str]:
    """The types of the operators that a net becomes, in order."""
    return [op.type for op in convert(net).graph.ops]


def _compare(net: Net, inputs: Mapping[str, np.ndarray], bound: float) -> None:
    theirs = outputs_there(net, inputs)
    ours = net.forward(**inputs)
    assert set(theirs) <= set(ours), "an output that the net does not have"
    assert theirs
    for name, values in theirs.items():
        assert relative_error(values, ours[name]) < bound, name
