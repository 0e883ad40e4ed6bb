"""Whole plans on warps of 32 lanes, and on more turns than there are threads.

The fake GPU runs a kernel as one thread; here the GPU's own side of kernels.cuh runs.
"""

from __future__ import annotations

import sys

import numpy as np
import pytest

from minidl.arrays.device import Device
from minidl.engines.cupy_kernels import CupyKernels, launch, source
from minidl.engines.cupy_kernels.update import FlatStep, GradientNorm
from minidl.engines.update import Step, Stretch
from minidl.testing.harness import build
from tests.engines.cupy_kernels.as_layer import check
from tests.engines.cupy_kernels.lockstep import RawModule
from tests.engines.onednn.parity import truth

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="coroutines in C are Linux's here")


@pytest.fixture(params=[64, 1], ids=["a thread for each turn", "64 threads for all"])
def engine(gpu, request, monkeypatch):
    """The engine on a device whose kernels run in lockstep, with so many blocks at most."""
    device = Device("cuda")
    monkeypatch.setattr(launch, "_known", {})
    monkeypatch.setattr(launch, "BLOCK", 64)
    monkeypatch.setattr(launch, "BLOCKS_EACH", request.param)
    monkeypatch.setattr(launch, "_multiprocessors", lambda device: 1)
    monkeypatch.setattr(device.xp, "RawModule", RawModule)
    before = RawModule.launches
    yield CupyKernels(device)
    assert RawModule.launches > before


CONVOLUTIONS = {
    "columns": dict(shape=(3, 4, 9, 7), num_output=6, kernel_size=[3], group=2, pad=[1]),
    "1 x 1": dict(shape=(3, 4, 9, 7), num_output=6, kernel_size=[1]),
    "depthwise": dict(shape=(35, 3, 7, 6), num_output=6, kernel_size=[3], group=3, stride=[2]),
}


@pytest.mark.parametrize("case", CONVOLUTIONS.values(), ids=CONVOLUTIONS.keys())
def test_convolution(engine, case):
    expected = truth("Convolution", **case)
    expected.check(expected.plans(engine)[0], ones(expected))
    expected.check(expected.plans(engine, limit=1)[0])


def test_inner_product(engine):
    expected = truth("InnerProduct", (40, 7), num_output=5)
    expected.check(expected.plans(engine)[0], ones(expected))


def ones(expected):
    """Gradients that are there already, and are added to by one lane only."""
    return {name: np.ones(values.shape) for name, values in expected.params.items()}


LAYERS = {
    "Softmax": [dict(shape=(3, 70)), dict(shape=(2, 5, 40), axis=1)],
    "BatchNorm": [dict(shape=(5, 3, 7, 9))],
    "LRN": [dict(shape=(2, 7, 3, 5), local_size=3, alpha=1.5, k=0.5)],
    "Pooling": [
        dict(shape=(2, 3, 9, 7), kernel_size=3, stride=2, pool=kind) for kind in ("MAX", "AVE")
    ],
    "Sigmoid": [dict(shape=(3, 50))],
}
ALL = [(kind, case) for kind, cases in LAYERS.items() for case in cases]


@pytest.mark.parametrize("kind, case", ALL, ids=[kind for kind, _ in ALL])
def test_layers(engine, kind, case):
    shape, fields = case["shape"], {name: v for name, v in case.items() if name != "shape"}
    if kind == "BatchNorm":
        fields["use_global_stats"] = False
    layer = build(kind, **fields)
    x = np.random.default_rng(0).standard_normal(shape)
    check(engine, layer.op, layer, [x], tolerance=3e-5)


@pytest.mark.parametrize("shape", [(70, 40), (3, 5, 80)], ids=["many classes", "for each place"])
def test_softmax_with_loss(engine, shape):
    layer, rng = build("SoftmaxWithLoss", bottoms=2, ignore_label=3), np.random.default_rng(0)
    labels = rng.integers(0, shape[1], (shape[0], *shape[2:])).astype(np.float64)
    x = rng.standard_normal(shape)
    check(engine, layer.op, layer, [x, labels], dy=[np.float64(1)], wanted=[True, False])


def test_a_step_and_the_norm_before_it(engine):
    device, rng = engine.device, np.random.default_rng(0)
    values = [rng.standard_normal(3000).astype(np.float32) for _ in range(3)]
    arenas = [device.zeros(a.shape, a.dtype) for a in values]
    for arena, given in zip(arenas, values, strict=True):
        device.write(arena, given)
    with device.current():
        norm = GradientNorm(device, arenas[1])
        stretches = [Stretch(0, 0, 1000, 1, 1), Stretch(1, 1000, 2000, 2, 0)]
        step = FlatStep(device, Step("sgd", momentum=0.9), arenas, stretches)
        norm(5.0)
        step(0.1, decay=0.25, factor_address=norm.factor_address)
    w, g, h = (a.astype(np.float64) for a in values)
    g *= 5 / np.linalg.norm(g)
    own = np.where(np.arange(3000) < 1000, 1, 2)
    h = 0.9 * h + 0.1 * own * (g + 0.25 * np.where(own == 1, w, 0))
    np.testing.assert_allclose(device.to_host(arenas[0]), w - h, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(device.to_host(arenas[2]), h, rtol=1e-5, atol=1e-6)


PARTING = """
#include "kernels.cuh"
ROW_KERNEL void sum(const Index count, float *y)
{
    ROWS (row, count)
        if (LANE < 9)
            y[row] = warp_sum(y[row]);
}
"""


def test_a_warp_whose_lanes_part_at_a_shuffle_is_noticed():
    header = source.FOLDER.joinpath("kernels.cuh").read_text("utf-8")
    run = RawModule(PARTING.replace('#include "kernels.cuh"', header)).get_function("sum")
    y = np.ones(1, np.float32)
    with pytest.raises(AssertionError, match="sum: some lanes"):
        run((1,), (32,), (np.int32(1), np.uint64(y.ctypes.data)))
