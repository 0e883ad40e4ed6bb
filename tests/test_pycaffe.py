"""Scripts written for pycaffe, with their import line changed."""

import tempfile

import numpy as np
import pytest

import minidl as caffe
from minidl.spec import layers as L

NET = """
name: "testnet" force_backward: true
layer { name: "data" type: "DummyData" top: "data" top: "label"
  dummy_data_param { shape { dim: 5 dim: 2 dim: 3 dim: 4 } shape { dim: 5 dim: 1 dim: 1 dim: 1 }
    data_filler { type: "gaussian" std: 1 } data_filler { type: "constant" value: 2 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 11 kernel_size: 2 pad: 3
    weight_filler { type: "gaussian" std: 1 } bias_filler { type: "constant" value: 2 } }
  param { decay_mult: 1 } param { decay_mult: 0 } }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip_blob"
  inner_product_param { num_output: 13 weight_filler { type: "gaussian" std: 2.5 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip_blob" bottom: "label" top: "loss" }
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    return str(path)


def solver_file(folder, net, kind, extra=""):
    path = folder / f"{kind}.prototxt"
    text = f'net: "{net}" type: "{kind}" base_lr: 0.01 lr_policy: "inv" gamma: 0.0001 power: 0.75'
    path.write_text(f"{text} test_iter: 10 test_interval: 10 max_iter: 100 {extra}")
    return str(path)


def test_a_net_from_a_file(file):
    net = caffe.Net(file, caffe.TRAIN)
    assert list(net.blobs) == ["data", "label", "conv", "ip_blob", "loss"]
    assert list(net.params) == ["conv", "ip"]
    assert [layer.type for layer in net.layers][:2] == ["DummyData", "Convolution"]
    assert net.layer_dict["conv"] is net.layers[1]
    assert [p.data.shape for p in net.layers[1].blobs] == [(11, 2, 2, 2), (11,)]
    assert net.inputs == [] and net.outputs == ["loss"]
    assert net.top_names["data"] == ["data", "label"]
    assert net.bottom_names["ip"] == ["conv"]
    blob = net.blobs["data"]
    assert (blob.num, blob.channels, blob.height, blob.width, blob.count) == (5, 2, 3, 4, 120)


def test_arrays_outlive_their_net(file):
    net = caffe.Net(file, caffe.TRAIN)
    params = [p.data for p in net.params["conv"]]
    blobs = [b.data for b in net.blobs.values()]
    net.forward()
    total = sum(a.sum() for a in params + blobs)
    del net
    assert sum(a.sum() for a in params + blobs) == total


def test_the_sum_of_gradients_begins_at_zero(file):
    net = caffe.Net(file, caffe.TRAIN)
    net.forward()
    net.backward()
    first = net.params["conv"][0].diff.copy()
    net.backward()
    np.testing.assert_allclose(net.params["conv"][0].diff, 2 * first, rtol=1e-4, atol=1e-5)
    net.clear_param_diffs()
    assert (net.params["conv"][0].diff == 0).all()


def test_values_are_written_through_flat_and_slices(file):
    net = caffe.Net(file, caffe.TRAIN)
    net.params["ip"][0].data.flat = np.arange(net.params["ip"][0].count)
    net.params["ip"][1].data[...] = 0
    net.params["conv"][0].data[...] = 0
    net.params["conv"][1].data[:] = 1
    answer = net.forward(end="ip")["ip_blob"]
    rows = np.arange(answer.shape[1] * 11 * 8 * 9).reshape(answer.shape[1], -1).sum(axis=1)
    np.testing.assert_allclose(answer[0], rows, rtol=1e-4)


@pytest.mark.parametrize("save, ending", [("save", ".caffemodel"), ("save_hdf5", ".h5")])
def test_weights_are_saved_and_read(file, save, ending):
    if ending == ".h5":
        pytest.importorskip("h5py", reason="h5py is not installed")
    one, other = caffe.Net(file, caffe.TRAIN), caffe.Net(file, caffe.TRAIN)
    with tempfile.NamedTemporaryFile(suffix=ending) as weights:
        getattr(one, save)(weights.name)
        other.copy_from(weights.name)
        old_order = caffe.Net(file, weights.name, caffe.TRAIN)
    for net in (other, old_order):
        for name in one.params:
            for a, b in zip(one.params[name], net.params[name], strict=True):
                np.testing.assert_array_equal(a.data, b.data)


def test_callbacks_see_every_layer(file):
    net = caffe.Net(file, caffe.TRAIN)
    seen = []
    net.before_forward(seen.append)
    net.forward()
    assert seen == list(range(len(net.layers)))


STAGES = "".join(
    f'layer {{ name: "{s}" type: "DummyData" top: "{s}" include {{ stage: "{s}" }}'
    " dummy_data_param { shape { dim: 1 } } }"
    for s in "AB"
)


def test_stages_choose_layers(tmp_path):
    path = tmp_path / "stages.prototxt"
    path.write_text(STAGES)
    assert list(caffe.Net(str(path), caffe.TEST, stages=["A", "B"]).blobs) == ["A", "B"]
    assert list(caffe.Net(str(path), caffe.TEST, stages=["B"]).blobs) == ["B"]
    assert list(caffe.Net(str(path), caffe.TEST).blobs) == []


SOLVERS = ["SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"]


@pytest.mark.parametrize("kind", SOLVERS)
def test_a_solver_by_the_name_of_its_type(kind, file, tmp_path):
    momentum = "" if kind in ("AdaGrad", "RMSProp") else "momentum: 0.9"
    path = solver_file(tmp_path, file, kind, momentum)
    solver = getattr(caffe, f"{kind}Solver")(path)
    assert solver.iter == 0 and len(solver.test_nets) == 1
    other = caffe.AdamSolver if kind == "SGD" else caffe.SGDSolver
    with pytest.raises(caffe.MinidlError, match=f'type is "{kind}"'):
        other(path)


def test_an_update_by_hand(file, tmp_path):
    solver = caffe.SGDSolver(solver_file(tmp_path, file, "SGD"))
    for params in solver.net.params.values():
        for param in params:
            param.data[...] = 0
            param.diff[...] = 1
    solver.apply_update()
    np.testing.assert_allclose(solver.net.params["conv"][0].data, -0.01, rtol=1e-6)
    assert solver.lr == pytest.approx(0.01, rel=1e-3)


def test_a_net_written_with_netspec_trains_through_its_own_loop(tmp_path):
    n = caffe.NetSpec()
    n.x, n.y = (L.Input(shape=dict(dim=[8, 2])) for _ in range(2))
    n.ip = L.InnerProduct(n.x, num_output=2)
    n.loss = L.EuclideanLoss(n.ip, n.y)
    path = tmp_path / "net.prototxt"
    path.write_text(f"{n.to_proto()}")
    net = caffe.Net(str(path), caffe.TRAIN)
    net.blobs["x"].data[...] = np.random.default_rng(0).standard_normal((8, 2))
    net.blobs["y"].data[...] = 2 * net.blobs["x"].data
    for _ in range(200):
        net.clear_param_diffs()
        net.forward()
        net.backward()
        for layer in net.layers:
            for blob in layer.blobs:
                blob.data[...] -= 0.3 * blob.diff
    np.testing.assert_allclose(net.params["ip"][0].data, 2 * np.eye(2), atol=1e-2)
