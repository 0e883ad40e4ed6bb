"""profile.layers: what is said of a net whose clock only goes on where somebody says so."""

import pytest

from minidl import profile
from minidl.layers.inner_product import InnerProduct
from minidl.profile import floors
from minidl.profile.net_times import Times
from minidl.profile.passes import unseen

pytestmark = pytest.mark.usefixtures("quick")


def test_the_mean_and_the_median_of_passes_that_ran():
    assert Times.of([0.001, 0.002, 0.006]) == Times(pytest.approx(3), pytest.approx(2))
    assert Times.of([]) == Times(0.0, 0.0)


def test_a_layer_has_its_own_time_and_the_net_that_of_all(small, monkeypatch):
    now = 0.0
    monkeypatch.setattr("minidl.profile.passes.perf_counter", lambda: now)
    original = InnerProduct.forward

    def slower(self, bottom, top):
        nonlocal now
        now += 0.002 if self.name == "ip1" else 0.003
        original(self, bottom, top)

    monkeypatch.setattr(InnerProduct, "forward", slower)
    found = profile.layers(small(engine="numpy"), iterations=4)
    layers = {layer.name: layer for layer in found.layers}
    assert list(layers) == ["in", "ip1", "relu", "ip2", "loss"]
    assert layers["ip1"].forward.times == Times(pytest.approx(2), pytest.approx(2))
    assert layers["ip2"].median_ms == pytest.approx(3)
    assert layers["relu"].median_ms == layers["ip1"].backward.times.mean_ms == 0
    assert found.forward.median_ms == found.both.mean_ms == found.pass_ms == pytest.approx(5)
    assert found.total_ms == pytest.approx(20)
    assert (found.net, found.phase, found.batch, found.iterations) == ("small", "TRAIN", 4, 4)
    assert (found.device, found.engine, found.iteration) == ("cpu", "numpy", None)
    # ip1: forward and the gradient of its weights; 2 operations a multiply-and-add
    assert layers["ip1"].gflops == pytest.approx(2 * 2 * 4 * 6 * 16 / 2e-3 / 1e9)
    assert [layer.name for layer in found.worst] == ["ip2", "ip1"]


def test_floors_are_those_of_the_work_at_the_speeds_that_were_measured(small):
    found = profile.layers(small(engine="numpy"), iterations=3)
    for layer in found.layers:
        for each in (layer.forward, layer.backward):
            assert each.floor_ms == pytest.approx(1e3 * found.speeds.floor(each.work))
            assert each.bound == found.speeds.bound(each.work)
        assert layer.above_floor_ms == pytest.approx(layer.median_ms - layer.floor_ms)
    assert found.floor_ms == pytest.approx(sum(layer.floor_ms for layer in found.layers))


def test_each_half_has_the_work_of_its_own(small):
    net = small(engine="numpy")
    found = profile.layers(net, iterations=1)
    works = [floors.works(net.schedule, i) for i in range(5)]
    assert [(la.forward.work, la.backward.work) for la in found.layers] == works
    assert works[3][1].flop == 2 * works[3][0].flop > 0  # of ip2's weights, and of its bottom


def test_no_layer_is_faster_than_the_fastest_product(small, monkeypatch):
    monkeypatch.setattr(floors.HostMeter, "products", lambda self: [(1.0, 1e3)])
    found = profile.layers(small(engine="numpy"), iterations=3)
    halves = [half for layer in found.layers for half in (layer.forward, layer.backward)]
    best = max(h.work.flop / h.times.median_ms * 1e3 for h in halves if h.times.median_ms)
    assert found.speeds.product == pytest.approx(best) and best > 1


def test_passes_are_counted_where_a_progress_bar_can_be(small):
    asked = []

    def steps(count, what):
        asked.append((count, what))
        return unseen(count, what)

    profile.layers(small(), iterations=2, steps=steps)
    assert asked == [(2, "timing")]


@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_the_net_keeps_its_callbacks_and_no_others(small, gpu, device):
    net, called = small(device), []
    net.before_forward(called.append)
    profile.layers(net, iterations=2)
    assert [len(each) for each in (net.before_forward, net.after_forward)] == [1, 0]
    assert [len(each) for each in (net.before_backward, net.after_backward)] == [0, 0]
    assert net.before_forward.seeing and net.after_backward.seeing
    assert called[:5] == [0, 1, 2, 3, 4]


def test_layers_are_fused_as_they_are_when_nobody_looks(small):
    from tests.support import need_onednn

    need_onednn()
    relu = profile.layers(small(engine="onednn"), iterations=1).layers[2]
    assert relu.execution.fused and relu.forward.work == (0, 0)


def test_on_a_gpu_there_is_a_whole_iteration_beside_the_layers(small, gpu):
    found = profile.layers(small("cuda:0"), iterations=2)
    assert found.iteration.gpu == "Fake GPU" and found.iteration.graph_off == ""
    over = found.iteration.times.median_ms / found.floor_ms
    assert found.iteration_x_floor == pytest.approx(over) and over > 0
    assert len(found.layers) == 5 and found.layers[1].floor_ms > 0


def test_why_a_net_is_no_graph_is_said_where_its_layers_run_one_by_one(small, gpu):
    net = small("cuda:0")
    net.before_forward(lambda i: None)
    assert profile.layers(net, iterations=1).iteration.graph_off == "layers run one by one"
