"""Array code where it takes another way on a GPU: the same numbers as on the CPU."""

import numpy as np
import pytest

from minidl.device import Cpu
from minidl.errors import DeviceError
from minidl.layers.base import Layer
from minidl.testing.harness import bind, build
from tests.layers.test_contract import (
    assert_same,
    forward,
    forward_and_backward,
    prepare,
    seed_diffs,
    values,
    wanted,
    write,
)
from tests.layers.test_contract import example as case

PIXELS = (2, 5, 4, 3), (2, 4, 3)  # scores and labels
IGNORE = dict(ignore_label=3)

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


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def example(request):
    type, (shapes, keywords) = request.param
    return type, shapes, keywords


def test_the_numbers_are_those_of_the_cpu(example, gpu, monkeypatch):
    """Where the CPU works in pieces the GPU does all at once."""
    monkeypatch.setattr(Cpu, "piece", 50)
    expected = forward_and_backward(*prepare(*example))
    got = forward_and_backward(*prepare(*example, device="cuda:0"))
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(got[name], array, rtol=1e-12, atol=1e-14, err_msg=name)


def test_later_passes_do_nothing_but_launch(example, gpu):
    layer, bottom, top = prepare(*example, device="cuda:0")
    forward_and_backward(layer, bottom, top)
    drawing = example[0] == "Dropout" or example[2].get("pool") == "STOCHASTIC"
    with layer.ctx.device.current(), gpu.strict(transfers=not drawing):
        layer.forward(bottom, top)
        if layer.differentiable:
            layer.backward(top, wanted(layer, bottom), bottom)


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
