"""What contenders read: the same weights in two formats, and records."""

from __future__ import annotations

import json

import numpy as np
import pytest

import minidl
from benchmarks import models, nets


def test_both_formats_hold_the_same_weights(tmp_path):
    assert models.write_weights(tmp_path, "lenet") == {"lenet": "random"}
    net = minidl.Net(nets.deploy_net("lenet", 1), weights=tmp_path / "lenet.caffemodel")
    with np.load(tmp_path / "lenet.npz") as arrays:
        assert len(arrays) == 8
        for name, params in net.params.items():
            for i, param in enumerate(params):
                np.testing.assert_array_equal(param.data, arrays[f"{name}/{i}"])
    text = (tmp_path / "lenet.prototxt").read_text()
    assert minidl.Net(text).blobs["prob"].shape == (1, 10)


def test_multipliers_are_those_of_the_training_net(tmp_path):
    models.write_multipliers(tmp_path, "alexnet")
    found = json.loads((tmp_path / "alexnet.json").read_text())
    assert found["conv2/0"] == {"lr_mult": 1.0, "decay_mult": 1.0}
    assert found["conv2/1"] == {"lr_mult": 2.0, "decay_mult": 0.0}
    assert len(found) == 16


def test_random_weights_keep_the_variance(tmp_path):
    net = minidl.Net(nets.deploy_net("lenet", 64))
    models.fill(net)
    net.forward(data=np.random.default_rng(0).standard_normal((64, 1, 28, 28), np.float32))
    before, after = net.blobs["data"].data, net.blobs["conv1"].data
    assert np.var(after) / np.var(before) == pytest.approx(2.0, rel=0.3)  # a ReLU would halve it


@pytest.mark.parametrize("kind", ["raw", "jpeg"])
def test_records_are_read_by_the_data_layer(kind, tmp_path, monkeypatch):
    pytest.importorskip("PIL", reason="JPEGs need Pillow")
    monkeypatch.setattr(models, "RECORDS", 4)
    models.write_records(tmp_path, kind)
    with minidl.Net(nets.data_net("alexnet", 4, tmp_path / f"{kind}_lmdb"), "TRAIN") as net:
        net.forward_pass()
        data = net.blobs["data"].data
        assert data.shape == (4, 3, 227, 227)
        assert 20 < data.std() < 100  # bytes less their mean
        assert data[0].std(axis=(1, 2)).min() > 10
