"""coord_map against what nets do: where the weight of an output lies in the input."""

import numpy as np
import pytest

import minidl
from minidl.coord_map import (
    AxisMismatchException,
    UndefinedMapException,
    coord_map,
    coord_map_from_to,
    crop,
)
from minidl.layers.base import REGISTRY
from minidl.spec import NetSpec
from minidl.spec import layers as L
from minidl.spec import params as P

ONES = dict(weight_filler=dict(type="constant", value=1))


def start(size=64):
    n = NetSpec()
    n.data = L.Input(shape=dict(dim=[1, 1, size, size]))
    return n


def centre(n, name, row, column):
    """Where the middle of all that `name`[row, column] sees lies in the input, by its gradient."""
    param = n.to_proto()
    param.force_backward = True
    net = minidl.Net(param)
    net.blobs["data"].data[...] = 1
    net.forward()
    net.blobs[name].diff[...] = 0
    net.blobs[name].diff[0, 0, row, column] = 1
    gradient = net.backward(start=net.layer_names[-1])["data"][0, 0]
    rows, columns = gradient.nonzero()
    return (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2


CASES = {
    "convolution": lambda d: L.Convolution(d, num_output=1, kernel_size=3, **ONES),
    "stride and pad": lambda d: L.Convolution(
        d, num_output=1, kernel_size=5, stride=3, pad=1, **ONES
    ),
    "dilation": lambda d: L.Convolution(d, num_output=1, kernel_size=4, dilation=3, **ONES),
    "two axes": lambda d: L.Convolution(
        d, num_output=1, kernel_h=3, kernel_w=5, stride_h=2, stride_w=1, pad_h=0, pad_w=3, **ONES
    ),
    "pooling": lambda d: L.Pooling(d, pool=P.Pooling.AVE, kernel_size=3, stride=2),
    "chain": lambda d: L.Convolution(
        L.ReLU(L.Pooling(d, pool=P.Pooling.AVE, kernel_size=2, stride=2)),
        num_output=1, kernel_size=3, stride=7, pad=2, **ONES,
    ),
}  # fmt: skip


@pytest.mark.parametrize("make", CASES.values(), ids=CASES.keys())
def test_a_map_says_where_an_output_looks(make):
    n = start()
    n.out = make(n.data)
    axis, a, b = coord_map_from_to(n.out, n.data)
    a, b = np.broadcast_to(a, 2), np.broadcast_to(b, 2)
    assert axis == 1
    for position in ((3, 4), (4, 3)):
        np.testing.assert_allclose(a * position + b, centre(n, "out", *position))


def test_a_deconvolution_is_the_inverse():
    n = start()
    n.conv = L.Convolution(n.data, num_output=1, kernel_size=5, stride=7, pad=1)
    deconv = dict(num_output=1, kernel_size=5, stride=7, pad=1)
    n.deconv = L.Deconvolution(n.conv, convolution_param=deconv)
    assert coord_map_from_to(n.deconv, n.data) == (1, 1, 0)
    one, two = coord_map(n.conv.fn), coord_map(n.deconv.fn)
    assert (two[1], two[2]) == (7, 1) and one == (1, pytest.approx(1 / 7), pytest.approx(-1 / 7))


def fcn(pool=2, ks=3, pad=1):
    """A net that pools and comes back, as fully convolutional ones do."""
    n = start()
    n.conv = L.Convolution(n.data, num_output=10, kernel_size=ks, pad=pad)
    n.pool = L.Pooling(n.conv, pool=P.Pooling.MAX, kernel_size=pool, stride=pool)
    deconv = dict(num_output=10, kernel_size=pool, stride=pool)
    n.deconv = L.Deconvolution(n.pool, convolution_param=deconv)
    return n


@pytest.mark.parametrize("pool", [2, 3, 4, 7])
def test_up_and_down_again_is_nothing(pool):
    n = fcn(pool)
    assert coord_map_from_to(n.deconv, n.data) == (1, 1, 0)


@pytest.mark.parametrize("pad, shift", [(0, 1), (2, -1), (100, -99)])
def test_a_pad_shifts(pad, shift):
    n = fcn(pad=pad)
    assert coord_map_from_to(n.deconv, n.data) == (1, 1, shift)
    assert coord_map_from_to(n.data, n.deconv) == (1, 1, -shift)


def test_crop_cuts_to_the_same_positions():
    n = fcn(pad=5)
    n.out = crop(n.deconv, n.data)
    param = n.to_proto().layer[-1].crop_param
    assert (param.axis, list(param.offset)) == (2, [4])
    net = minidl.Net(n.to_proto())
    assert net.blobs["out"].shape == (1, 10, 64, 64)
    assert coord_map_from_to(n.out, n.data) == (1, 1, 0)


def test_both_tops_may_be_above_or_below_or_beside():
    n = fcn()
    assert coord_map_from_to(n.conv, n.pool) == (1, 0.5, -0.25)
    assert coord_map_from_to(n.pool, n.conv) == (1, 2, 0.5)
    n.other = L.Pooling(n.data, kernel_size=1, stride=4)
    assert coord_map_from_to(n.pool, n.other) == (1, 0.5, 0.125)
    assert coord_map_from_to(n.data, n.data)[1:] == (1, 0)


def test_elementwise_layers_lead_through_either_bottom():
    n = fcn()
    n.sum = L.Eltwise(n.deconv, L.Scale(n.conv))
    n.drop = L.Dropout(n.sum, in_place=True)
    assert coord_map_from_to(n.drop, n.data) == (1, 1, 0)


def test_a_global_pooling_and_an_inner_product_keep_no_positions():
    n = fcn()
    n.fc = L.InnerProduct(n.pool, num_output=3)
    n.all = L.Pooling(n.pool, global_pooling=True)
    for top, kind in ((n.fc, "InnerProduct"), (n.all, "Pooling")):
        with pytest.raises(UndefinedMapException, match=f"{kind} layer: keeps no positions"):
            coord_map(top.fn)
        with pytest.raises(minidl.MinidlError, match=f"in common(.|\n)*lie between: .*{kind}"):
            coord_map_from_to(top, n.data)


def test_blobs_of_two_nets_have_nothing_in_common():
    with pytest.raises(minidl.MinidlError, match="no blob in common"):
        coord_map_from_to(fcn().deconv, fcn().data)


def test_spatial_axes_have_to_agree():
    n = start()
    n.conv = L.Convolution(n.data, num_output=1, kernel_size=3, axis=2)
    n.pool = L.Pooling(n.conv, kernel_size=2)
    with pytest.raises(AxisMismatchException, match="after 1 here and after 2 there"):
        coord_map_from_to(n.pool, n.data)


REFUSED = {
    "scale": (lambda n: crop(n.pool, n.data), "positions of one are 2 times"),
    "half": (lambda n: crop(L.Convolution(n.data, num_output=1, kernel_size=2), n.data), "1/2"),
    "outside": (lambda n: crop(L.Convolution(n.data, num_output=1, kernel_size=3), n.data), "late"),
    "a name": (lambda n: crop("deconv", n.data), "'deconv' is not a top"),
}


@pytest.mark.parametrize("do, message", REFUSED.values(), ids=REFUSED.keys())
def test_a_crop_that_cannot_be_is_refused(do, message):
    with pytest.raises(minidl.MinidlError, match=message):
        do(fcn())


KEEPS = [t for t, cls in REGISTRY.items() if cls.keeps_positions and cls.bottoms != 3]
KEYWORDS = {
    "BN": dict(scale_filler=dict(type="constant", value=1)),
    "Clip": dict(min=0, max=1),
    "Threshold": dict(threshold=1),
    "Split": dict(ntop=2),
}


@pytest.mark.parametrize("kind", KEEPS)
def test_a_layer_that_keeps_positions_shows_a_change_in_its_place(kind):
    n = NetSpec()
    n.x = L.Input(shape=dict(dim=[2, 3, 5, 4]))
    bottoms = [n.x] * (2 if REGISTRY[kind].bottoms == (2, None) else 1)
    made = getattr(L, kind)(*bottoms, **KEYWORDS.get(kind, {}))
    n.y = made[0] if kind == "Split" else made
    assert coord_map_from_to(n.y, n.x)[1:] == (1, 0)
    net = minidl.Net(n.to_proto(), phase=minidl.TEST, seed=1)
    x = np.random.default_rng(0).uniform(0.4, 0.6, (2, 3, 5, 4))
    before = net.forward(x=x)["y"].copy()
    x[:, :, 1, 3] = 3
    change = np.abs(net.forward(x=x)["y"] - before).sum(axis=(0, 1))
    assert np.unravel_index(change.argmax(), change.shape) == (1, 3)
