"""Layers that oneDNN runs as one are the layers that their files describe.

The oracle is the same net in array code, in float64. What is drawn at random: which of
normalisation, scale, shift and ReLU follow each other, what comes before them, whose statistics
count, which parameters learn, and whether a gradient goes on below.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minidl import TEST, TRAIN, Net
from minidl.engines.onednn import OneDNN
from minidl.engines.request import Declined
from minidl.errors import UsageError
from minidl.net import run

pytestmark = pytest.mark.skipif(
    isinstance(OneDNN.load(None), Declined), reason="oneDNN is not available"
)

CONV = """layer { name: "conv" type: "%s" bottom: "data" top: "x" convolution_param {
  num_output: %d group: %d kernel_size: 3 pad: 1 bias_term: %s
  weight_filler { type: "gaussian" std: 0.3 } bias_filler { type: "uniform" } } }"""
SCALE = """layer { name: "scale" type: "Scale" bottom: "%s" top: "%s" scale_param {
  bias_term: %s filler { type: "uniform" min: 0.5 max: 2 } bias_filler { type: "uniform" } }
  param { lr_mult: %d } %s }"""
BIAS = """layer { name: "scale" type: "Bias" bottom: "%s" top: "%s"
  bias_param { filler { type: "uniform" } } }"""
RELU = """layer { name: "relu" type: "ReLU" bottom: "y" top: "y" }"""
END = """layer { name: "end" type: "Reduction" bottom: "y" top: "loss" loss_weight: 1
  reduction_param { operation: SUMSQ } }"""


@st.composite
def nets(draw):
    """A net of at most five layers, and the names of those after the first, in order."""
    size = draw(
        st.tuples(st.integers(2, 4), st.sampled_from((1, 4, 16, 20)), st.just(5), st.just(6))
    )
    dims = " ".join(f"dim: {n}" for n in size)
    parts = [
        f'layer {{ name: "in" type: "Input" top: "data" input_param {{ shape {{ {dims} }} }} }}'
    ]
    below = "data"
    first = draw(st.sampled_from(["", "Convolution", "Deconvolution"]))
    normalises = draw(st.booleans())
    if first:
        group = draw(st.sampled_from([1, 2])) if size[1] > 1 else 1
        # The gradient of a bias below a normalisation is 0 but for rounding.
        bias = "false" if normalises else draw(st.sampled_from(["true", "false"]))
        parts.append(CONV % (first, 2 * size[1], group, bias))
        below = "x"
    if normalises:
        top = draw(st.sampled_from(["y", below] if first else ["y"]))
        whose = draw(st.sampled_from(["", "use_global_stats: true", "use_global_stats: false"]))
        parts.append(
            f'layer {{ name: "norm" type: "BatchNorm" bottom: "{below}" top: "{top}" '
            f"batch_norm_param {{ eps: 0.1 moving_average_fraction: 0.75 {whose} }} }}"
        )
        below = top
    kind = draw(st.sampled_from(["", "Scale", "Bias"]))
    if kind:
        bias, learns = draw(st.booleans()), draw(st.integers(0, 1))
        more = f"param {{ lr_mult: {draw(st.integers(0, 1))} }}" if bias else ""
        given = (below, below if below != "data" else "y")
        scale = SCALE % (*given, str(bias).lower(), learns, more)
        parts.append(scale if kind == "Scale" else BIAS % given)
        below = given[1]
    if below == "data" or draw(st.booleans()):
        top = "y" if below == "data" else below
        parts.append(f'layer {{ name: "relu" type: "ReLU" bottom: "{below}" top: "{top}" }}')
        below = top
    end = END.replace('"y"', f'"{below}"')
    back = "force_backward: true\n" if draw(st.booleans()) else ""
    return back + "\n".join([*parts, end])


def made(text, phase, **options):
    return Net(text, phase, seed=1, **options)


def twin(net, other):
    """Give a net the other's parameters, and statistics as after a few batches."""
    rng = np.random.default_rng(2)
    for name, params in other.params.items():
        for i, param in enumerate(params):
            if name == "norm":
                param.data[...] = rng.uniform(0.5, 2, param.shape)
            net.params[name][i].data[...] = param.data


def passes(net, text, backward):
    """Two passes; gradients of parameters add up over both."""
    found = []
    rng = np.random.default_rng(3)
    for _ in range(2):
        net.blobs["data"].data[...] = rng.standard_normal(net.blobs["data"].shape)
        net.forward()
        found += [("loss", np.array(net.blobs["loss"].data))]
        if backward:
            net.backward()
            for name, blob in net.blobs.items():
                if name != "data" or "force_backward" in text:
                    found.append((f"{name} gradient", blob.diff.copy()))
    for name, params in net.params.items():
        for i, param in enumerate(params):
            found.append((f"{name} {i}", param.data.copy()))
            if backward and name != "norm" and param.wanted:
                found.append((f"{name} {i} gradient", param.diff.copy()))
    return found


def close(found, expected):
    for (name, got), (_, exact) in zip(found, expected, strict=True):
        size = np.abs(exact).max(initial=1.0)
        np.testing.assert_allclose(got, exact, rtol=2e-4, atol=2e-5 * size, err_msg=name)


@given(text=nets())
@settings(max_examples=80, deadline=None)
def test_training_is_that_of_each_layer_alone(text):
    net, oracle = (
        made(text, TRAIN, engine="onednn"),
        made(text, TRAIN, engine="numpy", dtype="float64"),
    )
    twin(net, oracle)
    close(passes(net, text, True), passes(oracle, text, True))


@given(text=nets(), share=st.booleans())
@settings(max_examples=80, deadline=None)
def test_inference_is_that_of_each_layer_alone(text, share):
    net = made(text, TEST, engine="onednn", share=share)
    oracle = made(text, TEST, engine="numpy", dtype="float64")
    twin(net, oracle)
    close(passes(net, text, False), passes(oracle, text, False))


# ---------------------------------------------------------------------- who runs with whom

NORM = 'layer { name: "norm" type: "BatchNorm" bottom: "x" top: "x" }'
INPUT = """layer { name: "in" type: "Input" top: "data"
  input_param { shape { dim: 2 dim: 8 dim: 5 dim: 5 } } }"""
WHOLE = "\n".join(
    [
        INPUT,
        CONV % ("Convolution", 16, 1, "true"),
        NORM,
        SCALE % ("x", "x", "true", 1, ""),
        RELU.replace('"y"', '"x"'),
        END.replace('"y"', '"x"'),
    ]
)


def steps(net):
    return {step.node.name: step for step in run.ready(net.state).schedule.steps}


def test_in_training_scale_and_relu_are_one_with_the_normalisation():
    found = steps(made(WHOLE, TRAIN, engine="onednn"))
    joined = [name for name, step in found.items() if step.part_of is found["norm"]]
    assert joined == ["scale", "relu"]
    assert found["conv"].joined == () and found["conv"].plan is not None


def test_in_inference_all_is_one_with_the_convolution():
    found = steps(made(WHOLE, TEST, engine="onednn", share=True))
    names = [name for name, step in found.items() if step.part_of is found["conv"]]
    assert names == ["norm", "scale", "relu"]


def test_folded_weights_follow_every_parameter():
    net, oracle = (
        made(WHOLE, TEST, engine=engine, share=engine == "onednn") for engine in ("onednn", "numpy")
    )
    twin(net, oracle)
    x = np.random.default_rng(0).standard_normal((2, 8, 5, 5))
    for name, params in oracle.params.items():
        for i in range(len(params)):
            for one in (net, oracle):
                one.params[name][i].data[...] *= 1.5
            got, expected = (float(one.forward(data=x)["loss"]) for one in (net, oracle))
            assert got == pytest.approx(expected, rel=1e-4), (name, i)


@pytest.mark.parametrize("part", [("end", "scale"), ("end", "relu"), ("scale", "conv")])
def test_backward_of_a_part_of_a_chain_is_refused_once(part):
    net, oracle = (made(WHOLE, TRAIN, engine=engine) for engine in ("onednn", "numpy"))
    twin(net, oracle)
    x = np.random.default_rng(0).standard_normal((2, 8, 5, 5))
    for one in (net, oracle):
        one.blobs["data"].data[...] = x
        one.forward()
    start, end = part
    if start != "end":
        oracle.backward(end=start)
        with pytest.raises(UsageError, match="run forward again"):
            net.backward(end=start)
        net.forward()
        oracle.forward()
        for one in (net, oracle):
            one.clear_param_diffs()
            one.backward(end=start)
    else:
        with pytest.raises(UsageError, match="run forward again"):
            net.backward(end=end)
        net.forward()
        oracle.forward()
        net.backward(end=end)
        oracle.backward(end=end)
    np.testing.assert_allclose(net.blobs["x"].diff, oracle.blobs["x"].diff, rtol=1e-3, atol=1e-4)
