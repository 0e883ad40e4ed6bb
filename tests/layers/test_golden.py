"""Every recorded Caffe case of the layers we have: outputs and gradients within 1e-5."""

import re

import numpy as np
import pytest

from minidl import schema
from minidl.layers.base import REGISTRY
from minidl.net import Net
from tests.support import golden, golden_cases, need_onednn, relative_error

BOUND = 1e-5  # of the array's largest value: what float32 deserves (golden/README.md)


def case_name(path):
    return path.removeprefix("layers/").removesuffix(".npz")


CASES = [c for c in golden_cases("layers/*.npz") if case_name(c).split("__")[0] in REGISTRY]


def close(got, expected, what):
    error = relative_error(got, expected)
    assert error <= BOUND, f"{what}: {error:.2e} of the largest value"


RUNS = {
    "numpy": ("cpu", "numpy"),
    "onednn": ("cpu", "onednn"),
    "array code on a GPU": ("cuda:0", "numpy"),
    "kernels on a GPU": ("cuda:0", "cupy"),
}


@pytest.fixture(params=RUNS.values(), ids=RUNS.keys(), scope="module")
def place(request):
    """A device's name and an engine's."""
    device, engine = request.param
    if engine == "onednn":
        need_onednn()
    if device != "cpu":
        request.getfixturevalue("gpu")
    return device, engine


@pytest.mark.skipif(not CASES, reason="reference material not found: golden/layers")
@pytest.mark.parametrize("path", CASES, ids=case_name)
def test_a_layer_agrees_with_caffe(path, place):
    case = golden(path)
    phase = getattr(schema, str(case["phase"]))
    device, engine = place
    net = Net(str(case["prototxt"]), phase=phase, seed=1, device=device, engine=engine)
    write, host = net.device.write, net.device.to_host
    index = net.layer_names.index("L")
    layer, tops = net.layers[index], net.tops[index]
    for key in case:
        if match := re.fullmatch(r"bottom_(\d+)", key):
            write(net.blobs[f"x{match[1]}"].data, case[key])
        if match := re.fullmatch(r"param_(\d+)", key):
            write(net.params["L"][int(match[1])].data, case[key])
    constants(net, case)
    net.forward_pass()
    checked = 0
    for key in case:
        if match := re.fullmatch(r"top_(\d+)", key):
            close(host(tops[int(match[1])].data), case[key], key)
            checked += 1
        if match := re.fullmatch(r"param_after_(\d+)", key):
            close(host(layer.params[int(match[1])].data), case[key], key)
    assert checked
    for key in case:
        if match := re.fullmatch(r"dtop_(\d+)", key):
            write(tops[int(match[1])].diff, case[key])
    net.clear_param_diffs()
    net.backward_pass()
    for key in case:
        if match := re.fullmatch(r"dbottom_(\d+)", key):
            name = f"x{match[1]}" if f"pre{match[1]}" not in net.layer_names else f"h{match[1]}"
            close(host(net.blobs[name].diff), case[key], key)
        if match := re.fullmatch(r"dparam_(\d+)", key):
            param = layer.params[int(match[1])]
            if param.wanted:
                close(host(param.diff), case[key], key)


def constants(net, case):
    """Fill the helper inputs c<i> with the gradient that Caffe's run put into top i."""
    for key in case:
        if match := re.fullmatch(r"dtop_(\d+)", key):
            name = f"c{match[1]}"
            if name in net.blobs:
                net.device.write(net.blobs[name].data, case[key])


def test_the_recorded_cases_cover_the_layers_with_numbers():
    if not CASES:
        pytest.skip("reference material not found: golden/layers")
    covered = {case_name(c).split("__")[0] for c in CASES}
    # Caffe has no layers of forks, and of these no case was recorded: their tests speak for them
    data = {"Data", "DummyData", "HDF5Data", "ImageData", "Input", "MemoryData", "WindowData"}
    others = {"AbsVal", "Clip", "HDF5Output", "Parameter", "Python", "Silence", "Split", "Swish"}
    of_forks = {type for type, cls in REGISTRY.items() if cls.fork}
    assert set(REGISTRY) - covered <= data | others | of_forks


def test_a_wrong_value_is_noticed():
    with pytest.raises(AssertionError, match="of the largest"):
        close(np.array([1.0, 2.0 + 1e-4]), np.array([1.0, 2.0]), "x")
