"""What a schedule says in words."""

import dataclasses

import pytest

import minidl
from minidl.net import report
from minidl.net.report import Conversion, Execution
from tests.support import need_onednn


@pytest.mark.parametrize(
    "changed, words",
    [
        (dict(), "onednn jit:avx2"),
        (dict(layout="nChw8c"), "onednn jit:avx2 nChw8c"),
        (dict(algorithm="jit:avx2 nhwc", layout="nhwc"), "onednn jit:avx2 nhwc"),
        (dict(algorithm="jit nhwc", layout="nhwc bf16"), "onednn jit nhwc bf16"),
        (dict(fused=True), "onednn jit:avx2, fused"),
        (dict(engine="numpy", algorithm=""), "array code"),
        (dict(engine="numpy", algorithm="", fused=True), "array code, fused"),
        (dict(engine="none", algorithm=""), ""),
    ],
)
def test_who_computes_a_layer(changed, words):
    layer = Execution("onednn", "jit:avx2")
    assert str(dataclasses.replace(layer, **changed)) == words


COPY = Conversion("ip1", "backward", "after", "pool2", "diff", "plain", "nhwc", 204800)


def test_a_conversion_says_where_and_what():
    assert str(COPY) == "ip1, after its backward: gradient of pool2 from plain to nhwc (200 KiB)"
    assert COPY.facts() == {
        "layer": "ip1",
        "pass": "backward",
        "when": "after",
        "blob": "pool2",
        "kind": "diff",
        "from": "plain",
        "to": "nhwc",
        "bytes": 204800,
    }


NET = """
layer { name: "in" type: "Input" top: "x"
  input_param { shape { dim: 2 dim: 16 dim: 9 dim: 9 } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "y"
  convolution_param { num_output: 32 kernel_size: 3 } }
layer { name: "power" type: "Power" bottom: "y" top: "z" power_param { power: 2 } }
"""


def test_of_each_layer_who_computes_it():
    need_onednn()
    schedule = minidl.Net(NET, engine="onednn", seed=1).schedule
    source, conv, power = map(report.execution, schedule.steps)
    assert source == Execution("none") and power.engine == "numpy"
    assert (conv.engine, conv.fused) == ("onednn", False) and conv.algorithm and conv.layout
    copy = next(each for each in report.conversions(schedule) if each.layer == "power")
    expected = Conversion("power", "forward", "before", "y", "data", conv.layout, "plain", 0)
    assert dataclasses.replace(copy, nbytes=0) == expected
    assert copy.nbytes == 4 * 2 * 32 * 7 * 7
    assert report.layer_memory(schedule)[1].data_bytes == copy.nbytes  # the copy is not counted


def test_memory_is_counted_by_hand():
    net = minidl.Net(NET + "force_backward: true", "TRAIN", engine="numpy", seed=1, share=True)
    x, y, w = (4 * n for n in (2 * 16 * 81, 2 * 32 * 49, 32 * 16 * 9 + 32))
    source, conv, power = report.layer_memory(net.schedule)
    assert (source.data_bytes, source.gradients_bytes) == (x, x)
    assert (conv.data_bytes, conv.gradients_bytes, conv.buffers_bytes) == (y, y, 0)
    assert conv.scratch_bytes > 0 and power.data_bytes == y
    memory = report.net_memory(net.schedule)
    assert (memory.params_bytes, memory.param_gradients_bytes) == (w, w)
    assert memory.peak_bytes <= memory.shared_bytes <= memory.apart_bytes
    together = 2 * w + memory.shared_bytes + memory.unshared_bytes + memory.scratch_bytes
    assert memory.memory_bytes == together
    apart = memory.apart_bytes + memory.unshared_bytes
    assert apart == pytest.approx(2 * x + 4 * y, rel=0.01)
    assert memory.memory_apart_bytes == 2 * w + apart + memory.scratch_bytes
