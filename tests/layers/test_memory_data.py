"""MemoryData: a program's arrays, batch by batch."""

import numpy as np
import pytest

from minidl import schema
from minidl.errors import DataError, LayerConfigError, UsageError
from minidl.net import Net
from minidl.testing.harness import bind, build

DATA = np.random.default_rng(0).standard_normal((6, 3, 4, 5)).astype("f4")
LABELS = np.arange(6)
SIZES = dict(batch_size=2, channels=3, height=4, width=5)
NET = """
layer { name: "memory" type: "MemoryData" top: "x" top: "label"
  memory_data_param { batch_size: 2 channels: 3 height: 4 width: 5 } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" 
  inner_product_param { num_output: 4 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_batches_follow_one_another_and_wrap(device, gpu):
    layer = build("MemoryData", device=device, dtype=np.float32, **SIZES)
    assert layer.top_shapes() == ((2, 3, 4, 5), (2,))
    _, top = bind(layer)
    layer.reset(DATA, LABELS)
    for n in (0, 1, 2, 0, 1):
        layer.forward([], top)
        data, labels = (layer.ctx.device.to_host(blob.data) for blob in top)
        np.testing.assert_array_equal(data, DATA[2 * n : 2 * n + 2])
        np.testing.assert_array_equal(labels, [2 * n, 2 * n + 1])
    assert layer.position == 5 and layer.record(1) == "item 3 of the arrays"
    assert layer.labels_of(2).tolist() == [4, 5]


def test_new_arrays_begin_at_their_beginning_and_are_not_copied():
    layer = build("MemoryData", **SIZES)
    _, top = bind(layer)
    layer.reset(DATA, LABELS)
    layer.forward([], top)
    own = DATA.astype(np.float64)
    layer.reset(own, LABELS.reshape(6, 1, 1, 1))
    own += 1
    layer.forward([], top)
    np.testing.assert_array_equal(top[0].data, own[:2])


def test_a_net_takes_arrays_by_pycaffes_name():
    with Net(NET, phase=schema.TRAIN) as net:
        with pytest.raises(DataError, match="MemoryData layer 'memory': has no data yet"):
            net.forward_pass()
        net.set_input_arrays(DATA, LABELS)
        net.forward_pass()
        np.testing.assert_array_equal(net.blobs["x"].data, DATA[:2])
        with pytest.raises(DataError, match="item 4 of the arrays"):
            net.forward_pass()
            net.forward_pass()


def test_a_net_without_such_a_layer_says_so():
    text = 'layer { name: "i" type: "Input" top: "x" input_param { shape { dim: 2 } } }'
    with pytest.raises(UsageError, match="has no MemoryData layer"):
        Net(text).set_input_arrays(DATA, LABELS)


WRONG = {
    "not a whole number of batches": (DATA[:5], LABELS[:5], r"\(5, 3, 4, 5\)(.|\n)*multiple of 2"),
    "no items": (DATA[:0], LABELS[:0], r"\(0, 3, 4, 5\)"),
    "other items": (DATA[..., :4], LABELS, r"\(6, 3, 4, 4\)(.|\n)*\(M, 3, 4, 5\)"),
    "fewer labels": (DATA, LABELS[:4], r"labels have the shape \(4,\)(.|\n)*6 numbers"),
    "labels that are text": (DATA, np.array(list("abcdef")), "labels has the type <U1"),
}


@pytest.mark.parametrize("data, labels, message", WRONG.values(), ids=WRONG.keys())
def test_arrays_that_do_not_fit_are_refused(data, labels, message):
    with pytest.raises(UsageError, match=f"MemoryData layer 'layer': .*{message}"):
        build("MemoryData", **SIZES).reset(data, labels)


def test_sizes_are_to_be_said():
    with pytest.raises(LayerConfigError, match="width is 0"):
        build("MemoryData", **{**SIZES, "width": 0})


def test_random_records_stand_in_where_that_is_wanted(caplog):
    net = Net(NET, seed=1, absent_data=(1, 9, 9))
    first, second = (net.forward()["loss"].copy() for _ in range(2))
    assert first == second and np.isfinite(first)
    assert 0.8 < net.blobs["x"].data.std() < 1.2 and set(net.blobs["label"].data) <= {0, 1}
    assert caplog.text.count("has no data yet: random records take its place") == 1
    net.set_input_arrays(DATA, LABELS % 4)
    net.forward()
    np.testing.assert_array_equal(net.blobs["x"].data, DATA[:2])
