"""Passes written down once in a CUDA graph compute, when it is launched, on what is there then."""

from __future__ import annotations

import numpy as np
import pytest

from minidl.engines.cupy_kernels.update import FlatStep, GradientNorm
from minidl.engines.update import Step, Stretch
from tests.engines.harness import Bound, plain
from tests.engines.onednn.parity import truth


def captured(device, *runs):
    with device.current():
        device.stream.begin_capture()
        for run in runs:
            run()
        return device.stream.end_capture()


CASES = {
    "columns": ("Convolution", dict(shape=(3, 4, 5, 7), num_output=6, kernel_size=[3], group=2)),
    "1 x 1": ("Convolution", dict(shape=(3, 4, 5, 7), num_output=6, kernel_size=[1])),
    "depthwise": ("Convolution", dict(shape=(3, 4, 5, 7), num_output=4, kernel_size=[3], group=4)),
    "transposed": ("Deconvolution", dict(shape=(3, 4, 3, 2), num_output=6, kernel_size=[3])),
    "inner product": ("InnerProduct", dict(shape=(5, 11), num_output=7)),
}


@pytest.mark.parametrize("math", ["float32", "bf16"])
@pytest.mark.parametrize("kind, case", CASES.values(), ids=CASES.keys())
def test_a_plan_in_a_graph_works_on_new_data(engine, kind, case, math):
    expected = truth(kind, bf16=True, **case)
    (plan,) = expected.plans(engine, math=math)
    bound = Bound(plan, [0 * expected.x], [expected.y.shape], expected.params, [True])
    graph = captured(engine.device, bound.forward, bound.backward)
    bound.bottom[0].assign(expected.x)
    bound.top_diff[0].assign(expected.dy)
    for _ in range(2):  # written down with fresh gradients, so each launch overwrites them
        with engine.device.current():
            graph.launch(engine.device.stream)
        expected.close(plan, "y", plain(bound.top[0]), expected.y)
        expected.close(plan, "dx", plain(bound.bottom_diff[0]), expected.dx)
        for name, gradient in expected.gradients.items():
            expected.close(plan, name, plain(bound.params[name].gradient.memory), gradient)


def test_a_clipped_step_in_a_graph_follows_the_gradients(engine):
    device = engine.device
    w, g, h = (device.zeros((8,), np.float32) for _ in range(3))
    with device.current():
        made = Step("sgd", momentum=0.5), [w, g, h], [Stretch(0, 0, 8, 1, 1)]
        step, norm = FlatStep(device, *made), GradientNorm(device, g)

    def clipped():
        norm(6.0)
        step(0.5, factor_address=norm.factor_address)

    graph = captured(device, clipped)
    device.write(g, np.full(8, 9.0))  # of norm sqrt(8) * 9
    for expected in (1, 2.5):  # multiples of the first step: the second has half of it on top
        with device.current():
            graph.launch(device.stream)
        first = -0.5 * 6 / np.sqrt(8)
        np.testing.assert_allclose(device.to_host(w), expected * first, rtol=1e-6)
