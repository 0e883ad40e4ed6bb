"""The nets that are timed are the published ones."""

from __future__ import annotations

import numpy as np
import pytest

import minidl
from benchmarks import nets
from minidl import prototxt
from tests.support import relative_error, shared


def test_the_training_nets_are_the_zoos_fed_by_hand():
    zoo = prototxt.read_net(nets.ZOO / "alexnet" / "train_val.prototxt")
    kept = [layer for layer in zoo.layer if layer.type != "Data"]
    net = nets.train_net("alexnet", 64)
    assert [layer.type for layer in net.layer[:2]] == ["Input", "Input"]
    assert list(net.layer[2:]) == kept
    assert list(net.layer[0].input_param.shape[0].dim) == [64, 3, 227, 227]


def test_without_dropout_the_net_is_whole():
    net = minidl.Net(nets.train_net("lenet", 2, dropout=False), minidl.TRAIN)
    assert net.outputs == ["loss"]
    layers = nets.train_net("alexnet", 2, dropout=False).layer
    assert "Dropout" not in {layer.type for layer in layers}
    assert "drop7" in {layer.name for layer in nets.train_net("alexnet", 2).layer}


def test_squeezenet_has_the_papers_size():
    net = minidl.Net(nets.squeezenet(1))
    assert sum(p.data.size for params in net.params.values() for p in params) == 1_248_424
    assert net.blobs["conv1"].shape == (1, 96, 111, 111)
    assert net.blobs["pool8"].shape == (1, 512, 13, 13)
    assert net.blobs["prob"].shape == (1, 1000, 1, 1)


def test_squeezenet_gives_what_other_engines_give_for_its_trained_weights():
    reference = np.load(shared("models") / "squeezenet_v1.0" / "reference.npz")
    weights = shared("models") / "squeezenet_v1.0" / "weights.caffemodel"
    net = minidl.Net(nets.squeezenet(1), minidl.TEST, weights=weights)
    net.forward(data=reference["input/data"])
    assert relative_error(net.blobs["pool_final"].data, reference["torch64/pool_final"]) < 1e-5


@pytest.mark.parametrize(("name", "batch"), [("lenet", 64), ("alexnet", 10), ("squeezenet", 3)])
def test_the_nets_for_use_take_any_batch(name, batch):
    layer = nets.deploy_net(name, batch).layer[0]
    assert layer.input_param.shape[0].dim[0] == batch


def test_a_fed_net_reads_the_records_it_is_given(tmp_path):
    source = {
        layer.data_param.source
        for layer in nets.fed_net("alexnet", 16, tmp_path / "records").layer
        if layer.type == "Data"
    }
    assert source == {str(tmp_path / "records")}
    only = nets.data_net("alexnet", 16, tmp_path / "records")
    assert {layer.type for layer in only.layer} == {"Data"}
    assert {layer.data_param.batch_size for layer in only.layer} == {16}
