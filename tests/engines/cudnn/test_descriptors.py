"""Descriptors: the shapes they say, what they refuse, and that they go when they are not needed."""

from __future__ import annotations

import gc
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from minidl import ops
from minidl.engines.cudnn import api
from minidl.engines.cudnn.descriptors import (
    LRN,
    Activation,
    Convolution,
    Filter,
    Pooling,
    Statistics,
    Tensor,
    dense,
)
from minidl.engines.cudnn.library import CudnnError
from tests.support import ROOT

# The fixture only says which library is asked: it may stay the same for all examples.
many = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
extents = st.integers(1, 12)
kernels, strides, dilations = st.integers(1, 5), st.integers(1, 4), st.integers(1, 3)
axes = st.sampled_from([2, 3])


# ------------------------------------------------------------------ outputs


@many
@given(st.data())
def test_a_convolution_has_the_output_of_ops(descriptors, data):
    """But for one case: Caffe still counts an output where the kernel is wider than the padded
    bottom by less than a stride. cuDNN does not, so such a convolution is not for it."""
    count = data.draw(axes)

    def draw(each):
        return data.draw(st.tuples(*[each] * count))

    size, kernel, stride, dilation = map(draw, (extents, kernels, strides, dilations))
    pad, group = draw(st.integers(0, 3)), data.draw(st.integers(1, 3))
    op = ops.Conv(2 * group, kernel, stride, pad, dilation, group)
    out = op.out(size)
    assume(all(n > 0 for n in out))
    spans = zip(size, kernel, pad, dilation, strict=True)
    whole = all(n + 2 * p >= d * (k - 1) + 1 for n, k, p, d in spans)

    x, filters = Tensor((2, 3 * group, *size)), Filter((2 * group, 3, *kernel))
    geometry = Convolution(pad, stride, dilation, group)
    if whole:
        assert geometry.out(x, filters) == (2, 2 * group, *out)
    else:
        with pytest.raises(CudnnError):
            geometry.out(x, filters)


@many
@given(st.data())
def test_a_pooling_counts_whole_windows_only(descriptors, data):
    """What Caffe counts where its windows are whole ones too. Where its last window overhangs
    (`ops.pooled_size` with ceil), cuDNN, which pads both sides alike, has one output less; such a
    pooling is not for it, unless more padding on both sides gives the very windows."""
    count = data.draw(axes)

    def draw(each):
        return data.draw(st.tuples(*[each] * count))

    size, kernel, stride = map(draw, (extents, kernels, strides))
    pad = tuple(data.draw(st.integers(0, k - 1)) for k in kernel)
    assume(all(n + 2 * p >= k for n, k, p in zip(size, kernel, pad, strict=True)))
    found = Pooling(api.POOLING_MAX, kernel, pad, stride).out(Tensor((2, 3, *size)))
    whole = ops.Pool("MAX", kernel, stride, pad, ceil=False)
    # Whole windows never start in the padding behind the bottom: there is nothing to clip.
    assert found == (2, 3, *whole.out(size))
    caffe = ops.Pool("MAX", kernel, stride, pad).out(size)
    spans = zip(size, kernel, stride, pad, strict=True)
    if all((n + 2 * p - k) % s == 0 for n, k, s, p in spans):
        assert found[2:] == caffe
    else:
        assert all(b - a in (0, 1) for a, b in zip(found[2:], caffe, strict=True))


def test_alexnets_poolings_are_whole(descriptors):
    for size, out in [(55, 27), (27, 13), (13, 6)]:
        pooling = Pooling(api.POOLING_MAX, (3, 3), (0, 0), (2, 2))
        assert pooling.out(Tensor((1, 96, size, size))) == (1, 96, out, out)
        assert ops.pooled_size(size, 3, 2) == out


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("dims", [(4, 6, 5, 7), (2, 3, 4, 5, 6)], ids=str)
def test_statistics_are_one_number_for_each_channel_in_float32(descriptors, dims, dtype):
    found = Statistics(Tensor(dims, dtype, "nhwc"))
    assert found.dims == (1, dims[1], *[1] * (len(dims) - 2))
    assert found.dtype == "float32"
    assert found.nbytes == 4 * dims[1]


def test_statistics_may_be_of_each_element_of_an_image(descriptors):
    assert Statistics(Tensor((4, 6, 5, 7)), api.BATCHNORM_PER_ACTIVATION).dims == (1, 6, 5, 7)


# ------------------------------------------------------------------ arrays


@many
@given(
    st.lists(extents, min_size=4, max_size=5).map(tuple),
    st.sampled_from(["nchw", "nhwc"]),
    st.sampled_from(["float32", "float16", "bfloat16"]),
)
def test_strides_are_those_of_an_array_of_that_order(descriptors, dims, order, dtype):
    stored = np.zeros((dims[0], *dims[2:], dims[1]), np.int8)
    plain = np.moveaxis(stored, -1, 1) if order == "nhwc" else np.zeros(dims, np.int8)
    # NumPy gives an axis of extent 1 any stride; what matters is that of the others.
    wide = [axis for axis, extent in enumerate(dims) if extent > 1]
    assert [dense(dims, order)[i] for i in wide] == [plain.strides[i] for i in wide]
    tensor = Tensor(dims, dtype, order)
    assert (tensor.dims, tensor.strides) == (dims, dense(dims, order))
    assert tensor.nbytes == stored.size * api.ITEMSIZE[dtype]


def test_an_array_may_have_gaps(descriptors):
    """From its first element to its last: 1 row of 3 in every 10 numbers."""
    assert Tensor((1, 1, 2, 3), strides=(20, 20, 10, 1)).nbytes == 4 * (10 + 3)


def test_filters_lie_in_either_order(descriptors):
    x, geometry = Tensor((2, 6, 9, 9), "float16", "nhwc"), Convolution((1, 1), (1, 1), (1, 1))
    filters = Filter((8, 6, 3, 3), "float16", "nhwc")
    assert (filters.dims, filters.order) == ((8, 6, 3, 3), "nhwc")
    assert geometry.out(x, filters) == (2, 8, 9, 9)


# ------------------------------------------------------------------ refused

REFUSED = {
    "no elements": lambda: Tensor((2, 3, 0, 4), strides=(12, 4, 4, 1)),
    "9 axes": lambda: Tensor((1,) * 9),
    "2 axes of filters": lambda: Filter((2, 3)),
    "stride 0": lambda: Convolution((0, 0), (0, 1), (1, 1)),
    "padding -1": lambda: Convolution((-1, 0), (1, 1), (1, 1)),
    "dilation 0": lambda: Convolution((0, 0), (1, 1), (0, 1)),
    "no groups": lambda: Convolution((0, 0), (1, 1), (1, 1), group=0),
    "window 0": lambda: Pooling(api.POOLING_MAX, (0, 2), (0, 0), (1, 1)),
    "window of stride 0": lambda: Pooling(api.POOLING_MAX, (2, 2), (0, 0), (0, 1)),
    "mode 4": lambda: Pooling(4, (2, 2), (0, 0), (1, 1)),
    "LRN over 17": lambda: LRN(api.LRN_MAX_N + 1, 1e-4, 0.75, 1.0),
    "LRN over 0": lambda: LRN(api.LRN_MIN_N - 1, 1e-4, 0.75, 1.0),
    "LRN beta": lambda: LRN(5, 1e-4, api.LRN_MIN_BETA / 2, 1.0),
    "LRN k": lambda: LRN(5, 1e-4, 0.75, api.LRN_MIN_K / 2),
    "activation 7": lambda: Activation(7),
    "statistics 3": lambda: Statistics(Tensor((2, 3, 4, 5)), 3),
    "channels": lambda: Convolution((0, 0), (1, 1), (1, 1), 2).out(
        Tensor((1, 5, 5, 5)), Filter((4, 2, 2, 2))
    ),
    "axes": lambda: Convolution((0, 0), (1, 1), (1, 1)).out(
        Tensor((1, 2, 5, 5, 5)), Filter((4, 2, 2, 2))
    ),
    "a wide window": lambda: Pooling(api.POOLING_MAX, (5, 5), (0, 0), (1, 1)).out(
        Tensor((1, 1, 4, 4))
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_makes_no_sense_is_refused(descriptors, what):
    with pytest.raises(CudnnError, match="failed with status "):
        REFUSED[what]()


def test_limits_of_lrn_are_inclusive(descriptors):
    LRN(api.LRN_MIN_N, 1e-4, api.LRN_MIN_BETA, api.LRN_MIN_K)
    LRN(api.LRN_MAX_N, 1e-4, 0.75, 1.0)


def test_two_billion_elements_are_too_many(descriptors):
    Tensor((2**15, 2**8, 2**4, 2**3))
    with pytest.raises(CudnnError) as error:
        Tensor((2**15, 2**8, 2**5, 2**3))
    assert error.value.unsupported


# ------------------------------------------------------------------ the end


def test_descriptors_go_with_their_objects(cudnn):
    before = cudnn.objects()
    kept = [Tensor((1, 2, 3, 4)), Filter((1, 2, 3, 4)), Activation(api.ACTIVATION_RELU)]
    assert cudnn.objects() == before + 3
    del kept
    gc.collect()
    assert cudnn.objects() == before


def test_a_refused_descriptor_leaves_nothing_behind(cudnn):
    before = cudnn.objects()
    with pytest.raises(CudnnError):
        LRN(17, 1e-4, 0.75, 1.0)
    gc.collect()
    assert cudnn.objects() == before


def test_the_process_may_end_with_descriptors(descriptors, monkeypatch):
    code = """
from minidl.engines.cudnn.descriptors import Tensor
import builtins, minidl
kept = builtins.kept = minidl.kept = [Tensor((1, 2, 3, 4)) for _ in range(3)]
kept.append(kept)
"""
    environment = {"MINIDL_CUDNN_LIB": descriptors.path, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
