"""Every layer type that is carried over, with the examples that its contract is tested with.

A new layer type needs no test here: its entry in tests/layers/test_contract.py is used.
"""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from minidl.errors import ExportError, LayerConfigError
from minidl.layers.base import REGISTRY
from minidl.onnx import convert
from minidl.onnx.table import EXPORTERS, is_left_out
from tests.layers.test_contract import EXAMPLES
from tests.onnx.support import check, layer_net

REFUSED = {
    ("BN", "SegNet, with statistics"): "mean and variance are not carried over",
    ("Lstm", "continued"): "its states go from pass to pass",
}
CASES = [
    pytest.param(type, shapes, keywords, id=f"{type} {label}".strip())
    for type, examples in EXAMPLES.items()
    for label, (shapes, keywords) in examples.items()
    if type in EXPORTERS
    and shapes
    and not is_left_out(type, keywords.get("tops", 1))
    and (type, label) not in REFUSED
]


def prepare(type, shapes, keywords, seed=0):
    """A net of the example in phase TEST, and inputs that the layer accepts."""
    keywords = {k: v for k, v in keywords.items() if k not in ("bottoms", "phase")}
    net = layer_net(type, *shapes, seed=seed, **keywords)
    layer = net.layer_dict["layer"]
    values = layer.sample_bottoms(shapes, np.random.default_rng(seed))
    return net, {f"x{i}": value.astype(np.float32) for i, value in enumerate(values)}


@pytest.mark.parametrize("type, shapes, keywords", CASES)
def test_the_examples_of_the_contract(type, shapes, keywords):
    check(*prepare(type, shapes, keywords), vary=False)


@pytest.mark.parametrize("type, label", REFUSED)
def test_what_a_model_cannot_hold_is_refused(type, label):
    net, _ = prepare(type, *EXAMPLES[type][label])
    with pytest.raises(ExportError, match=REFUSED[type, label]):
        convert(net)


@pytest.mark.parametrize("type, shapes, keywords", CASES)
@given(data=st.data())
@settings(max_examples=4)
def test_other_sizes(type, shapes, keywords, data):
    """Each size of the example becomes another one, the same wherever it stands."""
    other = {size: data.draw(st.integers(1, 7)) for size in sorted(set(sum(shapes, ())))}
    others = [tuple(other[size] for size in shape) for shape in shapes]
    try:
        prepared = prepare(type, others, keywords, seed=data.draw(st.integers(0, 99)))
    except LayerConfigError:
        return  # for some layers most sizes make no sense: two classes and three scores, say
    check(*prepared, vary=False)


ANY_SHAPE = {
    "BatchNorm": dict(eps=0.1),
    "Concat": dict(bottoms=2),
    "Dropout": {},
    "Eltwise": dict(bottoms=3, coeff=[1, -2, 0.5]),
    "Power": dict(power=2, scale=0.5, shift=1),
    "ReLU": dict(negative_slope=0.1),
    "Sigmoid": {},
    "Softmax": {},
    "TanH": {},
}
shapes_of_any_kind = st.lists(st.integers(1, 5), min_size=2, max_size=5).map(tuple)


@pytest.mark.parametrize("type", ANY_SHAPE)
@given(shape=shapes_of_any_kind)
@settings(max_examples=6)
def test_any_number_of_axes(type, shape):
    keywords = dict(ANY_SHAPE[type])
    check(layer_net(type, *[shape] * keywords.pop("bottoms", 1), **keywords))


@pytest.mark.parametrize("operation", ["SUM", "ASUM", "SUMSQ", "MEAN"])
@given(shape=shapes_of_any_kind, data=st.data())
@settings(max_examples=4)
def test_any_reduction(operation, shape, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    check(layer_net("Reduction", shape, operation=operation, axis=axis, coeff=0.5))


@given(shape=shapes_of_any_kind, data=st.data())
@settings(max_examples=12)
def test_any_inner_product(shape, data):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    check(layer_net("InnerProduct", shape, num_output=3, axis=axis))


@pytest.mark.parametrize("type", ["Scale", "Bias"])
@given(shape=shapes_of_any_kind, data=st.data())
@settings(max_examples=8)
def test_any_broadcast(type, shape, data):
    axis = data.draw(st.integers(0, len(shape) - 1))
    count = data.draw(st.integers(0, len(shape) - axis))
    if data.draw(st.booleans()):
        check(layer_net(type, shape, axis=axis, num_axes=count))
    else:
        check(layer_net(type, shape, shape[axis : axis + count], axis=axis), vary=False)


@given(shape=shapes_of_any_kind, data=st.data())
@settings(max_examples=10)
def test_any_slice(shape, data):
    axis = data.draw(st.integers(0, len(shape) - 1))
    points = data.draw(st.sets(st.integers(1, max(1, shape[axis] - 1)), max_size=3))
    assume(max(points, default=0) < shape[axis])
    keywords = dict(slice_point=sorted(points)) if points else {}
    check(layer_net("Slice", shape, tops=len(points) + 1, axis=axis, **keywords))


OWN = {"Parameter", "Filter"}  # with tests of their own in tests/onnx/ops


@pytest.mark.parametrize("type", sorted(set(REGISTRY) & set(EXPORTERS) - OWN))
def test_every_type_has_an_example(type):
    assert type in {case.values[0] for case in CASES}
