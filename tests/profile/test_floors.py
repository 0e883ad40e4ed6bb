"""How fast a layer could be: what it has to compute and to move, and how fast that goes here."""

import math

import numpy as np
import pytest

import minidl
from minidl.engines import tuning
from minidl.engines.select import Policy
from minidl.profile import floors
from minidl.profile.floors import HostMeter, Speeds, Work
from tests.support import need_onednn

NET = """
layer { name: "in" type: "Input" top: "x"
  input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } shape { dim: 2 } } top: "label" }
layer { name: "conv" type: "Convolution" bottom: "x" top: "y"
  convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "y" top: "y" }
layer { name: "pool" type: "Pooling" bottom: "y" top: "z"
  pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "flat" type: "Flatten" bottom: "z" top: "f" }
layer { name: "ip" type: "InnerProduct" bottom: "f" top: "s"
  inner_product_param { num_output: 5 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "s" bottom: "label" top: "l" }
"""
X, Y, Z, S = (math.prod(shape) * 4 for shape in ((2, 3, 8, 8), (2, 4, 6, 6), (2, 4, 3, 3), (2, 5)))
CONV, IP = 4 * (4 * 3 * 9 + 4), 4 * (5 * 36 + 5)
CONV_FLOP, IP_FLOP = 2 * 2 * 4 * 36 * 27, 2 * 2 * 36 * 5


def works(engine="numpy", **options):
    """{layer: (Work, Work)} of NET."""
    net = minidl.Net(NET, minidl.TRAIN, engine=engine, seed=1, **options)
    names = net.layer_names
    return {name: floors.works(net.schedule, i) for i, name in enumerate(names)}


def test_what_has_to_be_read_and_written_is_counted_by_hand():
    found = works()
    assert found["conv"] == (
        (CONV_FLOP, X + CONV + Y),
        # reads dy and x, writes dw; nobody wants dx
        (CONV_FLOP, Y + X + CONV),
    )
    # in place: read and written; backward reads dy and y, and writes dx over dy
    assert found["relu"] == ((0, 2 * Y), (0, 3 * Y))
    assert found["pool"][0].bytes == Y + Z
    assert found["ip"] == (
        (IP_FLOP, Z + IP + S),
        # reads ds, x and w; writes dx and dw
        (2 * IP_FLOP, S + Z + IP + Z + IP),
    )


def test_what_only_changes_its_shape_moves_nothing():
    assert works()["flat"] == ((0, 0), (0, 0))


def test_who_makes_data_has_no_floor():
    assert works()["in"] == ((0, 0), (0, 0))


def test_a_frozen_layer_has_no_gradient_to_write():
    frozen = NET.replace("num_output: 5 }", "num_output: 5 } param { lr_mult: 0 }")
    frozen = frozen.replace("param { lr_mult: 0 }", "param { lr_mult: 0 } param { lr_mult: 0 }")
    net = minidl.Net(frozen, minidl.TRAIN, engine="numpy", seed=1)
    forward, backward = floors.works(net.schedule, net.layer_names.index("ip"))
    assert backward.flop == forward.flop and backward.bytes == S + Z + IP + Z


def test_without_backward_there_is_only_forward():
    net = minidl.Net(NET, minidl.TEST, engine="numpy", seed=1, share=True)
    for i in range(len(net.layers)):
        assert floors.works(net.schedule, i)[1] == (0, 0)


def test_what_the_layer_before_does_takes_no_forward():
    need_onednn()
    assert works("onednn")["relu"][0] == (0, 0)
    assert works("onednn")["relu"][1].bytes > 0


SPEEDS = Speeds(product=1e9, copies={1 << 10: 8e9, 1 << 20: 4e9})


@pytest.mark.parametrize(
    "work, seconds, bound",
    [
        (Work(2e9, 8), 2.0, "arithmetic"),
        (Work(0, 4 << 20), (4 << 20) / 4e9, "bandwidth"),
        (Work(10, 2 << 10), (2 << 10) / 8e9, "bandwidth"),
        (Work(0, 0), 0.0, "arithmetic"),
    ],
)
def test_the_floor_is_the_longer_of_both(work, seconds, bound):
    assert SPEEDS.floor(work) == pytest.approx(seconds)
    assert SPEEDS.bound(work) == bound


def test_copies_are_as_fast_as_those_of_about_their_size():
    # a copy of n bytes moves 2 n
    sizes = [1, 2 << 10, 1 << 15, 1 << 17, 2 << 20, 1 << 30]
    assert [SPEEDS.copy(size) for size in sizes] == [8e9, 8e9, 8e9, 4e9, 4e9, 4e9]


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(floors, "PRODUCT", 64)
    monkeypatch.setattr(floors, "SIZES", (1 << 14, 1 << 21))


@pytest.mark.parametrize("threads", [1, 2])
def test_speeds_are_measured(threads, small):
    meter = HostMeter(Policy("numpy", threads=threads))
    meter.measure()
    found = meter.speeds
    assert set(found.copies) == {1 << 14, 1 << 21}
    assert all(1e7 < speed < 1e13 for speed in (found.product, *found.copies.values()))


def test_the_best_of_all_measurements_is_kept(small, monkeypatch):
    meter = HostMeter(Policy("numpy"))
    seconds = iter([1e-3, 2e-3, 3e-3] + [4e-3, 1e-3, 6e-3])
    monkeypatch.setattr(tuning, "seconds", lambda run, **options: next(seconds))
    meter.measure()
    meter.measure()
    assert meter.speeds.product == pytest.approx(2 * 64**3 / 1e-3)
    moved = 2 * (1 << 14) / 1e-3, 2 * (1 << 21) / 3e-3
    assert tuple(meter.speeds.copies.values()) == pytest.approx(moved)
    meter.saw(1.0)
    assert meter.speeds.product > 1
    meter.saw(1e20)
    assert meter.speeds.product == 1e20 and meter.speeds.copies[1 << 14] == pytest.approx(moved[0])


def test_an_engines_product_is_measured_beside_numpys(small):
    need_onednn()
    assert len(HostMeter(Policy("numpy"))._products) == 1
    meter = HostMeter(Policy("onednn"))
    assert len(meter._products) == 2
    meter.measure()


def test_all_bytes_are_copied(monkeypatch):
    arrays = []
    original = np.ones
    monkeypatch.setattr(np, "ones", lambda *args: arrays.append(original(*args)) or arrays[-1])
    run = floors._copy(3 << 20, threads=2)
    source, target = arrays
    source[:] = np.arange(source.size) % 251
    run()
    assert (target == source).all()
