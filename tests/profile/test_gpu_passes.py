"""Passes of a net timed by a GPU's clock: what is launched when, on the fake one."""

import pytest

from minidl.layers.inner_product import InnerProduct
from minidl.profile import gpu_clock, gpu_passes

pytestmark = pytest.mark.usefixtures("quick")


def test_nothing_waits_between_the_layers(small, gpu):
    """Not even for the loss; a layer that makes data may copy its batch."""
    net = small("cuda:0")
    net.forward_pass()
    net.backward_pass()
    with gpu_passes.Layers(net) as layers:
        layers.run()
        with gpu.strict(transfers=False):
            layers.run()
    found = layers.read()
    assert len(found.both) == 2 and len(found.forward[1]) == len(found.backward[1]) == 2
    assert not net.before_forward and not net.after_backward


def test_a_layers_time_is_its_own(small, gpu, monkeypatch):
    """Between its two points in the stream lies what it launched."""
    net = small("cuda:0", engine="numpy")
    marked, original, forward = [], gpu_clock.Marks.now, InnerProduct.forward
    monkeypatch.setattr(
        gpu_clock.Marks, "now", lambda self: marked.append("mark") or original(self)
    )
    monkeypatch.setattr(
        InnerProduct, "forward", lambda *args: marked.append("ip") or forward(*args)
    )
    with gpu_passes.Layers(net) as layers:
        layers.run()
    # a point before the pass; two a layer; ip1 and ip2 are layers 1 and 3
    assert [i for i, what in enumerate(marked) if what == "ip"] == [1 + 2 * 1 + 1, 1 + 2 * 3 + 2]
    backward = sum(node.needs_backward for node in net.blueprint.nodes)
    assert marked.count("mark") == 3 + 2 * len(net.layers) + 2 * backward


def test_the_device_has_other_work_while_a_pass_is_launched(small, gpu, monkeypatch):
    monkeypatch.setattr(gpu_clock, "seconds", lambda device, run: 1e-4)
    lead = gpu_passes.Lead(small("cuda:0"))
    assert lead.count >= 1
    before = gpu.launches + gpu.d2d
    lead()
    assert gpu.launches + gpu.d2d - before == lead.count
