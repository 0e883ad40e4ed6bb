"""debug_info: which lines there are, and that their numbers are the means they claim to be."""

import logging

import numpy as np
import pytest

from minidl.solver import debug_info
from tests.places import on
from tests.solver.support import NET, make

pytestmark = on("cpu", "cuda:0")

SHARED = NET.replace("param { lr_mult: 1 }", 'param { name: "w1" lr_mult: 0 }')


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, "minidl")
    return lambda: [r.getMessage() for r in caplog.records if "ward]" in r.getMessage()]


def mean(array):
    return f"{np.abs(array.astype(np.float64)).mean():g}"


def test_a_pass_is_said_layer_by_layer(said):
    net = make("", SHARED, dtype=np.float64).net
    net.clear_param_diffs()
    with debug_info.shown(net):
        net.forward_pass()
        net.backward_pass()
    ip1, ip2 = net.params["ip1"], net.params["ip2"]
    expected = []
    for layer, names in net.top_names.items():
        expected += [
            f"    [Forward] Layer {layer}, top blob {n} data: {mean(net.blobs[n].data)}"
            for n in names
        ]
        for i, param in enumerate(net.params.get(layer, [])):
            name = "w1" if layer == "ip1" and i == 0 else i
            expected.append(
                f"    [Forward] Layer {layer}, param blob {name} data: {mean(param.data)}"
            )
    diff = {name: mean(net.blobs[name].diff) for name in ("ip2", "drop", "tanh", "ip1")}
    expected += [
        f"    [Backward] Layer loss, bottom blob ip2 diff: {diff['ip2']}",
        f"    [Backward] Layer ip2, bottom blob drop diff: {diff['drop']}",
        f"    [Backward] Layer ip2, param blob 0 diff: {mean(ip2[0].diff)}",
        f"    [Backward] Layer ip2, param blob 1 diff: {mean(ip2[1].diff)}",
        f"    [Backward] Layer drop, bottom blob tanh diff: {diff['tanh']}",
        f"    [Backward] Layer tanh, bottom blob ip1 diff: {diff['ip1']}",
        f"    [Backward] Layer ip1, param blob 1 diff: {mean(ip1[1].diff)}",
    ]
    lines = said()
    assert lines[:-1] == expected
    assert not ip1[0].gradient.made  # frozen: no gradient was made for it
    data = np.concatenate([p.data.reshape(-1) for p in net.learnable]).astype(np.float64)
    grad = np.concatenate([p.diff.reshape(-1) for p in [*ip1[1:], *ip2]]).astype(np.float64)
    start = "    [Backward] All net params (data, diff): L1 norm = ("
    assert lines[-1].startswith(start)
    figures = [
        float(x)
        for x in lines[-1].replace(")", "(").replace(", ", "(").split("(")[4:]
        if x and x[0].isdigit()
    ]
    norms = [f(a) for f in (lambda a: np.abs(a).sum(), np.linalg.norm) for a in (data, grad)]
    assert figures == pytest.approx(norms, rel=1e-5)


def test_only_displayed_iterations_are_said_and_test_nets_always(said):
    solver = make("debug_info: true display: 2 test_iter: 1 test_interval: 1")
    counts = []
    for _ in range(3):
        solver.step(1)
        counts.append(sum("[Backward] All" in line for line in said()))
    assert counts == [1, 1, 2]
    tests = [line for line in said() if "[Forward] Layer loss" in line]
    assert len(tests) == 2 + 3


def test_nothing_is_left_behind(said):
    net = make("").net
    with pytest.raises(ZeroDivisionError), debug_info.shown(net):
        raise ZeroDivisionError
    with debug_info.shown(net, wanted=False):
        net.forward_pass()
    assert not net.after_forward and not net.after_backward
    assert said() == []
