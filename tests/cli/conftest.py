"""A small net and its solver in a folder of their own, for commands to run on."""

import logging

import numpy as np
import pytest

from minidl.data import lmdb_writer

NET = """
name: "tiny"
layer {
  name: "digits" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  data_param { source: "train_lmdb" batch_size: 8 backend: LMDB }
  transform_param { scale: 0.0039 crop_size: 7 mirror: true }
}
layer {
  name: "digits" type: "Data" top: "data" top: "label" include { phase: TEST }
  data_param { source: "test_lmdb" batch_size: 5 backend: LMDB }
  transform_param { scale: 0.0039 crop_size: 7 }
}
layer { name: "flat" type: "Flatten" bottom: "data" top: "flat" }
layer {
  name: "ip1" type: "InnerProduct" bottom: "flat" top: "ip1"
  inner_product_param { num_output: 16 weight_filler { type: "xavier" } }
}
layer { name: "relu1" type: "ReLU" bottom: "ip1" top: "ip1" }
layer { name: "drop1" type: "Dropout" bottom: "ip1" top: "ip1" }
layer {
  name: "ip2" type: "InnerProduct" bottom: "ip1" top: "ip2"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } }
}
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip2" bottom: "label" top: "loss" }
layer {
  name: "accuracy" type: "Accuracy" bottom: "ip2" bottom: "label" top: "accuracy"
  include { phase: TEST }
}
"""

SOLVER = """
net: "net.prototxt"
test_iter: 3
test_interval: 10
base_lr: 0.05
lr_policy: "inv"
gamma: 0.01
power: 0.75
momentum: 0.9
weight_decay: 0.0005
average_loss: 4
display: 5
max_iter: 20
snapshot: 10
snapshot_prefix: "run/tiny"
random_seed: 7
"""


def write_run(folder):
    """net.prototxt, solver.prototxt, train_lmdb and test_lmdb in `folder`."""
    rng = np.random.default_rng(0)
    for part, count in [("train", 50), ("test", 15)]:
        labels = np.arange(count) % 3
        images = rng.integers(0, 120, (count, 1, 9, 9)) + 60 * labels[:, None, None, None]
        lmdb_writer.write(folder / f"{part}_lmdb", images.astype(np.uint8), labels)
    (folder / "net.prototxt").write_text(NET)
    (folder / "solver.prototxt").write_text(SOLVER)


@pytest.fixture
def run_folder(tmp_path, monkeypatch):
    """The current folder, holding net.prototxt, solver.prototxt and both data sets."""
    write_run(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def nothing_left_behind():
    """A command leaves no handler on the logger, and no level."""
    yield
    assert logging.getLogger("minidl").handlers == []
    assert logging.getLogger("minidl").level == logging.NOTSET
