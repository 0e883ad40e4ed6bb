"""Array code where it takes another way on a GPU: the same numbers as on the CPU."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from numpy.random import default_rng

from minidl import schema
from minidl.arrays.device import Cpu
from minidl.errors import DeviceError
from minidl.layers.base import Layer
from minidl.net import Net
from minidl.testing.harness import bind, build
from tests.layers import (
    test_convolution,
    test_deconvolution,
    test_inner_product,
    test_loss_softmax,
    test_lrn,
    test_metrics,
    test_pooling,
    test_scale,
    test_softmax,
)
from tests.layers.examples import example as case
from tests.layers.examples import (
    forward,
    forward_and_backward,
    prepare,
    seed_diffs,
    values,
    wanted,
    write,
)
from tests.layers.test_contract import assert_same

PIXELS = (2, 5, 4, 3), (2, 4, 3)  # scores and labels
IGNORE = dict(ignore_label=3)
NET = """
layer { name: "d" type: "Input" top: "x" top: "t"
  input_param { shape { dim: 4 dim: 3 dim: 12 dim: 12 } shape { dim: 4 } } }
layer { name: "c" type: "PReLU" bottom: "x" top: "c" }
layer { name: "b" type: "BatchNorm" bottom: "c" top: "c" }
layer { name: "s" type: "Scale" bottom: "c" top: "c" scale_param { bias_term: true } }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
layer { name: "p" type: "Pooling" bottom: "c" top: "p" pooling_param { kernel_size: 3 stride: 2 } }
layer { name: "n" type: "LRN" bottom: "p" top: "n" }
layer { name: "q" type: "Pooling" bottom: "n" top: "q"
  pooling_param { pool: AVE kernel_size: 2 stride: 2 } }
layer { name: "e" type: "Eltwise" bottom: "q" bottom: "q" top: "e"
  eltwise_param { operation: MAX } }
layer { name: "w" type: "Power" bottom: "e" top: "w"
  power_param { power: 2 scale: 0.5 shift: 1 } }
layer { name: "ip" type: "Pooling" bottom: "w" top: "ip"
  pooling_param { pool: AVE global_pooling: true } }
layer { name: "a" type: "Accuracy" bottom: "ip" bottom: "t" top: "a" }
layer { name: "l" type: "SoftmaxWithLoss" bottom: "ip" bottom: "t" top: "l" }
"""

CASES = {
    "1 x 1 filters: by columns, not by broadcasting": (
        "Convolution",
        case((3, 4, 6, 7), num_output=5, kernel_size=1),
    ),
    "1 x 1 filters in groups": (
        "Convolution",
        case((3, 4, 6, 7), num_output=6, kernel_size=1, group=2),
    ),
    "depthwise filters": (
        "Convolution",
        case((2, 6, 5, 7), num_output=6, kernel_size=3, pad=1, group=6),
    ),
    "products of transposed stacks, one by one": (
        "Deconvolution",
        case((2, 6, 3, 4), num_output=9, kernel_size=3, stride=2, group=3),
    ),
    "three axes": ("Convolution", case((2, 3, 4, 5, 3), num_output=4, kernel_size=2, dilation=2)),
    "sums by channel": ("BatchNorm", case((4, 3, 5, 2))),
    "sums by channel, without pixels": ("BatchNorm", case((6, 3))),
    "sums by channel, in place": ("BatchNorm", case((4, 3, 5, 2), in_place=True)),
    "dot products by channel": ("Scale", case((4, 3, 5, 2), bias_term=True)),
    "dot products in the middle": ("Scale", case((4, 3, 5, 2), (3, 5))),
    "dot products with a single number": ("Scale", case((4, 3, 5), num_axes=0)),
    "dot products, in place": ("Scale", case((4, 3, 5, 2), (3, 5), in_place=True)),
    "sums of a bias": ("Bias", case((4, 3, 5, 2), num_axes=2)),
    "dot products by row": ("Softmax", case((3, 5, 4, 2))),
    "dot products by row, in place": ("Softmax", case((3, 5, 4, 2), in_place=True)),
    "many arrays behind one another": (
        "Concat",
        case(*[(2, i % 3 + 1, 3) for i in range(10)]),
    ),
    "many parts": ("Slice", case((2, 20, 3), tops=10)),
    "labels of pixels": ("SoftmaxWithLoss", case(*PIXELS, tops=2)),
    "valid labels are counted": ("SoftmaxWithLoss", case(*PIXELS, **IGNORE)),
    "no label is counted": ("SoftmaxWithLoss", case(*PIXELS, **IGNORE, normalization="FULL")),
    "best scores are counted": ("Accuracy", case(*PIXELS, top_k=2)),
    "by class": ("Accuracy", case(*PIXELS, tops=2)),
    "by class, and without some": ("Accuracy", case(*PIXELS, tops=2, **IGNORE)),
    "windows beyond the bottom": ("Pooling", case((3, 2, 7, 6), kernel_size=4, stride=3, pad=2)),
    "means of windows beyond the bottom": (
        "Pooling",
        case((3, 2, 7, 6), pool="AVE", kernel_size=4, stride=3, pad=2),
    ),
    "drawn places": ("Pooling", case((3, 2, 7, 6), pool="STOCHASTIC", kernel_size=3, stride=2)),
    "a drawn mask": ("Dropout", case((40, 7))),
}


def of_other_tests():
    """The cases by which the layers' own tests compare them with their definitions."""
    for type, module in (
        ("Convolution", test_convolution),
        ("Deconvolution", test_deconvolution),
        ("LRN", test_lrn),
        ("Softmax", test_softmax),
        ("InnerProduct", test_inner_product),
    ):
        for name, (shape, keywords, *_) in module.CASES.items():
            yield pytest.param(type, *case(shape, **keywords), id=f"{type} {name}")
    for type, module in (("Accuracy", test_metrics), ("SoftmaxWithLoss", test_loss_softmax)):
        for name, (scores, labels, options, *_) in module.CASES.items():
            yield pytest.param(type, *case(scores, labels, **options), id=f"{type} {name}")
    for type, (name, (shape, operand, options)) in itertools.product(
        ("Scale", "Bias"), test_scale.CASES.items()
    ):
        yield pytest.param(type, *case(shape, **options), id=f"{type} {name}")
        given = {key: value for key, value in options.items() if key != "num_axes"}
        yield pytest.param(type, *case(shape, operand, **given), id=f"{type} given {name}")
    for param in test_pooling.CASES:
        method, keywords = param.values
        example = case(test_pooling.IMAGE, pool=method, **keywords)
        yield pytest.param("Pooling", *example, id=f"Pooling {param.id}")


OWN = [pytest.param(type, *example, id=name) for name, (type, example) in CASES.items()]
every_case = pytest.mark.parametrize("type, shapes, keywords", [*OWN, *of_other_tests()])


@every_case
def test_the_numbers_are_those_of_the_cpu(type, shapes, keywords, gpu, monkeypatch):
    """Where the CPU works in pieces the GPU does all at once. Later passes do nothing but launch,
    except that array code sends random numbers over."""
    monkeypatch.setattr(Cpu, "piece", 50)
    expected = forward_and_backward(*prepare(type, shapes, keywords))
    layer, bottom, top = prepare(type, shapes, keywords, "cuda:0")
    assert_close(forward_and_backward(layer, bottom, top), expected)
    drawing = type == "Dropout" or keywords.get("pool") == "STOCHASTIC"
    with layer.ctx.device.current(), gpu.strict(transfers=not drawing):
        layer.forward(bottom, top)
        if layer.differentiable:
            layer.backward(top, wanted(layer, bottom), bottom)


def assert_close(got, expected):
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(got[name], array, rtol=1e-12, atol=1e-14, err_msg=name)


@pytest.mark.parametrize("phase", [schema.TRAIN, schema.TEST], ids=["training", "testing"])
@pytest.mark.parametrize(
    "type, shapes, keywords",
    [
        ("Convolution", [(7, 4, 7, 6)], dict(num_output=6, kernel_size=3, group=2)),
        ("Deconvolution", [(7, 4, 3, 4)], dict(num_output=6, kernel_size=3, group=2)),
        ("InnerProduct", [(6, 20)], dict(num_output=17)),
        ("InnerProduct", [(6, 20)], dict(num_output=17, transpose=True)),
    ],
)
def test_what_is_done_bit_by_bit_for_want_of_workspace(type, shapes, keywords, phase, gpu):
    results = []
    for device, limit in (("cpu", 10**9), ("cuda:0", 1500)):
        layer, _, _ = prepare(type, shapes, keywords, device, phase=phase)
        limited = layer.__class__(layer.spec, replace(layer.ctx, workspace_limit=limit))
        bottom, top = bind(limited, *(x for x in layer.sample_bottoms(shapes, default_rng(3))))
        results.append(forward_and_backward(limited, bottom, top))
    assert_close(*results)


@pytest.mark.parametrize("type", ["Dropout", "Pooling"])
def test_random_numbers_of_the_host_are_not_recorded_in_a_graph(type, gpu):
    """They would be the same in every pass."""
    options = dict(pool="STOCHASTIC", kernel_size=2) if type == "Pooling" else {}
    layer, bottom, top = prepare(type, [(2, 3, 4, 4)], options, "cuda:0")
    forward(layer, bottom, top)
    stream = layer.ctx.device.stream
    with layer.ctx.device.current():
        stream.begin_capture()
        with pytest.raises(DeviceError, match=f"{type} layer 'layer': draws its random numbers"):
            layer.forward(bottom, top)
        stream.end_capture()


def test_a_pass_of_array_code_can_be_recorded_and_launched_again(gpu):
    layer, bottom, top = prepare("SoftmaxWithLoss", PIXELS, IGNORE, "cuda:0")
    expected = forward_and_backward(layer, bottom, top)
    seed_diffs(layer, bottom, top)
    write(top[0], 0)
    stream = layer.ctx.device.stream
    with layer.ctx.device.current():
        stream.begin_capture()
        layer.forward(bottom, top)
        layer.backward(top, [True, False], bottom)
        graph = stream.end_capture()
    assert values(top[0]) == 0, "recording alone computes nothing"
    graph.launch(stream)
    assert_same({"top[0]": values(top[0]), "bottom[0].diff": values(bottom[0], "diff")}, expected)


@pytest.mark.parametrize("share", [False, True], ids=["apart", "sharing memory"])
def test_a_net_of_array_code_alone_becomes_one_graph(share, gpu):
    """Shared memory holds anything while a pass is recorded: labels that are no numbers, too.

    The net has no product of matrices: those of array code are CuPy's, which refuse to be recorded.
    """
    rng = np.random.default_rng(0)
    inputs = {"x": rng.standard_normal((4, 3, 12, 12)), "t": np.array([0, 1, 2, 2])}
    gradients = {}
    for device in ("cpu", "cuda:0"):
        net = Net(NET, phase=schema.TRAIN, seed=3, device=device, engine="numpy", share=share)
        for name, numbers in inputs.items():
            write(net.blobs[name], numbers)
        for _ in range(3):
            net.clear_param_diffs()
            gpu.reset()
            loss = net.training_pass()
            counted = gpu.launches, gpu.allocations, gpu.h2d
        gradients[device] = {p.name: values(p, "diff") for p in net.learnable}
        gradients[device]["loss"] = net.device.to_host(loss)
    assert counted == (0, 0, 0), "the third pass on the GPU is the graph"
    for name, expected in gradients["cpu"].items():
        scale = np.abs(expected).max(initial=0)
        np.testing.assert_allclose(gradients["cuda:0"][name], expected, 0, 1e-5 * scale, name)


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_tables_are_made_once_for_each_key(device, gpu):
    made = []

    def squares(count, power):
        made.append((count, power))
        return np.arange(count) ** power

    layer = build("ReLU", device=device)
    first = layer.table(squares, 3, 2)
    assert layer.table(squares, 3, 2) is first and isinstance(first, layer.xp.ndarray)
    np.testing.assert_array_equal(layer.ctx.device.to_host(layer.table(squares, 3, 3)), [0, 1, 8])
    assert made == [(3, 2), (3, 3)]
    assert build("ReLU", device=device).table(squares, 3, 2) is not first


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_go_on_where_the_last_ones_ended(dtype, gpu):
    expected = build("ReLU", name="a").random().random(7, dtype)
    for device in ("cpu", "cuda:0"):
        layer = build("ReLU", name="a", device=device)
        out, rng = layer.ctx.device.zeros((7,), dtype), layer.random()
        layer.uniform(rng, out[:4])
        layer.uniform(rng, out[4:])
        np.testing.assert_array_equal(layer.ctx.device.to_host(out), expected)


def test_what_a_layer_must_not_do_is_found(gpu):
    """The tests above would see array code that makes arrays, or fetches numbers."""

    class Careless(Layer):
        type = "Careless"

        def top_shapes(self, bottom):
            return (bottom,)

        def forward(self, bottom, top):
            top[0].data[...] = bottom[0].data * 2

    class Waiting(Careless):
        def forward(self, bottom, top):
            top[0].data.fill(float(bottom[0].data[0, 0]))

    for cls in (Careless, Waiting):
        spec = build("ReLU").spec
        layer = cls(spec, build("ReLU", device="cuda:0").ctx)
        bottom, top = bind(layer, np.ones((2, 3)))
        with layer.ctx.device.current(), pytest.raises(Exception, match="strict"), gpu.strict():
            layer.forward(bottom, top)
